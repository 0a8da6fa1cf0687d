"""Read pieces of a file as if they were a file, for decoders that stop early in joined or damaged files."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_READ_WHOLE = 64 << 20
"""Bytes up to which a file is read and not mapped."""

Content = bytes | mmap.mmap
"""The bytes of a file."""


@dataclass(frozen=True)
class Part:
    """A complete file for a decoder: some bytes, and then ranges [start, end) of the file on the disk."""

    ranges: tuple[tuple[int, int], ...]
    head: bytes = b""


@dataclass(frozen=True)
class Layout:
    """How a file must be read.

    `parts` are decoded one after the other; without parts, the file is read as it is. `declared_s` is the length that
    the decoder would stop at, `whole_s` the length of the complete file, and `readable_s` that of what is left of it,
    all in seconds and None if unknown. `tolerance_s` is how much a decoder may leave out at the edges. `joined` is the
    number of files that were joined, `lost_bytes` what cannot be decoded, and `cut` is true if the end is missing.
    """

    parts: tuple[Part, ...] = ()
    declared_s: float | None = None
    whole_s: float | None = None
    readable_s: float | None = None
    tolerance_s: float = 0.0
    joined: int = 1
    lost_bytes: int = 0
    cut: bool = False


@contextmanager
def file_content(path: Path) -> Iterator[Content]:
    """Yield the bytes of a file that is not empty. A large file is mapped into memory."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= _READ_WHOLE:
            yield file.read()
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


class PartFile(io.RawIOBase):
    """The bytes of a part as a binary file that can be read and seeked."""

    def __init__(self, path: Path, part: Part) -> None:
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 # closed by `close`
        self._part, self._position = part, 0
        self._size = len(part.head) + sum(end - start for start, end in part.ranges)

    def close(self) -> None:
        """Close the file on the disk, too."""
        if not self.closed:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, origin: int = os.SEEK_SET) -> int:
        """Move to a position of the part."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[origin]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position in the part."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (piece := self._piece(len(view) - filled)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def _piece(self, size: int) -> bytes:
        """Return up to `size` bytes at the position, all from one range."""
        offset = self._position
        if offset < len(self._part.head):
            return self._part.head[offset : offset + size]
        offset -= len(self._part.head)
        for start, end in self._part.ranges:
            if offset < end - start:
                self._file.seek(start + offset)
                return self._file.read(min(size, end - start - offset))
            offset -= end - start
        return b""
