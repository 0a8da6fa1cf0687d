"""A file in memory that HDF5 writes first, so that HDF5 never meets a full disk.

HDF5 does not get over a write that fails: objects that it can no longer write cannot be closed either, and the process
crashes later. A draft does not fail; from there to the disk go plain writes, whose errors are plain OSErrors.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

_PAGE = 1 << 16


class Draft(io.RawIOBase):
    """A file in memory; only pages that were written take space, however long the gaps between them."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._size = self._place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the place of the next read or write."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def seekable(self) -> bool:
        """Any place can be gone to."""
        return True

    def readable(self) -> bool:
        """What was written can be read."""
        return True

    def writable(self) -> bool:
        """It can be written."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the place on; gaps are zeros. Return the bytes read."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._place)]
        for page, inside, part in self._parts(len(view)):
            content = self._pages.get(page)
            view[part] = content[inside] if content is not None else bytes(part.stop - part.start)
        self._place += len(view)
        return len(view)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write at the place, and go on behind it."""
        view = memoryview(data).cast("B")
        for page, inside, part in self._parts(len(view)):
            self._pages.setdefault(page, bytearray(_PAGE))[inside] = view[part]
        self._place += len(view)
        self._size = max(self._size, self._place if len(view) else 0)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length, which need not be that of what was written."""
        self._size = self._place if size is None else size
        return self._size

    def save(self, path: Path) -> None:
        """Write the file to disk, with the space of its gaps set aside.

        Errors: OSError where the disk is full.
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

    def _parts(self, size: int) -> Iterator[tuple[int, slice, slice]]:
        """The pages that the next bytes lie on: number, slice of the page, slice of the bytes."""
        done = 0
        while done < size:
            page, first = divmod(self._place + done, _PAGE)
            length = min(_PAGE - first, size - done)
            yield page, slice(first, first + length), slice(done, done + length)
            done += length
