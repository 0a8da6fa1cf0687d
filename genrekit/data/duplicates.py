"""Which tracks are the same recording, by the landmarks of their fragments.

Two tracks are taken for one recording where enough of their landmarks agree at one offset in time. Whether they do
depends on these two alone, so what is known of unchanged tracks stays true when others come or go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.data.cache.reader import Cache

VOTES = 16
"""Landmarks that agree at one offset: over all pairs of GTZAN's genres strangers reach half of it, copies double it."""

_SHARE = 0.04
"""Of the landmarks of the track that has fewer: long tracks agree here and there by chance."""

_CODE_SHIFT, _FRAME_MASK = np.uint64(32), np.uint64(0xFFFF_FFFF)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Index:
    """All landmarks of a cache, ordered by code; `frame` counts from the beginning of the track."""

    code: Ints
    track: Ints
    frame: Ints
    per_track: Ints


def group_recordings(cache: Cache, known: Iterable[Sequence[int]]) -> npt.NDArray[np.int32]:
    """For each track of a cache the place of the first track with the same recording: itself, where there is none.

    `known` are groups that have been found before, as places of tracks; the tracks in none of them are looked up.
    Shape: [tracks].
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
    row, place = np.nonzero(marks)
    code = (marks[row, place] >> _CODE_SHIFT).astype(np.int64)
    start = np.rint(cache.start_s[rows] * front_end.sample_rate / front_end.hop_length).astype(np.int64)
    frame = start[row] + (marks[row, place] & _FRAME_MASK).astype(np.int64)
    track = cache.track[rows][row].astype(np.int64)
    order = np.argsort(code, kind="stable")
    per_track = np.bincount(track, minlength=len(cache.tracks))
    return _Index(code[order], track[order], frame[order], per_track)


def _twins(index: _Index, track: int) -> list[int]:
    """The tracks whose landmarks agree with one's own at one offset often enough."""
    own = np.flatnonzero(index.track == track)
    low = np.searchsorted(index.code, index.code[own], "left")
    counts = np.searchsorted(index.code, index.code[own], "right") - low
    found = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    offset = index.frame[found] - np.repeat(index.frame[own], counts)
    other = index.track[found]
    strangers = other != track
    other, offset = other[strangers], offset[strangers]
    if not len(other):
        return []
    span = int(offset.max() - offset.min()) + 3
    keys, votes = np.unique(other * span + offset - offset.min(), return_counts=True)
    neighbours = (
        votes.copy()
    )  # frames of two copies lie up to half a hop apart, so votes fall into two or three offsets
    close = np.diff(keys) == 1
    neighbours[1:] += votes[:-1] * close
    neighbours[:-1] += votes[1:] * close
    most = np.zeros(len(index.per_track), np.int64)
    np.maximum.at(most, keys // span, neighbours)
    needed = np.maximum(VOTES, _SHARE * np.minimum(index.per_track, index.per_track[track]))
    return np.flatnonzero(most >= needed).tolist()
