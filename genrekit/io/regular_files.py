"""Open files that the user or a stranger named: only regular ones, and small ones with a limit.

A named pipe blocks whoever opens it, a device may be endless, and opening one can have an effect.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import TextIO

from genrekit.io.targets import special_kind

SMALL = 256 << 20
"""Most bytes of a text file, such as a manifest of a million tracks or a study."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading. Links are followed. No other file is opened.

    Errors: OSError with the reason if it is a named pipe, a socket, a device or a directory, or cannot be opened.
    """
    _require_regular(path, path.stat())
    return open(path, "rb", opener=_open)


def open_regular_text(path: Path) -> TextIO:
    """Open a regular UTF-8 file for reading, without translating line ends.

    Errors: OSError as of `open_regular`.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="")


def read_small_file(path: Path, *, limit: int = SMALL) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Errors: OSError as of `open_regular`; OSError (E2BIG) if it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if size <= limit else b""
    if max(size, len(content)) > limit:
        raise OSError(errno.E2BIG, f"it has more than {_size(limit)}", str(path))
    return content


def read_small_text(path: Path, *, limit: int = SMALL) -> str:
    """Read a regular UTF-8 file of at most `limit` bytes, with or without a byte order mark.

    Errors: OSError as of `read_small_file`; ValueError if it is not text.
    """
    try:
        text = read_small_file(path, limit=limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}") from error
    if "\0" in text:
        raise ValueError("it is not text: it has NUL bytes")
    return text.replace("\r\n", "\n")


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"


def _open(path: str, flags: int) -> int:
    """Open without blocking, and check again: the file may have been replaced since the first check."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _require_regular(Path(path), os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(path: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(kind):
        special = special_kind(status.st_mode)
        raise OSError(errno.ESPIPE, f"it is a {special}, not a file" if special else "it is not a file", str(path))
