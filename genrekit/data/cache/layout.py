"""The layout of a cache: an HDF5 file of prepared fragments that plain h5py can read.

Rows are variants of fragments, ordered by track, start and variant. Tracks are ordered by id.

    /waveform  int16   [N, n_samples]         divide by 32,767           (each of these two
    /mel       float16 [N, n_mels, n_frames]  dB mel spectrogram in [0, 1]     if it is stored)
    /genre     int16   [N]  into /genres      /track   int32   [N]  into /tracks/*
    /variant   uint8   [N]  into /variants    /start_s float64 [N]  seconds
    /strength  float32 [N, 4]  the random strength of each augmentation, NaN if it was not applied
    /landmark  uint64 [N, 48]  fingerprint of an original  /checksum uint32 [N]  CRC-32 of the row
    /tracks/   id, genre, artist, part, digest, silent, recording, done, size, mtime_ns, first_row, rows
    /skipped/  path, reason, size, mtime_ns
    attributes of the root: format_version, config (JSON), genrekit_version

`/tracks/part` is the subset that a manifest gives a track. Datasets are contiguous, so the offset of every row is known
before its content.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from genrekit.audio.fingerprint import LANDMARKS
from genrekit.config import AUGMENTATIONS, PrepareConfig
from genrekit.data.collection import SkippedFile, Track

FORMAT_VERSION = 2

ROW_TYPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "start_s": ("f8", ()),
    "variant": ("u1", ()),
    "strength": ("f4", (len(AUGMENTATIONS),)),
    "landmark": ("u8", (LANDMARKS,)),
    "checksum": ("u4", ()),
    "track": ("i4", ()),
    "genre": ("i2", ()),
}
"""Type and shape of one row of each dataset, except for the stored inputs."""

TRACK_RESULTS = {"digest": "S32", "silent": "u1", "recording": "i4", "done": "u1"}
"""Types of the track datasets that are known only after the rows are computed; `done` is written last."""


@dataclass(frozen=True)
class CachedTrack:
    """A track in a cache. `digest` is that of its decoded audio, and empty until the track is `done`.

    `recording` is the index of the first track with the same recording, by fingerprint; -1 until the cache is complete.
    """

    id: str
    genre: str
    artists: tuple[str, ...]
    subset: str | None
    size: int
    mtime_ns: int
    first_row: int
    rows: int
    digest: str = ""
    silent: bool = False
    recording: int = -1
    done: bool = False

    def describes(self, track: Track) -> bool:
        """Return whether the rows are computed and the file has not changed since, by size and time."""
        return self.done and (self.id, self.size, self.mtime_ns) == (track.id, track.size, track.mtime_ns)


@dataclass(frozen=True)
class CachedSkip:
    """A file that was skipped, with the size and the time that show whether it has changed."""

    file: SkippedFile
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class CachePlan:
    """Everything about a cache except for the content of its rows."""

    config: PrepareConfig
    tracks: tuple[CachedTrack, ...]
    skipped: tuple[CachedSkip, ...]

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres in alphabetical order."""
        return tuple(sorted({track.genre for track in self.tracks}))

    @property
    def n_rows(self) -> int:
        """Number of rows of all tracks."""
        return sum(track.rows for track in self.tracks)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in all datasets together."""
        return sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in dataset_types(self.config).values())

    def matches(self, other: CachePlan) -> bool:
        """Return whether both plans have the same rows of the same files at the same offsets."""
        return self.config == other.config and self._blank() == other._blank() and self.skipped == other.skipped

    def _blank(self) -> list[CachedTrack]:
        return [replace(track, digest="", silent=False, recording=-1, done=False) for track in self.tracks]


def dataset_types(config: PrepareConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the type and the shape of one row of each dataset."""
    return {**{kind: (config.dtype(kind), config.front_end.shape(kind)) for kind in config.inputs}, **ROW_TYPES}
