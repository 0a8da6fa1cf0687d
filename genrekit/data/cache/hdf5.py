"""The cache: one HDF5 file of prepared fragments that anyone can read with plain h5py.

Rows are fragment variants, ordered by track, start and variant; tracks are ordered by id.

    /waveform  int16   [N, n_samples]         divide by 32,767           (each of these two
    /mel       float16 [N, n_mels, n_frames]  dB mel spectrogram in [0, 1]     if it is stored)
    /genre     int16   [N]  into /genres      /track   int32   [N]  into /tracks/*
    /variant   uint8   [N]  into /variants    /start_s float64 [N]  seconds
    /strength  float32 [N, 4]  what each augmentation drew, NaN where it was not applied
    /landmark  uint64 [N, 48]  fingerprint of an original  /checksum uint32 [N]  CRC-32 of the row
    /tracks/   id, genre, artist, part, digest, silent, recording, done, size, mtime_ns, first_row, rows
    /skipped/  path, reason, size, mtime_ns
    attributes of the root: format_version, config (JSON), genrekit_version

This module is the only door to h5py. Files are opened for the length of one call; rows are then read through
numpy.memmap at the fixed offset of their contiguous dataset.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from genrekit._version import __version__
from genrekit.audio.fingerprint import LANDMARKS
from genrekit.config import AUGMENTATIONS, PrepareConfig, Stored
from genrekit.data.cache.memory_file import Draft
from genrekit.data.cache.rows import Extent, row_checksums
from genrekit.data.collection import SkippedFile, Track
from genrekit.errors import GenrekitError, IncompatibleCacheError
from genrekit.io.files import cannot, is_file, reason

FORMAT_VERSION = 2

_ROW_TYPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "start_s": ("f8", ()),
    "variant": ("u1", ()),
    "strength": ("f4", (len(AUGMENTATIONS),)),
    "landmark": ("u8", (LANDMARKS,)),
    "checksum": ("u4", ()),
    "track": ("i4", ()),
    "genre": ("i2", ()),
}
"""Type and shape of an entry of each dataset with one entry per row, but for the stored inputs."""

TRACK_RESULTS = {"digest": "S32", "silent": "u1", "recording": "i4", "done": "u1"}
"""Types of what is known of a track only when its rows are made; `done` is written last."""


@dataclass(frozen=True)
class CachedTrack:
    """A track as it stands in a cache; `digest` is that of its decoded audio, empty until `done`.

    `recording` is the place, among the cache's tracks, of the first one with the same recording by its fingerprint;
    -1 until the cache is finished.
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
        """Whether the file looks untouched since these rows were made."""
        return self.done and (self.id, self.size, self.mtime_ns) == (track.id, track.size, track.mtime_ns)


@dataclass(frozen=True)
class CachedSkip:
    """A file that was skipped, and the size and time by which it is recognized."""

    file: SkippedFile
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class CachePlan:
    """Everything about a cache but its rows' content."""

    config: PrepareConfig
    tracks: tuple[CachedTrack, ...]
    skipped: tuple[CachedSkip, ...]

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres in alphabetical order."""
        return tuple(sorted({track.genre for track in self.tracks}))

    @property
    def n_rows(self) -> int:
        """Rows of all tracks together."""
        return sum(track.rows for track in self.tracks)

    @property
    def row_bytes(self) -> int:
        """Bytes that one row takes in all datasets together."""
        types = [*_input_types(self.config).values(), *_ROW_TYPES.values()]
        return sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in types)

    def matches(self, other: CachePlan) -> bool:
        """Whether both plan the same rows of the same files in the same places."""
        return self.config == other.config and self._blank() == other._blank() and self.skipped == other.skipped

    def _blank(self) -> list[CachedTrack]:
        return [replace(track, digest="", silent=False, recording=-1, done=False) for track in self.tracks]


def _input_types(config: PrepareConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {kind: (config.dtype(kind), config.front_end.shape(kind)) for kind in config.inputs}


def create_cache(path: Path, plan: CachePlan) -> None:
    """Write a cache of which all but the rows' content is complete, with the space for that set aside.

    Errors: OSError where the disk is full.
    """
    draft = Draft()
    with h5py.File(draft, "w", libver=("earliest", "v110")) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["config"] = plan.config.model_dump_json()
        file.attrs["genrekit_version"] = __version__
        _strings(file, "genres", plan.genres)
        _strings(file, "variants", plan.config.augmentation.variants)
        _write_tracks(file.create_group("tracks"), plan)
        _write_skipped(file.create_group("skipped"), plan.skipped)
        for name, (kind, shape) in {**_input_types(plan.config), **_ROW_TYPES}.items():
            _reserve(file, name, (plan.n_rows, *shape), kind)
        rows = [track.rows for track in plan.tracks]
        genre_index = {genre: index for index, genre in enumerate(plan.genres)}
        file["track"][:] = np.repeat(np.arange(len(rows), dtype="i4"), rows)
        file["genre"][:] = np.repeat(np.array([genre_index[t.genre] for t in plan.tracks], dtype="i2"), rows)
    draft.save(path)


def _strings(group: Any, name: str, values: Sequence[str]) -> None:
    group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())


def _write_tracks(group: Any, plan: CachePlan) -> None:
    tracks = plan.tracks
    _strings(group, "id", [track.id for track in tracks])
    _strings(group, "artist", [";".join(track.artists) for track in tracks])
    _strings(group, "part", [track.subset or "" for track in tracks])
    _strings(group, "genre", [track.genre for track in tracks])
    for name, kind in (("size", "i8"), ("mtime_ns", "i8"), ("first_row", "i8"), ("rows", "i4")):
        group[name] = np.array([getattr(track, name) for track in tracks], dtype=kind)
    for name, kind in TRACK_RESULTS.items():
        dataset = _reserve(group, name, (len(tracks),), kind)
        dataset[:] = np.array([getattr(track, name) for track in tracks], dtype=kind)


def _write_skipped(group: Any, skipped: Sequence[CachedSkip]) -> None:
    _strings(group, "path", [skip.file.path for skip in skipped])
    _strings(group, "reason", [skip.file.reason for skip in skipped])
    group["size"] = np.array([skip.size for skip in skipped], dtype="i8")
    group["mtime_ns"] = np.array([skip.mtime_ns for skip in skipped], dtype="i8")


def _reserve(group: Any, name: str, shape: tuple[int, ...], kind: str) -> Any:
    """Create a contiguous dataset whose place in the file is fixed from the start and is not filled."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(np.dtype(kind), logical=True), space, settings).close()
    return group[name]


class Cache:
    """A cache on disk, open for reading; `open_cache` makes one.

    The arrays `track`, `genre`, `variant` and `start_s` have one entry per row.
    """

    def __init__(self, path: Path, plan: CachePlan, extents: dict[str, Extent], columns: dict[str, Any]) -> None:
        self.path, self.plan, self.extents = path, plan, extents
        self.config, self.genres, self.tracks = plan.config, plan.genres, plan.tracks
        self.variants = plan.config.augmentation.variants
        self.track: npt.NDArray[np.int32] = columns["track"]
        self.genre: npt.NDArray[np.int16] = columns["genre"]
        self.variant: npt.NDArray[np.uint8] = columns["variant"]
        self.start_s: npt.NDArray[np.float64] = columns["start_s"]
        self.checksum: npt.NDArray[np.uint32] = columns["checksum"]

    @cached_property
    def waveform(self) -> npt.NDArray[np.int16]:
        """All waveforms, mapped from the file: int16 [N, n_samples], to be divided by 32,767."""
        return self._mapped("waveform")

    @cached_property
    def mel(self) -> npt.NDArray[np.floating]:
        """All mel spectrograms, mapped from the file: float16 or float32 [N, n_mels, n_frames] in [0, 1]."""
        return self._mapped("mel")

    @cached_property
    def landmark(self) -> npt.NDArray[np.uint64]:
        """The landmarks of all rows, mapped from the file; those of augmented variants are 0."""
        return self._mapped("landmark")

    @cached_property
    def strength(self) -> npt.NDArray[np.float32]:
        """What each kind of augmentation drew for each row, mapped from the file; NaN where it was not applied."""
        return self._mapped("strength")

    def tensor(self, kind: Stored) -> npt.NDArray[Any]:
        """The dataset of that name.

        Errors: IncompatibleCacheError where the cache was prepared without it.
        """
        if kind not in self.config.inputs:
            raise IncompatibleCacheError(
                f"{self.path} holds no {kind} but {self.config.store} only: prepare a cache that stores both, "
                f"or train on {self.config.store}"
            )
        return self.mel if kind == "mel" else self.waveform

    def content_key(self, maker: str) -> str:
        """Digest of the configuration, the tracks and each row's checksum, and of what makes something of them."""
        digest = hashlib.sha256(f"{maker} {self.config.model_dump_json()}".encode())
        for track in self.tracks:
            digest.update(f"\n{track.id} {track.digest} {track.first_row} {track.rows}".encode())
        digest.update(np.ascontiguousarray(self.checksum).tobytes())
        return digest.hexdigest()

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """The files of the collection that are not in the cache, and why."""
        return tuple(skip.file for skip in self.plan.skipped)

    def original_rows(self, track_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Rows of the original fragments of some tracks, in the cache's order."""
        wanted = set(track_ids)
        chosen = np.array([track.id in wanted for track in self.tracks], dtype=bool)
        return np.flatnonzero(chosen[self.track] & (self.variant == 0))

    def duplicates(self) -> tuple[tuple[str, str], ...]:
        """Pairs of tracks whose decoded audio is sample-identical, each with the first of its kind."""
        first: dict[str, str] = {}
        pairs = []
        for track in self.tracks:
            twin = first.setdefault(track.digest, track.id)
            if twin != track.id and not track.silent:
                pairs.append((twin, track.id))
        return tuple(pairs)

    def damaged_rows(self) -> npt.NDArray[np.int64]:
        """Rows of tracks that are done whose content does not match its checksum; reads all of these rows."""
        step = 256
        done = np.array([track.done for track in self.tracks], dtype=bool)[self.track]
        found = [np.zeros(0, np.int64)]
        for start in range(0, len(self.track), step):
            block = slice(start, start + step)
            if done[block].any():
                now = row_checksums([self.tensor(kind)[block] for kind in self.config.inputs])
                found.append(start + np.flatnonzero((now != self.checksum[block]) & done[block]))
        return np.concatenate(found)

    def near_duplicates(self) -> tuple[tuple[str, str], ...]:
        """Pairs of tracks with the same recording that are not sample-identical, each with the first of its kind."""
        firsts = [self.tracks[track.recording] for track in self.tracks]
        return tuple(
            (first.id, track.id)
            for first, track in zip(firsts, self.tracks, strict=True)
            if first is not track and first.digest != track.digest
        )

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        kind, shape = {**_input_types(self.config), **_ROW_TYPES}[name]
        offset = self.extents[name].offset
        return np.memmap(self.path, np.dtype(kind).newbyteorder("<"), "r", offset, (len(self.track), *shape))


def open_cache(path: Path, *, unfinished: bool = False) -> Cache:
    """Open a cache for reading.

    Errors: GenrekitError where there is none, IncompatibleCacheError where it is damaged, of another format version
    or, unless `unfinished` is allowed, not finished.
    """
    if not is_file(path):
        raise GenrekitError(f"no cache at {path}: prepare a collection first")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:  # HDF5 says this in many more words
        raise cannot("read", path, error) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            version = int(file.attrs["format_version"])
            if version != FORMAT_VERSION:
                raise IncompatibleCacheError(
                    f"{path} has cache format {version}, this genrekit reads format {FORMAT_VERSION}: prepare it again"
                )
            cache = _read(path, file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise IncompatibleCacheError(f"{path} is not a readable cache ({_short(error)}): prepare it again") from error
    end = max(extent.at(len(cache.track)) for extent in cache.extents.values())
    if path.stat().st_size < end:
        raise IncompatibleCacheError(f"{path} is shorter than its {end} bytes of rows: prepare it again")
    if not unfinished and not all(track.done for track in cache.tracks):
        raise IncompatibleCacheError(f"{path} is unfinished: run prepare again to complete it")
    return cache


def _short(error: Exception) -> str:
    return reason(error).splitlines()[0][:200] if reason(error) else type(error).__name__


def _read(path: Path, file: Any) -> Cache:
    config = PrepareConfig.of(json.loads(file.attrs["config"]))
    plan = CachePlan(config, _read_tracks(file["tracks"]), _read_skipped(file["skipped"]))
    names = (*config.inputs, *_ROW_TYPES, *(f"tracks/{name}" for name in TRACK_RESULTS))
    extents = {name: _extent(file[name]) for name in names}
    return Cache(
        path, plan, extents, {name: file[name][:] for name in ("track", "genre", "variant", "start_s", "checksum")}
    )


def _extent(dataset: Any) -> Extent:
    offset = dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{dataset.name} is not contiguous")
    return Extent(offset, int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize)


def _read_tracks(group: Any) -> tuple[CachedTrack, ...]:
    names = ("size", "mtime_ns", "first_row", "rows", "silent", "recording", "done")
    numbers = {name: group[name][:].tolist() for name in names}
    digests = [digest.decode("ascii") for digest in group["digest"][:]]
    texts = zip(*(group[name].asstr()[:] for name in ("id", "genre", "artist", "part")), strict=True)
    return tuple(
        CachedTrack(
            id=track_id,
            genre=genre,
            artists=tuple(artists.split(";")) if artists else (),
            subset=subset or None,
            size=numbers["size"][index],
            mtime_ns=numbers["mtime_ns"][index],
            first_row=numbers["first_row"][index],
            rows=numbers["rows"][index],
            digest=digests[index],
            silent=bool(numbers["silent"][index]),
            recording=numbers["recording"][index],
            done=bool(numbers["done"][index]),
        )
        for index, (track_id, genre, artists, subset) in enumerate(texts)
    )


def _read_skipped(group: Any) -> tuple[CachedSkip, ...]:
    return tuple(
        CachedSkip(SkippedFile(path, why), int(size), int(mtime))
        for path, why, size, mtime in zip(
            group["path"].asstr()[:], group["reason"].asstr()[:], group["size"][:], group["mtime_ns"][:], strict=True
        )
    )
