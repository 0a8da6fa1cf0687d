"""Read a cache: its tracks and columns through h5py, its rows through a memory map.

h5py has the file open only while `open_cache` runs. Rows are read with numpy.memmap at the offset of their contiguous
dataset, which is much faster than h5py for random rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from genrekit._types import AnyPath
from genrekit.config import PrepareConfig, Stored
from genrekit.data.cache.layout import (
    FORMAT_VERSION,
    ROW_TYPES,
    TRACK_RESULTS,
    CachedSkip,
    CachedTrack,
    CachePlan,
    dataset_types,
)
from genrekit.data.cache.rows import Extent, row_checksums
from genrekit.data.collection import SkippedFile
from genrekit.errors import GenrekitError, IncompatibleCacheError
from genrekit.io.files import cannot, is_file, reason

_MAPPED = ("waveform", "mel", "landmark", "strength")
_BLOCK = 256
"""Rows whose checksums are computed at once."""


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
                f"{self.path} has no {kind}, only {self.config.store}: prepare a cache that stores both, "
                f"or train on {self.config.store}"
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

    def damaged_rows(self) -> npt.NDArray[np.int64]:
        """Return the rows of finished tracks that do not match their checksum. This reads all of these rows."""
        done = np.array([track.done for track in self.tracks], dtype=bool)[self.track]
        damaged = [np.zeros(0, np.int64)]
        for start in range(0, len(self.track), _BLOCK):
            block = slice(start, start + _BLOCK)
            if done[block].any():
                actual = row_checksums([self.tensor(kind)[block] for kind in self.config.inputs])
                damaged.append(start + np.flatnonzero((actual != self.checksum[block]) & done[block]))
        return np.concatenate(damaged)

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        kind, shape = dataset_types(self.config)[name]
        offset = self.extents[name].offset
        return np.memmap(self.path, np.dtype(kind).newbyteorder("<"), "r", offset, (len(self.track), *shape))


def open_cache(path: AnyPath, *, unfinished: bool = False) -> Cache:
    """Open a cache for reading. The result also works as a context manager; see `Cache`.

    Shapes: `mel` is float16 or float32 [N, n_mels, n_frames], `waveform` int16 [N, n_samples], `genre` and `track` [N].
    Errors: GenrekitError if there is no cache at `path`; IncompatibleCacheError if it is damaged, has another format
    version, or is unfinished and `unfinished` is false.
    """
    path = Path(path)
    if not is_file(path):
        raise GenrekitError(f"no cache at {path}: prepare a collection first")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:  # h5py's message is longer
        raise cannot("read", path, error) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            version = int(file.attrs["format_version"])
            if version != FORMAT_VERSION:
                raise IncompatibleCacheError(
                    f"{path} has cache format {version}, but this version reads {FORMAT_VERSION}: prepare it again"
                )
            cache = _read(path, file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise IncompatibleCacheError(f"{path} is not a readable cache ({_short(error)}): prepare it again") from error
    end = max(extent.at(len(cache.track)) for extent in cache.extents.values())
    if path.stat().st_size < end:
        raise IncompatibleCacheError(f"{path} is truncated (it should have at least {end} bytes): prepare it again")
    if not unfinished and not all(track.done for track in cache.tracks):
        raise IncompatibleCacheError(f"{path} is unfinished: run prepare again to complete it")
    return cache


def _short(error: Exception) -> str:
    return reason(error).splitlines()[0][:200] if reason(error) else type(error).__name__


def _read(path: Path, file: Any) -> Cache:
    config = PrepareConfig.of(json.loads(file.attrs["config"]))
    plan = CachePlan(config, _read_tracks(file["tracks"]), _read_skipped(file["skipped"]))
    names = (*config.inputs, *ROW_TYPES, *(f"tracks/{name}" for name in TRACK_RESULTS))
    extents = {name: _extent(file[name]) for name in names}
    columns = {name: file[name][:] for name in ("track", "genre", "variant", "start_s", "checksum")}
    return Cache(path, plan, extents, columns)


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
