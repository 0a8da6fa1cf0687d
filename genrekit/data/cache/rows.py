"""Write and copy the rows of a cache as bytes at fixed offsets.

A cache's datasets are contiguous and preallocated, so the offset of a row is known before its content. Workers write
disjoint rows with positioned writes. No array is sent through a pipe, no HDF5 metadata changes while rows are written,
and the file still opens after a worker is killed.
"""

from __future__ import annotations

import os
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.audio.block_window import CHANGED
from genrekit.audio.decode import LongAudioError
from genrekit.audio.features import mel_spectrogram
from genrekit.audio.long_tracks import long_track, stacked_rows
from genrekit.audio.transform import Rows, SignalFacts, row_bytes, transform_track
from genrekit.config import PrepareConfig
from genrekit.errors import UnreadableAudioError, file_that_needs_memory
from genrekit.io.digests import file_checksum

ROW_DATASETS = ("waveform", "mel", "landmark", "start_s", "variant", "strength", "checksum")
"""The datasets that workers write. A cache that stores only one kind of input lacks some."""

_COPY_BLOCK = 1 << 20
_FLUSH_EVERY_S = 1.0

_ROW_BYTES_AT_ONCE = 16 << 20
"""Bytes of the rows of a long track that are written at once."""


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
    """A track whose rows are written.

    `notes` and `decoder` have the meaning that they have in `Decoded`. `messages` is what decoder libraries printed.
    """

    slot: TrackRows
    digest: str
    file_digest: str
    facts: SignalFacts
    notes: tuple[str, ...] = ()
    decoder: str = ""
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowCountMismatch:
    """A track whose number of rows is not the one that its header gives. `reason` is given if it has no rows."""

    slot: TrackRows
    rows: int
    reason: str | None = None


def warm_up(config: PrepareConfig) -> None:
    """Import and compute what `write_track` needs, so that a worker's first track does not wait for it."""
    mel_spectrogram(config.front_end).power(np.zeros(config.front_end.n_samples, np.float32))


def write_track(
    file: Path, extents: Mapping[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    """Transform one track and write its rows.

    Errors: OSError if the file cannot be written, for example on a full disk.
    """
    try:
        with file_that_needs_memory():
            try:
                return _write_whole(file, extents, slot, config)
            except LongAudioError:
                return _write_in_passes(file, extents, slot, config)
    except UnreadableAudioError as error:
        return RowCountMismatch(slot, 0, str(error))


def _write_whole(
    file: Path, extents: Mapping[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    track = transform_track(slot.track_id, slot.path, config)
    if len(track.variant) != slot.rows:
        return RowCountMismatch(slot, len(track.variant))
    with open_descriptor(file, os.O_WRONLY) as descriptor:
        _write_rows(descriptor, extents, slot.first_row, track)
    return Written(slot, track.digest, file_checksum(slot.path), track.facts, track.notes, track.decoder)


def _write_in_passes(
    file: Path, extents: Mapping[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    """Write the rows of a long track a few at a time.

    Errors: UnreadableAudioError if the file changes between the passes.
    """
    track = long_track(slot.track_id, slot.path, config)
    if track.n_rows != slot.rows:
        return RowCountMismatch(slot, track.n_rows)
    at_once = max(1, _ROW_BYTES_AT_ONCE // row_bytes(config))
    written, rows = 0, track.rows()
    with open_descriptor(file, os.O_WRONLY) as descriptor:
        while some := list(islice(rows, at_once)):
            if written + len(some) > slot.rows:
                raise UnreadableAudioError(CHANGED)
            _write_rows(descriptor, extents, slot.first_row + written, stacked_rows(some))
            written += len(some)
    if written != slot.rows:
        raise UnreadableAudioError(CHANGED)
    return Written(slot, track.digest, file_checksum(slot.path), track.facts, track.notes, track.decoder)


def _write_rows(descriptor: int, extents: Mapping[str, Extent], first_row: int, rows: Rows) -> None:
    columns: dict[str, npt.NDArray[Any]] = {
        **rows.tensors,
        "landmark": rows.landmark,
        "start_s": rows.start_s,
        "variant": rows.variant,
        "strength": rows.strength,
        "checksum": row_checksums(list(rows.tensors.values())),
    }
    for name, values in columns.items():
        write_at(descriptor, extents[name].at(first_row), np.ascontiguousarray(values))


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
        if sys.platform == "linux":  # begins to write these bytes to the disk: the flush at the end is then short
            os.posix_fadvise(target, destination, len(block), os.POSIX_FADV_DONTNEED)
        start, destination, size = start + len(block), destination + len(block), size - len(block)


def write_at(descriptor: int, offset: int, values: npt.NDArray[Any]) -> None:
    """Write all bytes of a contiguous array at an offset."""
    data = values.reshape(-1).view(np.uint8).data
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@contextmanager
def flushed_file(path: Path) -> Iterator[int]:
    """Open a descriptor for writing. When the block ends, the writes of all processes to the file are on the disk.

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
    """Open a file descriptor, and close it at the end of the block."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
