"""Find tracks of the same recording by the landmarks of their fragments.

Two tracks count as the same recording if enough of their landmarks agree at the same offset in time. The result for two
tracks does not depend on others, so it remains valid when other tracks are added or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.data.cache.reader import Cache

VOTES = 16
"""Landmarks that must agree. Over all pairs of GTZAN, different recordings reach half of it, copies twice as many."""

_SHARE = 0.04
"""Share of the landmarks of the track with fewer that must agree, because long tracks agree more often by chance."""

_CODE_SHIFT, _FRAME_MASK = np.uint64(32), np.uint64(0xFFFF_FFFF)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Index:
    """All landmarks of a cache, sorted by code. `frame` counts from the start of the track."""

    code: Ints
    track: Ints
    frame: Ints
    per_track: Ints


def group_recordings(cache: Cache, known: Iterable[Sequence[int]]) -> npt.NDArray[np.int32]:
    """Return, for each track of a cache, the index of the first track of the same recording, or its own index.

    `known` has groups of track indices that were found earlier. Only tracks in no group are searched for.
    Shape: int32 [tracks].
    """
    groups = [sorted(group) for group in known]
    first = np.arange(len(cache.tracks))
    for group in groups:
        first[group] = group[0]
    fresh = sorted(set(range(len(first))) - {track for group in groups for track in group})
    if not fresh:
        return first.astype(np.int32)
    index = _index(cache)
    for track in fresh:
        for twin in _twins(index, track):
            low, high = sorted((first[track], first[twin]))
            first[first == high] = low
    return first.astype(np.int32)


def _index(cache: Cache) -> _Index:
    front_end = cache.config.front_end
    rows = np.flatnonzero(cache.variant == 0)
    marks = np.array(cache.landmark[rows])
    row, column = np.nonzero(marks)
    code = (marks[row, column] >> _CODE_SHIFT).astype(np.int64)
    start = np.rint(cache.start_s[rows] * front_end.sample_rate / front_end.hop_length).astype(np.int64)
    frame = start[row] + (marks[row, column] & _FRAME_MASK).astype(np.int64)
    track = cache.track[rows][row].astype(np.int64)
    order = np.argsort(code, kind="stable")
    per_track = np.bincount(track, minlength=len(cache.tracks))
    return _Index(code[order], track[order], frame[order], per_track)


def _twins(index: _Index, track: int) -> list[int]:
    """Return the tracks of the same recording as one track."""
    marks = np.flatnonzero(index.track == track)
    low = np.searchsorted(index.code, index.code[marks], "left")
    counts = np.searchsorted(index.code, index.code[marks], "right") - low
    matches = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    offset = index.frame[matches] - np.repeat(index.frame[marks], counts)
    other = index.track[matches]
    not_itself = other != track
    other, offset = other[not_itself], offset[not_itself]
    if not len(other):
        return []
    span = int(offset.max() - offset.min()) + 3
    keys, votes = np.unique(other * span + offset - offset.min(), return_counts=True)
    # Frames of two copies are up to half a hop apart, so their votes are spread over two or three offsets.
    neighbours = votes.copy()
    close = np.diff(keys) == 1
    neighbours[1:] += votes[:-1] * close
    neighbours[:-1] += votes[1:] * close
    most = np.zeros(len(index.per_track), np.int64)
    np.maximum.at(most, keys // span, neighbours)
    needed = np.maximum(VOTES, _SHARE * np.minimum(index.per_track, index.per_track[track]))
    return np.flatnonzero(most >= needed).tolist()
