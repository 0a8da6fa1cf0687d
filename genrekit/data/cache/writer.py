"""Write a new cache file whose rows are reserved but still empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genrekit._version import __version__
from genrekit.data.cache.layout import (
    FILE_STATUS,
    FORMAT_VERSION,
    SKIP_NUMBERS,
    TRACK_FACTS,
    TRACK_NUMBERS,
    TRACK_RESULTS,
    CachedSkip,
    CachePlan,
    dataset_types,
)
from genrekit.data.cache.memory_file import Draft


def create_cache(path: Path, plan: CachePlan) -> None:
    """Write a cache in which only the content of the rows is missing; the space for it is reserved.

    Errors: OSError, for example if the disk is full.
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
        for name, (kind, shape) in dataset_types(plan.config).items():
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
    for name, kind in TRACK_NUMBERS.items():
        group[name] = np.array([getattr(track, name) for track in tracks], dtype=kind)
    for name, kind in FILE_STATUS.items():
        _reserve(group, name, (len(tracks),), kind)[:] = np.array([getattr(track, name) for track in tracks], kind)
    for name, kind in TRACK_RESULTS.items():
        dataset = _reserve(group, name, (len(tracks),), kind)
        values = [getattr(track.facts if name in TRACK_FACTS else track, name) for track in tracks]
        dataset[:] = np.array(values, dtype=kind)


def _write_skipped(group: Any, skipped: Sequence[CachedSkip]) -> None:
    _strings(group, "path", [skip.file.path for skip in skipped])
    _strings(group, "reason", [skip.file.reason for skip in skipped])
    for name, kind in {**SKIP_NUMBERS, **FILE_STATUS}.items():
        group[name] = np.array([getattr(skip, name) for skip in skipped], dtype=kind)


def _reserve(group: Any, name: str, shape: tuple[int, ...], kind: str) -> Any:
    """Create a contiguous dataset at a fixed offset, without filling it."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(np.dtype(kind), logical=True), space, settings).close()
    return group[name]
