"""Atomic writes, locks between processes, and reading of JSON and TOML with clear errors."""

import glob
import json
import os
import shlex
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from genrekit.errors import GenrekitError, UsageError, advice
from genrekit.io.regular_files import read_small_file, read_small_text
from genrekit.io.targets import refuse_dangling, refuse_special, special_kind

_FORMATS = {
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".html": "HTML",
    ".htm": "HTML",
    ".csv": "CSV",
    ".tex": "LaTeX",
    ".onnx": "ONNX",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".safetensors": "safetensors",
    ".npz": "NumPy",
    ".pdf": "PDF",
    ".svg": "SVG",
    ".png": "PNG",
    ".json": "JSON",
    ".toml": "TOML",
    ".md": "Markdown",
    ".xls": "Excel",
    ".xlsx": "Excel",
}
"""Extensions that name a format."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file beside `path`, which replaces `path` when the block ends without an error.

    After an error, a kill or a full disk, `path` is unchanged. A link is replaced, not the file that it leads to.
    Errors: GenrekitError if a device, a named pipe or a socket is there.
    """
    with suppress(OSError):
        refuse_special(path, path.lstat().st_mode)
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
    except OSError as error:
        new.unlink(missing_ok=True)
        if error.errno is None or error.filename not in (None, name):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # writing gives no name, opening another one
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


def remove_torn_versions(path: Path) -> None:
    """Remove temporary files of atomic writes of one file. No other process may be writing it."""
    for torn in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        torn.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically. NaN and infinity raise ValueError, because JSON does not have them."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


MOST_JSON_BYTES = 256 << 20
"""Size of the largest JSON file that is read. A split of a million tracks takes about 100 MB."""

MOST_TOML_BYTES = 4 << 20
"""Size of the largest TOML file that is read."""


def require_size(path: Path, most_bytes: float) -> None:
    """Check the size of a file before it is read into memory.

    Errors: ValueError if it is larger, OSError if there is no file.
    """
    n_bytes = path.stat().st_size
    if n_bytes > most_bytes:
        raise ValueError(
            f"it has {size_text(n_bytes)}, more than the {size_text(most_bytes)} that such a file can have"
        )


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Errors: GenrekitError with the path if the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(read_small_file(path, limit=MOST_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise cannot("read", path, error) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Errors: GenrekitError with the path if the file is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(read_small_text(path, limit=MOST_TOML_BYTES))
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


def require_no_folder(path: Path, name: str) -> None:
    """Check that the path of a new file is not a folder; `name` is a file that could be written in it.

    Errors: UsageError, also if the path has the extension of another format than the name.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory: name a file in it, such as --out {shlex.quote(str(path / name))}")
    require_format(path, Path(name).suffix)


def require_format(path: Path, suffix: str) -> None:
    """Check that the path of a new file does not have the extension of another format, such as .pdf for HTML.

    `suffix` is the usual extension of the format. Extensions that name no format are allowed.
    Errors: UsageError with a path that fits.
    """
    wanted, given = _FORMATS[suffix], _FORMATS.get(path.suffix.lower(), _FORMATS[suffix])
    if given != wanted:
        raise UsageError(f"{path} would be {wanted}, not {given}: name it {shlex.quote(str(path.with_suffix(suffix)))}")


def require_writable(folder: Path, target: Path | None = None) -> None:
    """Check that files can be created in a folder, which need not exist yet. Nothing is left there.

    Errors: GenrekitError with the reason. It names `target`, by default the folder.
    """
    refuse_dangling(folder)
    try:
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise cannot("write", target or folder, error) from error


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
    kind = special_kind(mode)
    return f"a {kind} is not an audio file" if kind else None


@contextmanager
def exclusive_lock(path: Path, purpose: str, *, wait: bool = False, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file until the end of the block.

    The operating system holds the lock (flock; on Windows msvcrt.locking), so it ends with the process, also after
    kill -9. On NFS, Linux passes flock on to the server, so the lock is valid for all clients if the server supports
    locks; so does Lustre if it is mounted with `flock`. With `localflock` and on other shared file systems, the lock is
    valid on one host only. On a file system without flock, filelock warns and uses a marker file. Files that several
    hosts may write at once must not rely on it: see `genrekit/data/cache/shards.py`.

    The holder's process ID is in `path` + ".pid" while the lock is held. It is only used in the message, and says
    nothing once the lock is released. Neither file is opened through a link, and their content never changes what is
    done.
    Errors: GenrekitError with `purpose` and the holder's process ID if another process holds the lock for longer than
    `wait_s` seconds, unless `wait`, and if something else than a lock file is at `path`; OSError if the lock file
    cannot be written.
    """
    from filelock import FileLock, Timeout

    refuse_dangling(path.parent)
    holder = path.with_name(f"{path.name}.pid")
    with suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise GenrekitError(f"{purpose}: {path} is not a lock file; remove it")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else wait_s)
    except Timeout:
        raise GenrekitError(
            f"{purpose}: process {_holder_text(holder)} is working on it; wait until it ends, or stop it"
        ) from None
    except OSError as error:  # its file name may be missing
        named = path if os.path.lexists(path) else path.parent
        raise OSError(error.errno, error.strerror, str(named)) from error
    try:
        with suppress(OSError):  # on a full disk, the lock works without it
            _write_holder(holder)
        yield
    finally:
        with suppress(OSError):  # the folder may have been removed, or is a folder itself
            holder.unlink()
        lock.release()


_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags that refuse to open a link, and do not wait for the other end of a named pipe."""


def _write_holder(path: Path) -> None:
    """Write the process ID of this process to a new file. What is at the path is removed, not written to."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666), "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))


def _holder_text(path: Path) -> str:
    """Return the process ID in a file. The holder may not have written it yet, or may be gone."""
    try:
        with open(os.open(path, os.O_RDONLY | _NO_LINK), "rb") as file:
            text = file.read(20).decode().strip()
    except (OSError, ValueError):
        return "unknown"
    return text if text.isdecimal() else "unknown"


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
