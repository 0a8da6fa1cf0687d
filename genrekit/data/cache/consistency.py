"""Check that the tracks and the columns of a cache fit together, so that no index is out of range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.data.cache.layout import CachePlan
from genrekit.data.genre_names import names_problem
from genrekit.io.printable import is_printable


def require_consistent(plan: CachePlan, columns: Mapping[str, npt.NDArray[Any]], *, unfinished: bool) -> None:
    """Check the tracks of a cache, and the columns `track`, `genre`, `variant` and `start_s` of its rows.

    The last two are checked for the tracks that are done. In an `unfinished` cache, recordings may be unknown.
    Errors: ValueError with what is wrong.
    """
    _require_names(plan)
    tracks = plan.tracks
    if not tracks and unfinished:  # a shard of files that are all skipped
        return
    if not tracks:
        raise ValueError("it has no tracks")
    _require_tracks(plan, unfinished=unfinished)
    rows = np.array([track.rows for track in tracks])
    first_rows = np.cumsum(rows) - rows
    if rows.min() < 1 or [track.first_row for track in tracks] != first_rows.tolist():
        raise ValueError("/tracks/first_row and /tracks/rows do not fit together")
    genre_index = {genre: index for index, genre in enumerate(plan.genres)}
    expected = {
        "track": np.repeat(np.arange(len(tracks)), rows),
        "genre": np.repeat([genre_index[track.genre] for track in tracks], rows),
    }
    for name, values in expected.items():
        if not np.array_equal(columns[name], values):
            raise ValueError(f"/{name} does not fit the rows of the tracks")
    done = np.repeat([track.done for track in tracks], rows)
    _require_variants(plan, columns["variant"], rows, done)
    _require_starts(columns["start_s"], columns["track"], len(plan.config.augmentation.variants), done)


def _require_names(plan: CachePlan) -> None:
    """Check that no genre, artist or id is empty, cannot be printed, or is like another one."""
    if (problem := names_problem(plan.genres)) is not None:
        raise ValueError(problem)
    for track in plan.tracks:
        for name in (track.id, *track.artists):
            if not name or not is_printable(name):
                raise ValueError(f"the name {name!a} is empty, or has characters that cannot be printed")
    if len({track.id for track in plan.tracks}) < len(plan.tracks):
        raise ValueError("two tracks have the same id")


def _require_tracks(plan: CachePlan, *, unfinished: bool) -> None:
    tracks = plan.tracks
    first = -1 if unfinished else 0
    for track in tracks:
        if not first <= track.recording < len(tracks):
            raise ValueError(f"the track {track.id!r} has the recording {track.recording} of {len(tracks)}")
        facts = track.facts
        if track.done and not (track.digest and 0 <= facts.bandwidth_hz < math.inf and facts.silent_fragments >= 0):
            raise ValueError(f"the track {track.id!r} has no digest, or facts that are out of range")


def _require_variants(plan: CachePlan, variant: npt.NDArray[Any], rows: npt.NDArray[Any], done: Any) -> None:
    n_variants = len(plan.config.augmentation.variants)
    if (rows % n_variants).any():
        raise ValueError(f"/tracks/rows are not multiples of {n_variants} variants")
    expected = np.tile(np.arange(n_variants), len(variant) // n_variants)
    if (variant != expected)[done].any():
        raise ValueError("/variant does not fit the variants of the configuration")


def _require_starts(start_s: npt.NDArray[Any], track: npt.NDArray[Any], n_variants: int, done: Any) -> None:
    """Check that the fragments of a track have rising starts, and the variants of a fragment the same one."""
    by_fragment, ready = start_s.reshape(-1, n_variants), done[::n_variants]
    starts, tracks = by_fragment[ready], track[::n_variants][ready]
    rising = (np.diff(starts[:, 0]) > 0) | (np.diff(tracks) != 0)
    if not (np.isfinite(starts).all() and (starts >= 0).all() and (starts == starts[:, :1]).all() and rising.all()):
        raise ValueError("/start_s has times that do not rise from 0 within a track")


def require_names(name: str, stored: Sequence[str], expected: Sequence[str]) -> None:
    """Check the stored names of indices.

    Errors: ValueError.
    """
    if list(stored) != list(expected):
        raise ValueError(f"/{name} does not fit the cache")
