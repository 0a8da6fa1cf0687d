"""Atomic writes, locks between processes, and reading of JSON and TOML with clear errors."""

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from genrekit.errors import GenrekitError, advice


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file beside `path`, which replaces `path` when the block ends without an error.

    After an error, a kill or a full disk, `path` is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:  # its path is the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(descriptor)
    new = Path(name)
    try:
        yield new
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        new.chmod(0o666 & ~_umask())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a `new_file` for `path` for writing."""
    with new_file(path) as new, open(new, "wb") as file:
        yield file


def remove_torn(folder: Path) -> None:
    """Remove temporary files of atomic writes and of safetensors that were left when a process was killed."""
    for torn in (*folder.glob(".*.tmp"), *folder.glob(".tmp??????")):
        torn.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically. NaN and infinity raise ValueError, because JSON does not have them."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Errors: GenrekitError with the path if the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise cannot("read", path, error) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Errors: GenrekitError with the path if the file is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise cannot("read", path, error) from error


def reason(error: Exception) -> str:
    """Return the short reason of an error: the text of an OSError without number and path."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def cannot(do: str, path: Path, error: Exception) -> GenrekitError:
    """Return the error for a file or folder that cannot be read or written, with the reason and what to do.

    >>> str(cannot("write", Path("report.html"), PermissionError(13, "Permission denied")))
    'cannot write report.html: Permission denied; check its permissions or choose another path'
    >>> str(cannot("read", Path("plan.json"), ValueError("it is empty")))
    'cannot read plan.json: it is empty'
    """
    remedy = f"; {advice(error)}" if isinstance(error, OSError) and error.strerror else ""
    return GenrekitError(f"cannot {do} {path}: {reason(error)}{remedy}")


def require_writable(folder: Path) -> None:
    """Check that files can be created in a folder, which need not exist yet. Nothing is left there.

    Errors: GenrekitError with the reason.
    """
    try:
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise cannot("write", folder, error) from error


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file.

    Errors: PermissionError if this is unknown. pathlib's result then depends on the version of Python.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False


def special_file(mode: int) -> str | None:
    """Return what a path is if it is neither a file nor a folder and opening it may block, else None.

    >>> special_file(0o010644), special_file(0o100644)
    ('a named pipe is not an audio file', None)
    """
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    kind = kinds.get(stat.S_IFMT(mode))
    return f"a {kind} is not an audio file" if kind else None


@contextmanager
def exclusive_lock(path: Path, purpose: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file for the length of the block.

    The operating system holds the lock (flock; on Windows msvcrt.locking), so it ends with the process, also after
    kill -9. On NFS, Linux passes flock on to the server, so the lock is valid for all clients if the server supports
    locks. On a file system without flock, filelock warns and uses a marker file.

    The holder's process ID is in `path` + ".pid" while the lock is held. It is only used in the message, and says
    nothing once the lock is released.
    Errors: GenrekitError with `purpose` and the holder's process ID if another process holds the lock, unless `wait`;
    OSError if the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    holder = path.with_name(f"{path.name}.pid")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise GenrekitError(
            f"{purpose}: process {_holder_text(holder)} is working on it; wait until it ends, or stop it"
        ) from None
    except OSError as error:  # its file name may be missing
        named = path if os.path.lexists(path) else path.parent
        raise OSError(error.errno, error.strerror, str(named)) from error
    try:
        with suppress(OSError):  # on a full disk, the lock works without it
            holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder_text(path: Path) -> str:
    """Return the process ID in a file. The holder may not have written it yet, or may be gone."""
    try:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"


def size_text(n_bytes: float) -> str:
    """Format a size in bytes.

    >>> size_text(1_730_000_000), size_text(2_500_000), size_text(900)
    ('1.73 GB', '2.5 MB', '0.9 kB')
    """
    for unit, size, digits in (("GB", 1e9, 2), ("MB", 1e6, 1)):
        if n_bytes >= size:
            return f"{n_bytes / size:.{digits}f} {unit}"
    return f"{n_bytes / 1e3:.1f} kB"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
