"""Find the tracks of a cache that share audio, and group those that are the same recording.

The pairs that share audio are stored beside the cache by the digests of their audio, so only new audio is searched for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit.audio.fingerprint import LANDMARKS, split_landmarks
from genrekit.data.cache.reader import Cache
from genrekit.data.matching import Ints, LandmarkIndex, SharedAudio
from genrekit.io.arrays import read_arrays
from genrekit.io.files import atomic_write

FORMAT_VERSION = 1

SEARCH_VERSION = 1
"""Increases when the search would find other pairs or other shares."""

_COLUMNS = {"digest": ("S32", (None,)), "pair": ("i4", (None, 2)), "shared": ("f8", (None, 5))}
"""Types and shapes of the arrays in the file."""

Pairs = dict[tuple[int, int], SharedAudio]
"""What two tracks share, by their indices, the lower one first. Of sample-identical tracks, only the first is in it."""


@dataclass(frozen=True)
class SharedPassage:
    """Two tracks that share a part of their audio, but are not the same recording."""

    first: str
    second: str
    shared: SharedAudio


def matches_path(cache_path: Path) -> Path:
    """Return the file for the pairs of tracks that share audio."""
    return cache_path.with_name(f"{cache_path.stem}.matches.npz")


def find_shared_audio(cache: Cache, cache_path: Path) -> Pairs:
    """Return the tracks of a cache that share audio, and store them beside the path at which the cache will be.

    Pairs that were found earlier are read from that file. If it cannot be written, they are searched for again next
    time.
    """
    path, key, distinct = matches_path(cache_path), _key(cache), _first_of_each_audio(cache)
    known, pairs = _read(path, key, distinct)
    fresh = sorted(set(distinct.values()) - known)
    if fresh:
        pairs |= _search(cache, list(distinct.values()), fresh)
    if fresh or not path.exists():
        with contextlib.suppress(OSError):
            _write(path, key, distinct, pairs)
    return pairs


def shared_passages(cache: Cache) -> tuple[SharedPassage, ...]:
    """Return the stored pairs of a cache's tracks that share audio, but are in different recordings."""
    _, pairs = _read(matches_path(cache.path), _key(cache), _first_of_each_audio(cache))
    return tuple(
        SharedPassage(cache.tracks[one].id, cache.tracks[other].id, shared)
        for (one, other), shared in sorted(pairs.items())
        if cache.tracks[one].recording != cache.tracks[other].recording
    )


def _key(cache: Cache) -> str:
    """What stored pairs depend on beside the audio."""
    return f"{SEARCH_VERSION} {cache.config.model_dump_json()}"


def group_recordings(cache: Cache, pairs: Mapping[tuple[int, int], SharedAudio]) -> npt.NDArray[np.int32]:
    """Return, for each track of a cache, the index of the first track of the same recording, or its own index.

    Copies, which share nearly all of both tracks, are always in one group: what is a copy of the same track as another
    has the same audio, even if both are too changed to match each other. Otherwise tracks are in one group only if each
    two of them are the same recording or sample-identical: two songs are not linked by a third one that has a part of
    both. Copies are grouped first, then pairs that share most.
    Shape: int32 [tracks].
    """
    same = {pair for pair, shared in pairs.items() if shared.same_recording}
    group_of: dict[int, set[int]] = {}
    for one, other in sorted(same, key=lambda pair: (not pairs[pair].are_copies, -_common(pairs[pair]), pair)):
        first, second = group_of.setdefault(one, {one}), group_of.setdefault(other, {other})
        if first is not second and (pairs[one, other].are_copies or same.issuperset(_across(first, second))):
            first |= second
            group_of.update(dict.fromkeys(second, first))
    distinct = _first_of_each_audio(cache)
    firsts = [distinct.get(track.digest, index) for index, track in enumerate(cache.tracks)]
    return np.array([min(group_of.get(first, {first})) for first in firsts], np.int32)


def _common(shared: SharedAudio) -> float:
    return shared.first_share + shared.second_share


def _across(first: Iterable[int], second: Iterable[int]) -> set[tuple[int, int]]:
    return {(min(one, other), max(one, other)) for one in first for other in second}


def _first_of_each_audio(cache: Cache) -> dict[str, int]:
    """Return the first track with each audio, by its digest. Silent tracks share nothing."""
    first: dict[str, int] = {}
    for index, track in enumerate(cache.tracks):
        if not track.silent:
            first.setdefault(track.digest, index)
    return first


def _search(cache: Cache, tracks: list[int], fresh: list[int]) -> Pairs:
    index = landmark_index(cache)
    wanted = np.zeros(len(cache.tracks), np.bool_)
    wanted[tracks] = True
    pairs: Pairs = {}
    for track in fresh:
        wanted[track] = False  # pairs with earlier fresh tracks are already found
        for other, shared in index.shared_with(*index.landmarks_of(track), track, wanted):
            pairs[min(track, other), max(track, other)] = shared
    return pairs


def landmark_index(cache: Cache) -> LandmarkIndex:
    """Return the landmarks of the original fragments of a cache."""
    return LandmarkIndex(*original_landmarks(cache), len(cache.tracks), cache.config.front_end.frames_per_s)


def original_landmarks(cache: Cache, *, strongest: int = LANDMARKS) -> tuple[Ints, Ints, Ints]:
    """Return code, frame and track of the strongest landmarks of each original fragment, in the order of the rows."""
    rows = np.flatnonzero(cache.variant == 0)
    starts = np.rint(cache.start_s[rows] * cache.config.front_end.frames_per_s).astype(np.int64)
    row, code, frame = split_landmarks(np.array(cache.landmark[rows, :strongest]), starts)
    return code, frame, cache.track[rows][row].astype(np.int64)


def _read(path: Path, key: str, distinct: Mapping[str, int]) -> tuple[set[int], Pairs]:
    """Return the tracks that were searched for, and their pairs; none if the file does not fit."""
    arrays = read_arrays(path, FORMAT_VERSION, _COLUMNS, key)
    if arrays is None:
        return set(), {}
    pairs, values, digests = arrays["pair"], arrays["shared"], arrays["digest"].tolist()
    if len(pairs) != len(values) or ((pairs < 0) | (pairs >= len(digests))).any() or not _are_shares(values[:, :2]):
        return set(), {}
    index = [distinct.get(digest.decode("ascii", "replace"), -1) for digest in digests]
    found: Pairs = {}
    for (first, second), shared in zip(pairs.tolist(), values.tolist(), strict=True):
        one, other = index[first], index[second]
        if min(one, other) >= 0 and one != other:
            both = SharedAudio(*shared)
            found[min(one, other), max(one, other)] = both if one < other else both.swapped()
    return {track for track in index if track >= 0}, found


def _are_shares(values: npt.NDArray[np.float64]) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _write(path: Path, key: str, distinct: Mapping[str, int], pairs: Pairs) -> None:
    """Write the digests of the tracks, the pairs as indices into them, and what each pair shares."""
    place = {track: position for position, track in enumerate(distinct.values())}
    with atomic_write(path) as file:
        np.savez(
            file,
            version=np.int64(FORMAT_VERSION),
            key=np.array(key),
            digest=np.array([digest.encode("ascii") for digest in distinct], "S32"),
            pair=np.array([(place[one], place[other]) for one, other in pairs], np.int32).reshape(-1, 2),
            shared=np.array([astuple(shared) for shared in pairs.values()], np.float64).reshape(-1, 5),
        )
