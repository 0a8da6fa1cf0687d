"""A file in memory that HDF5 writes to, so that a full disk cannot make HDF5 crash.

HDF5 does not recover from a failed write: objects that it cannot write cannot be closed either, and the process crashes
later. Writing to memory does not fail. The result is then written to disk with plain writes, which raise OSError.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

_PAGE = 1 << 16


class Draft(io.RawIOBase):
    """A file in memory. Only pages that were written take memory, so gaps can be large."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._size = self._position = 0

    def seek(self, offset: int, origin: int = os.SEEK_SET) -> int:
        """Set the position of the next read or write."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[origin]
        return self._position

    def seekable(self) -> bool:
        """Return true."""
        return True

    def readable(self) -> bool:
        """Return true."""
        return True

    def writable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the position on, with zeros for gaps. Return the number of bytes read."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        for page, inside, outside in self._pages_of(len(view)):
            content = self._pages.get(page)
            view[outside] = content[inside] if content is not None else bytes(outside.stop - outside.start)
        self._position += len(view)
        return len(view)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write at the position, and move it behind the data."""
        view = memoryview(data).cast("B")
        for page, inside, outside in self._pages_of(len(view)):
            self._pages.setdefault(page, bytearray(_PAGE))[inside] = view[outside]
        self._position += len(view)
        self._size = max(self._size, self._position if len(view) else 0)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length, which may be greater than what was written."""
        self._size = self._position if size is None else size
        return self._size

    def save(self, path: Path) -> None:
        """Write the file to disk, and reserve the space of its gaps.

        Errors: OSError, for example if the disk is full.
        """
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self._size)
            for page, content in sorted(self._pages.items()):
                file.seek(page * _PAGE)
                file.write(content[: max(0, self._size - page * _PAGE)])
            file.truncate(self._size)
            file.flush()
            os.fsync(file.fileno())

    def _pages_of(self, size: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield the pages of the next bytes: page number, slice of the page, slice of the bytes."""
        done = 0
        while done < size:
            page, first = divmod(self._position + done, _PAGE)
            length = min(_PAGE - first, size - done)
            yield page, slice(first, first + length), slice(done, done + length)
            done += length
