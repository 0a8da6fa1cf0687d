"""The one decision whether a path may be replaced by a file that genrekit writes.

A path that the user names is replaced only if genrekit wrote the file there, or if an option such as `--overwrite`
allows it. Devices, named pipes, sockets and directories are never replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from genrekit.errors import GenrekitError

Own = Callable[[bytes], bool]
"""Whether the first bytes of a file show that genrekit wrote it as this kind of output."""

SOFTWARE = "genrekit"
"""The name that genrekit writes into pictures and sounds."""

_HEAD = 4_096
_MOST_LINKS = 40
_KINDS = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def replaceable(path: Path, own: Own | None = None) -> Path:
    """Return the file to write for a path that the user named: the path, or the file that it links to.

    There must be nothing, an empty file, or a file that `own` recognizes. Without `own`, any file may be replaced,
    because an option allows it. A link to a file stays a link, and the file that it leads to is replaced.
    Errors: GenrekitError with the path if it must not be replaced.
    """
    if str(path) == "-":
        raise GenrekitError("cannot write -: this output does not go to stdout; name a file")
    file = _followed(path)
    try:
        status = file.lstat()
    except FileNotFoundError:
        if file != path:
            raise _refused(path, f"it is a link to {file}, which does not exist; remove the link") from None
        return file
    except OSError as error:
        raise _refused(path, f"{error.strerror}; check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise _refused(path, "it is a directory; name a file in it")
    refuse_special(path, status.st_mode)
    if own is not None and status.st_size and not own(_head(path, file)):
        raise GenrekitError(
            f"{path} was not written by genrekit for this purpose, so it is not replaced: choose another path"
        )
    if own is not None and not (status.st_mode & 0o222 and os.access(file, os.W_OK)):
        raise _refused(path, "Permission denied; check its permissions or choose another path")
    return file


def is_own(path: Path, own: Own) -> bool:
    """Return whether a file, which is not a link, is one that genrekit wrote."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and own(_head(path, path))
    except (GenrekitError, OSError):
        return False


def refuse_dangling(folder: Path) -> None:
    """Check that no part of the path of a folder is a link that leads nowhere.

    Errors: GenrekitError with the link.
    """
    for part in (folder, *folder.parents):
        if part.is_symlink() and not part.exists():
            raise _refused(folder, f"{part} is a link to {part.readlink()}, which does not exist; remove the link")


def refuse_special(path: Path, mode: int) -> None:
    """Check that a path is not a device, a named pipe or a socket.

    Errors: GenrekitError with the path and its kind.
    """
    if kind := special_kind(mode):
        raise _refused(path, f"it is a {kind}; name a file")


def require_plain_file(path: Path) -> None:
    """Check that a path has nothing or a file, which is not a link: for libraries that would open anything there.

    Errors: GenrekitError with the path and what is there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(path, f"{error.strerror}; check the path") from error
    if not stat.S_ISREG(mode):
        kind = "link" if stat.S_ISLNK(mode) else special_kind(mode) or "directory"
        raise GenrekitError(f"{path} must be a file, but it is a {kind}; remove it")


def special_kind(mode: int) -> str | None:
    """Return the name of a kind of file that is neither a file, a link nor a directory, else None.

    >>> special_kind(0o010644), special_kind(0o100644)
    ('named pipe', None)
    """
    return _KINDS.get(stat.S_IFMT(mode))


def starts_with(*starts: bytes) -> Own:
    """Recognize files by their first bytes.

    >>> starts_with(b"run,seeds")(b"run,seeds,accuracy")
    True
    """
    return lambda head: head.startswith(starts)


def contains(mark: bytes) -> Own:
    """Recognize files by a mark in their first bytes."""
    return lambda head: mark in head


def _followed(path: Path) -> Path:
    """Follow the links at the end of a path, but not into /proc, where links lead to open streams of a process."""
    file = path
    for _ in range(_MOST_LINKS):
        if Path(os.path.realpath(file.parent)).is_relative_to("/proc"):
            raise _refused(path, "it is an open stream; name a file")
        if not file.is_symlink():
            return file
        file = Path(os.path.normpath(file.parent.absolute() / file.readlink()))
    raise _refused(path, "it is a link that leads back to itself; remove the link")


def _head(path: Path, file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError as error:
        raise _refused(path, f"{error.strerror}; check its permissions or choose another path") from error


def _refused(path: Path, why: str) -> GenrekitError:
    return GenrekitError(f"cannot write {path}: {why}")
