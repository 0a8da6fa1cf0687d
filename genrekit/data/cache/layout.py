"""The layout of a cache: an HDF5 file of prepared fragments that plain h5py can read.

Rows are variants of fragments, ordered by track, start and variant. Tracks are ordered by id.

    /waveform  int16   [N, n_samples]         divide by 32,767           (each of these two
    /mel       float16 [N, n_mels, n_frames]  dB mel spectrogram in [0, 1]     if it is stored)
    /genre     int16   [N]  into /genres      /track   int32   [N]  into /tracks/*
    /variant   uint8   [N]  into /variants    /start_s float64 [N]  seconds
    /strength  float32 [N, 4]  the random strength of each augmentation, NaN if it was not applied
    /landmark  uint64 [N, 48]  fingerprint of an original  /checksum uint32 [N]  CRC-32 of the row
    /tracks/   id, genre, artist, part, digest, recording, done, note, decoder, size, mtime_ns, ctime_ns, inode,
               file_digest, first_row, rows, padded, cancelled, silent_fragments, bandwidth_hz (see `SignalFacts`)
    /skipped/  path, reason, size, mtime_ns, ctime_ns, inode
    attributes of the root: format_version, config (JSON), genrekit_version

`/tracks/part` is the subset that a manifest gives a track. `/tracks/note` says what is unusual about a file, and
`/tracks/decoder` is empty for libsndfile; older caches have neither. Datasets are contiguous, so the offset of every
row is known before its content.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from genrekit.audio.fingerprint import LANDMARKS
from genrekit.audio.transform import SignalFacts
from genrekit.config import AUGMENTATIONS, PrepareConfig
from genrekit.data.collection import SkippedFile

FORMAT_VERSION = 3

READABLE_VERSIONS = (2, 3)
"""Version 2 lacks facts about audio and files, and fills tracks that are shorter than a fragment with zeros."""

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

TRACK_TEXTS = ("id", "artist", "part", "genre")
"""Names of the track datasets with texts."""

TRACK_NUMBERS = {"size": "i8", "mtime_ns": "i8", "first_row": "i8", "rows": "i4"}
"""Types of the track datasets that are known before the rows are computed."""

SKIP_TEXTS = ("path", "reason")
SKIP_NUMBERS = {"size": "i8", "mtime_ns": "i8"}
"""Datasets of skipped files."""

TRACK_FACTS = {"padded": "u1", "cancelled": "u1", "silent_fragments": "i4", "bandwidth_hz": "f4"}
"""Types of the track datasets with the fields of `SignalFacts`."""

TRACK_RESULTS = {
    "digest": "S32",
    "file_digest": "S32",
    "recording": "i4",
    "note": "S200",
    "decoder": "S40",
    **TRACK_FACTS,
    "done": "u1",
}
"""Types of the track datasets that are known only after the rows are computed; `done` is written last."""

FILE_STATUS = {"ctime_ns": "i8", "inode": "i8"}
"""Types of the track datasets that tell whether a file is another one."""


@dataclass(frozen=True)
class CachedTrack:
    """A track in a cache. `digest` is that of its decoded audio, and empty until the track is `done`.

    `file_digest` is the CRC-32 of the content of its file. `note` says what is unusual about the file, and `decoder` is
    the decoder's name and version, empty for libsndfile. These, `ctime_ns` and `inode` are unknown in caches of
    version 2.

    `recording` is the index of the first track with the same recording, by fingerprint; -1 until the cache is complete.
    `silent` is true for silent tracks in caches of version 2. Later versions skip them.
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
    facts: SignalFacts = field(default_factory=SignalFacts)
    recording: int = -1
    done: bool = False
    ctime_ns: int = 0
    inode: int = 0
    file_digest: str = ""
    note: str = ""
    decoder: str = ""


@dataclass(frozen=True)
class CachedSkip:
    """A file that was skipped, with the status that shows whether it has changed; 0 if it is unknown."""

    file: SkippedFile
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0


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
        same_tracks = self._blank() == other._blank()
        same_skips = self._blank_skips() == other._blank_skips()
        return self.config == other.config and same_tracks and same_skips and self._has(other)

    def _has(self, other: CachePlan) -> bool:
        """Return whether all computed rows of the other plan are still valid, by this plan."""
        return all(mine.done or not theirs.done for mine, theirs in zip(self.tracks, other.tracks, strict=True))

    def _blank_skips(self) -> list[CachedSkip]:
        return [replace(skip, ctime_ns=0, inode=0) for skip in self.skipped]

    def _blank(self) -> list[CachedTrack]:
        return [
            replace(
                track,
                digest="",
                file_digest="",
                silent=False,
                facts=SignalFacts(),
                recording=-1,
                done=False,
                ctime_ns=0,
                inode=0,
                note="",
                decoder="",
            )
            for track in self.tracks
        ]


def dataset_types(config: PrepareConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the type and the shape of one row of each dataset."""
    return {**{kind: (config.dtype(kind), config.front_end.shape(kind)) for kind in config.inputs}, **ROW_TYPES}
