"""Write and copy the rows of a cache as bytes at fixed offsets.

A cache's datasets are contiguous and preallocated, so the offset of a row is known before its content. Workers write
disjoint rows with positioned writes. No array is sent through a pipe, no HDF5 metadata changes while rows are written,
and the file still opens after a worker is killed.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.audio.features import mel_spectrogram
from genrekit.audio.transform import transform_track
from genrekit.config import PrepareConfig
from genrekit.errors import UnreadableAudioError

ROW_DATASETS = ("waveform", "mel", "landmark", "start_s", "variant", "strength", "checksum")
"""The datasets that workers write; a cache may lack some."""

_COPY_BLOCK = 1 << 20
_FLUSH_EVERY_S = 1.0


@dataclass(frozen=True)
class Extent:
    """The offset of a contiguous dataset in its file, and the bytes of one row."""

    offset: int
    row_bytes: int

    def at(self, row: int) -> int:
        """Return the offset of a row."""
        return self.offset + row * self.row_bytes


@dataclass(frozen=True)
class TrackRows:
    """A track and the rows that are reserved for it."""

    index: int
    track_id: str
    path: Path
    first_row: int
    rows: int


@dataclass(frozen=True)
class Written:
    """A track whose rows are written."""

    slot: TrackRows
    digest: str
    silent: bool


@dataclass(frozen=True)
class RowCountMismatch:
    """A track that differs from its header: another number of rows, or none and the reason."""

    slot: TrackRows
    rows: int
    reason: str | None = None


def warm_up(config: PrepareConfig) -> None:
    """Import and compute what `write_track` needs, so that a worker's first track does not wait for it."""
    mel_spectrogram(config.front_end).power(np.zeros(config.front_end.n_samples, np.float32))


def write_track(
    file: Path, extents: dict[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    """Transform one track and write its rows.

    Errors: OSError if the file cannot be written, for example on a full disk.
    """
    try:
        tensors = transform_track(slot.track_id, slot.path, config)
    except UnreadableAudioError as error:
        return RowCountMismatch(slot, 0, str(error))
    if len(tensors.variant) != slot.rows:
        return RowCountMismatch(slot, len(tensors.variant))
    columns: dict[str, npt.NDArray[Any]] = {
        **tensors.tensors,
        "landmark": tensors.landmark,
        "start_s": tensors.start_s,
        "variant": tensors.variant,
        "strength": tensors.strength,
        "checksum": row_checksums(list(tensors.tensors.values())),
    }
    with open_descriptor(file, os.O_WRONLY) as descriptor:
        for name, values in columns.items():
            write_at(descriptor, extents[name].at(slot.first_row), np.ascontiguousarray(values))
    return Written(slot, tensors.digest, tensors.silent)


def row_checksums(tensors: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of each row: of its waveform and then its mel spectrogram, if they are stored.

    Shapes: each tensor [rows, ...], result [rows].
    """
    checksums = np.zeros(len(tensors[0]), np.uint32)
    for values in tensors:
        contiguous = np.ascontiguousarray(values)
        checksums[:] = [zlib.crc32(row.data, start) for row, start in zip(contiguous, checksums.tolist(), strict=True)]
    return checksums


def copy_rows(source: int, target: int, start: int, size: int, destination: int) -> None:
    """Copy `size` bytes from one descriptor to another, from offset `start` to offset `destination`."""
    while size > 0:
        block = os.pread(source, min(size, _COPY_BLOCK), start)
        if not block:
            raise OSError(f"the file ends {size} bytes early")
        write_at(target, destination, np.frombuffer(block, dtype=np.uint8))
        start, destination, size = start + len(block), destination + len(block), size - len(block)


def write_at(descriptor: int, offset: int, values: npt.NDArray[Any]) -> None:
    """Write all bytes of a contiguous array at an offset."""
    data = values.reshape(-1).view(np.uint8).data
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@contextmanager
def flushed_file(path: Path) -> Iterator[int]:
    """Open a descriptor for writing. When the block ends, all that any process wrote to the file is on the disk.

    A thread flushes the file once a second during the block, so that the flush at the end is short.
    """
    with open_descriptor(path, os.O_WRONLY) as descriptor, ThreadPoolExecutor(1) as thread:
        finished = threading.Event()
        flushing = thread.submit(_flush_until, finished, descriptor)
        try:
            yield descriptor
        finally:
            finished.set()
        flushing.result()
        os.fsync(descriptor)


def _flush_until(finished: threading.Event, descriptor: int) -> None:
    os.fsync(descriptor)
    while not finished.wait(_FLUSH_EVERY_S):
        os.fsync(descriptor)


@contextmanager
def open_descriptor(path: Path, flags: int) -> Iterator[int]:
    """Open a file descriptor for the length of the block."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
