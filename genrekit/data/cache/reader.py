"""Read a cache: its tracks and columns through h5py, its rows through a memory map.

h5py has the file open only while `open_cache` runs. Rows are read with numpy.memmap at the offset of their contiguous
dataset, which is much faster than h5py for random rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from genrekit._types import AnyPath
from genrekit.config import PrepareConfig, Stored, with_earlier_defaults
from genrekit.data.cache.consistency import require_consistent, require_names
from genrekit.data.cache.layout import (
    FILE_STATUS,
    FORMAT_VERSION,
    READABLE_VERSIONS,
    ROW_TYPES,
    TRACK_RESULTS,
    CachePlan,
    dataset_types,
)
from genrekit.data.cache.rows import Extent, row_checksums
from genrekit.data.cache.storage import members, own_datasets, require_layout
from genrekit.data.cache.track_table import read_skipped, read_tracks
from genrekit.data.collection import SkippedFile
from genrekit.errors import GenrekitError, IncompatibleCacheError, UsageError, counted, few
from genrekit.io.files import cannot, is_file, reason
from genrekit.io.regular_files import open_regular

_MAPPED = ("waveform", "mel", "landmark", "strength")
_HDF5 = b"\x89HDF\r\n\x1a\n"

PREPARE_AGAIN = "replace it with genrekit prepare --overwrite"
"""What to do about a cache that cannot be used."""

_BLOCK = 256
"""Rows whose checksums are computed at once."""

_SAMPLE = 16
"""Rows whose checksums are verified when a cache is opened, evenly spread."""

_COLUMNS = ("track", "genre", "variant", "start_s", "checksum")
"""The datasets with one value per row that are read when a cache is opened."""


class Cache:
    """A prepared cache, open for reading. `open_cache` returns one.

    `genres`, `tracks` and `variants` list what is in it. The arrays `track`, `genre` and `variant` (indices into these)
    and `start_s` (seconds) have one value per row. `waveform` and `mel` are mapped from the file when they are first
    used: reading a row reads only that row from disk. A cache can be pickled; the copy maps the file again.

    >>> import tempfile
    >>> from genrekit import PrepareConfig, open_cache, prepare
    >>> from genrekit.demo.synthesizer import write_collection
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_collection(Path(folder, "data"), tracks_per_genre=1, duration_s=2, sample_rate=8_000, seed=0)
    ...     small = PrepareConfig.of({"front_end": {"sample_rate": 8_000, "duration_s": 1, "n_mels": 32}})
    ...     _ = prepare(Path(folder, "data"), small, out=Path(folder, "cache.h5"), workers=1)
    ...     with open_cache(Path(folder, "cache.h5")) as cache:
    ...         cache.genres[:2], len(cache.tracks), cache.shapes
    (('blues', 'classical'), 10, {'waveform': (20, 8000), 'mel': (20, 32, 16)})
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the mapped arrays, which would be pickled as copies."""
        return {name: value for name, value in self.__dict__.items() if name not in _MAPPED}

    def close(self) -> None:
        """Forget the mapped arrays. The file is unmapped once nothing else refers to them; using them maps it again."""
        for name in _MAPPED:
            self.__dict__.pop(name, None)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each stored input: waveform [N, n_samples], mel [N, n_mels, n_frames]."""
        return {kind: (len(self.track), *self.config.front_end.shape(kind)) for kind in self.config.inputs}

    @cached_property
    def waveform(self) -> npt.NDArray[np.int16]:
        """All waveforms, int16 [N, n_samples]. Divide by 32,767 for values in [-1, 1]."""
        return self._mapped("waveform")

    @cached_property
    def mel(self) -> npt.NDArray[np.floating]:
        """All mel spectrograms, float16 or float32 [N, n_mels, n_frames], in [0, 1]."""
        return self._mapped("mel")

    @cached_property
    def landmark(self) -> npt.NDArray[np.uint64]:
        """The fingerprint landmarks of all rows, uint64 [N, 48]; 0 for augmented variants."""
        return self._mapped("landmark")

    @cached_property
    def strength(self) -> npt.NDArray[np.float32]:
        """The strength of each augmentation in each row, float32 [N, 4]; NaN if it was not applied."""
        return self._mapped("strength")

    def tensor(self, kind: Stored) -> npt.NDArray[Any]:
        """Return the array of a stored input, `waveform` or `mel`.

        Errors: IncompatibleCacheError if the cache was prepared without it.
        """
        if kind not in self.config.inputs:
            raise IncompatibleCacheError(
                f"{self.path} has no {kind}, only {self.config.store}: prepare a cache with "
                f"--store both, or train with --input {self.config.store}"
            )
        return self.mel if kind == "mel" else self.waveform

    def content_key(self, maker: str) -> str:
        """Return a digest of the configuration, the tracks and all rows, and of the name of a `maker`.

        Files that are computed from the cache store it, and are outdated if it differs.
        """
        digest = hashlib.sha256(f"{maker} {self.config.model_dump_json()}".encode())
        for track in self.tracks:
            digest.update(f"\n{track.id} {track.digest} {track.first_row} {track.rows}".encode())
        digest.update(np.ascontiguousarray(self.checksum).tobytes())
        return digest.hexdigest()

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """The files of the collection that are not in the cache, and why."""
        return tuple(skip.file for skip in self.plan.skipped)

    @property
    def has_all_results(self) -> bool:
        """Whether the file has all datasets of tracks that this version writes."""
        return all(f"tracks/{name}" in self.extents for name in (*TRACK_RESULTS, *FILE_STATUS))

    def original_rows(self, track_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the rows of the original fragments of some tracks, in the cache's order."""
        wanted = set(track_ids)
        chosen = np.array([track.id in wanted for track in self.tracks], dtype=bool)
        return np.flatnonzero(chosen[self.track] & (self.variant == 0))

    def duplicates(self) -> tuple[tuple[str, str], ...]:
        """Return pairs of tracks with sample-identical audio: each track with the first one like it."""
        first: dict[str, str] = {}
        pairs = []
        for track in self.tracks:
            twin = first.setdefault(track.digest, track.id)
            if twin != track.id and not track.silent:
                pairs.append((twin, track.id))
        return tuple(pairs)

    def near_duplicates(self) -> tuple[tuple[str, str], ...]:
        """Return pairs of tracks of the same recording that are not sample-identical."""
        firsts = [self.tracks[track.recording] for track in self.tracks]
        return tuple(
            (first.id, track.id)
            for first, track in zip(firsts, self.tracks, strict=True)
            if first is not track and first.digest != track.digest
        )

    def damaged_rows(self, rows: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """Return those of some rows, by default of all, that do not match their checksum. This reads the rows.

        Rows of tracks that are not done are left out.
        """
        done = np.array([track.done for track in self.tracks], dtype=bool)[self.track]
        checked = np.flatnonzero(done) if rows is None else rows[done[rows]]
        damaged = [np.zeros(0, np.int64)]
        for start in range(0, len(checked), _BLOCK):
            block = checked[start : start + _BLOCK]
            actual = row_checksums([self.tensor(kind)[block] for kind in self.config.inputs])
            damaged.append(block[actual != self.checksum[block]])
        return np.concatenate(damaged)

    def damaged_tracks(self) -> list[int]:
        """Return the indices of the tracks that have damaged rows. This reads all rows."""
        indices: list[int] = np.unique(self.track[self.damaged_rows()]).tolist()
        return indices

    def without(self, indices: Sequence[int]) -> Cache:
        """Return the cache with some tracks marked as not done; the file does not change."""
        tracks = list(self.tracks)
        for index in indices:
            tracks[index] = replace(tracks[index], done=False)
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return Cache(self.path, replace(self.plan, tracks=tuple(tracks)), self.extents, columns)

    def require_intact(self, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Check the checksums of some rows, by default of all. This reads the rows.

        Errors: IncompatibleCacheError with the tracks whose rows are damaged.
        """
        damaged = self.damaged_rows(rows)
        if len(damaged):
            tracks = [self.tracks[index].id for index in np.unique(self.track[damaged]).tolist()]
            checked = f"{len(self.track)}" if rows is None else f"{len(rows)} checked"
            raise IncompatibleCacheError(
                f"{self.path}: {len(damaged)} of {checked} rows are damaged, in {counted(len(tracks), 'track')} "
                f"({few(tracks)}): run genrekit prepare again with --verify to compute them again"
            )

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        kind, shape = dataset_types(self.config)[name]
        offset = self.extents[name].offset
        return np.memmap(self.path, np.dtype(kind).newbyteorder("<"), "r", offset, (len(self.track), *shape))


def open_cache(path: AnyPath, *, unfinished: bool = False, check_rows: bool = True) -> Cache:
    """Open a cache for reading. The result also works as a context manager; see `Cache`.

    All of the cache except for the content of its rows is checked, and with `check_rows` the content of a few rows.
    `Cache.damaged_rows` checks that of all rows.
    Shapes: `mel` is float16 or float32 [N, n_mels, n_frames], `waveform` int16 [N, n_samples], `genre` and `track` [N].
    Errors: GenrekitError if there is no cache at `path`; IncompatibleCacheError if it is damaged, has another format
    version, or is unfinished and `unfinished` is false.
    """
    path = Path(path)
    if not is_file(path):
        folder = f"; it is a directory, so name a file in it, such as {path / 'cache.h5'}" if path.is_dir() else ""
        raise GenrekitError(f"no cache at {path}: prepare a collection first, or name a cache with --cache{folder}")
    try:
        with open_regular(path):
            pass
    except OSError as error:  # h5py's message is longer
        raise cannot("read", path, error) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            version = int(file.attrs["format_version"])
            if version not in READABLE_VERSIONS:
                raise IncompatibleCacheError(
                    f"{path} has cache format {version}, but this version reads {FORMAT_VERSION}: {PREPARE_AGAIN}"
                )
            cache = _read(path, file, version)
        complete = all(track.done for track in cache.tracks)
        columns = {name: getattr(cache, name) for name in _COLUMNS}
        require_consistent(cache.plan, columns, unfinished=unfinished or not complete)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, UsageError) as error:
        raise IncompatibleCacheError(f"{path} is not a readable cache ({_short(error)}): {_remedy(path)}") from error
    if not unfinished and not complete:
        raise IncompatibleCacheError(f"{path} is unfinished: run genrekit prepare again to complete it")
    if check_rows and not unfinished:
        cache.require_intact(np.unique(np.linspace(0, len(cache.track) - 1, _SAMPLE).astype(np.int64)))
    return cache


def is_cache_or_damaged(path: Path) -> bool:
    """Return whether a file is a cache, the start of one, or empty, so that `prepare` may replace it."""
    with open_regular(path) as file:
        start = file.read(len(_HDF5))
    if start != _HDF5:
        return not start
    try:
        with h5py.File(path, "r", locking=False) as content:
            return "format_version" in content.attrs and "tracks" in content
    except (OSError, RuntimeError, KeyError):
        return True


def _remedy(path: Path) -> str:
    return PREPARE_AGAIN if is_cache_or_damaged(path) else "name a cache with --cache, or another file with --out"


def _short(error: Exception) -> str:
    return reason(error).splitlines()[0][:200] if reason(error) else type(error).__name__


def _read(path: Path, file: Any, version: int) -> Cache:
    datasets = own_datasets(file, path.stat().st_size)
    config = PrepareConfig.of(with_earlier_defaults(json.loads(file.attrs["config"])))
    require_layout(datasets, config, version)
    plan = CachePlan(config, read_tracks(members(datasets, "tracks")), read_skipped(members(datasets, "skipped")))
    names = [f"tracks/{name}" for name in (*TRACK_RESULTS, *FILE_STATUS)]
    if version == 2:
        names = [name for name in names if name in datasets]
    else:
        require_names("genres", datasets["genres"].asstr()[:], plan.genres)
        require_names("variants", datasets["variants"].asstr()[:], config.augmentation.variants)
    if plan.skipped:
        names += [name for name in (f"skipped/{status}" for status in FILE_STATUS) if name in datasets]
    extents = {name: _extent(datasets[name]) for name in (*config.inputs, *ROW_TYPES, *names)}
    columns = {name: datasets[name][:] for name in _COLUMNS}
    return Cache(path, plan, extents, columns)


def _extent(dataset: Any) -> Extent:
    """Return the extent of a dataset whose storage was checked."""
    return Extent(
        dataset.id.get_offset() or 0, int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize
    )
