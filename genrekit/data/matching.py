"""Find the audio that two tracks share, by their landmarks.

Copies of the same audio have many equal landmarks on a line: the time in one track is the time in the other plus an
offset, times a tempo factor near 1. The result for two tracks does not depend on other tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

VOTES = 10
"""Landmarks that must lie on a line. Over pairs of different GTZAN tracks, the highest count is 4."""

_VOTE_SHARE = 0.01
"""Share of the landmarks of the shorter track that must lie on it. Long tracks agree more often by chance."""

SAME_SHARE = 0.6
"""Two tracks are the same recording if at least this share of one of them is in the other."""

COPY_SHARE = 0.9
"""Least share of both tracks that makes them copies."""

_COARSE = 64
"""Frames of a coarse bin of offsets. A copy whose tempo differs by 5 % drifts by one bin in half a minute."""

_FASTEST = 0.05
"""The largest difference in tempo that is searched for."""

_MOST_SLOPES = 401
_LONGEST_GAP_S = 8.0
"""Longest time without an equal landmark inside a passage."""

_FEWEST_IN_PASSAGE = 3

_MOST_EQUAL = 1_000
"""Most landmarks of a track with one code.

More do not say where in the track they are, and their pairs in two tracks grow with the square of the length: a tone of
ten hours has tens of thousands.
"""

_PAIRS_AT_ONCE = 1 << 18

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SharedAudio:
    """The audio that two tracks share.

    `first_share` and `second_share` are the shares of the two tracks that are in the other one. The longest passage is
    from `start_s` to `end_s` in the first track, and begins at `second_start_s` in the second.
    """

    first_share: float
    second_share: float
    start_s: float
    end_s: float
    second_start_s: float

    @property
    def same_recording(self) -> bool:
        """Whether enough of one track is in the other."""
        return max(self.first_share, self.second_share) >= SAME_SHARE

    @property
    def are_copies(self) -> bool:
        """Whether nearly all of both tracks is in the other one, so that each is a copy of the other."""
        return min(self.first_share, self.second_share) >= COPY_SHARE

    def swapped(self) -> SharedAudio:
        """Return the same with the tracks exchanged."""
        end_s = self.second_start_s + self.end_s - self.start_s
        return SharedAudio(self.second_share, self.first_share, self.second_start_s, end_s, self.start_s)


class LandmarkIndex:
    """The landmarks of many tracks, sorted by code. `frame` counts from the start of each track.

    Landmarks whose code a track has more than a thousand times are left out.
    Shapes: `code`, `frame` and `track` int64 [landmarks].
    """

    def __init__(self, code: Ints, frame: Ints, track: Ints, n_tracks: int, frames_per_s: float) -> None:
        kept = _distinctive(code, track)
        code, frame, track = code[kept], frame[kept], track[kept]
        by_code = np.argsort(code, kind="stable")
        self._code, self._frame, self._track = code[by_code], frame[by_code], track[by_code]
        by_track = np.lexsort((frame, track))
        self._bounds = np.searchsorted(track[by_track], np.arange(n_tracks + 1))
        self._codes_of, self._frames_of = code[by_track], frame[by_track]
        self._frames_per_s = frames_per_s
        self.n_tracks = n_tracks

    def landmarks_of(self, track: int) -> tuple[Ints, Ints]:
        """Return the codes and the frames of a track, in order of time."""
        part = slice(self._bounds[track], self._bounds[track + 1])
        return self._codes_of[part], self._frames_of[part]

    def shared_with(
        self, code: Ints, frame: Ints, position: int, wanted: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[int, SharedAudio]]:
        """Yield the `wanted` tracks that share audio with the landmarks of a track.

        `position` orders this track among those of the index. In the result, the first track is the one before the
        other, so that it does not matter which of two tracks is compared with the other.
        Shapes: `code` and `frame` int64 [landmarks], in order of time; `wanted` bool [tracks].
        """
        hits, own = (np.concatenate(parts) for parts in zip(*self._equal(code, frame, wanted), strict=True))
        order = np.lexsort((own, self._track[hits]))
        track, found, own = self._track[hits][order], self._frame[hits][order], own[order]
        for other in self._candidates(track, np.where(track < position, found - own, own - found), len(code)):
            part = slice(np.searchsorted(track, other, "left"), np.searchsorted(track, other, "right"))
            frames = self.landmarks_of(other)[1]
            if other < position:
                shared = _shared(found[part], own[part], frames, frame, self._frames_per_s)
            else:
                shared = _shared(own[part], found[part], frame, frames, self._frames_per_s)
            if shared is not None:
                yield other, shared

    def _equal(self, code: Ints, frame: Ints, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
        """Yield the indices of equal landmarks of wanted tracks, and the queried frame of each, some at a time."""
        low = np.searchsorted(self._code, code, "left")
        counts = np.searchsorted(self._code, code, "right") - low
        ends = np.flatnonzero(np.diff(np.cumsum(counts) // _PAIRS_AT_ONCE)) + 1
        for start, end in pairwise((0, *ends.tolist(), len(code))):
            n = counts[start:end]
            hits = np.repeat(low[start:end] - np.cumsum(n) + n, n) + np.arange(n.sum())
            kept = wanted[self._track[hits]]
            yield hits[kept], np.repeat(frame[start:end], n)[kept]

    def _candidates(self, track: Ints, offset: Ints, n_queried: int) -> list[int]:
        """Return the tracks with enough equal landmarks at about the same offset."""
        if not len(track):
            return []
        coarse = offset // _COARSE
        coarse -= coarse.min()
        span = int(coarse.max()) + 2
        keys, votes = np.unique(track * span + coarse, return_counts=True)
        both = votes.copy()
        both[1:] += votes[:-1] * (np.diff(keys) == 1)
        most = np.zeros(self.n_tracks, np.int64)
        np.maximum.at(most, keys // span, both)
        return np.flatnonzero(most >= votes_needed(np.minimum(np.diff(self._bounds), n_queried))).tolist()


def _distinctive(code: Ints, track: Ints) -> npt.NDArray[np.bool_]:
    """Return which landmarks are not among too many equal ones of their track."""
    _, inverse, counts = np.unique(track << 32 | code, return_inverse=True, return_counts=True)
    return counts[inverse] <= _MOST_EQUAL


def votes_needed(landmarks: Ints | int) -> npt.NDArray[np.float64]:
    """Return how many landmarks must lie on a line, by the number of landmarks of the track with fewer."""
    return np.maximum(VOTES, _VOTE_SHARE * np.asarray(landmarks))


def _shared(
    first: Ints, second: Ints, first_frames: Ints, second_frames: Ints, frames_per_s: float
) -> SharedAudio | None:
    """Return what two tracks share, from the frames of their equal landmarks and of all their landmarks."""
    on_line = _best_line(first, second)
    if on_line.sum() < votes_needed(min(len(first_frames), len(second_frames))):
        return None
    longest = round(_LONGEST_GAP_S * frames_per_s)
    passages = _passages(first[on_line], longest)
    if not passages:
        return None
    start, end = max(passages, key=lambda passage: passage[1] - passage[0])
    in_longest = on_line & (first >= start) & (first <= end)
    return SharedAudio(
        first_share=_share(passages, first_frames),
        second_share=_share(_passages(second[on_line], longest), second_frames),
        start_s=start / frames_per_s,
        end_s=end / frames_per_s,
        second_start_s=int(second[in_longest].min()) / frames_per_s,
    )


def _best_line(first: Ints, second: Ints) -> npt.NDArray[np.bool_]:
    """Return which pairs of equal landmarks lie on the line with the most of them, within a frame.

    Frames of two copies are up to half a hop apart, so a line is three frames wide. Most copies have the same tempo,
    so other tempos are searched only if that line has less than half of the pairs.
    """
    best, votes = _on_line(first, second, 0.0)
    if votes >= len(first) / 2:
        return best
    steps = min(max(41, int(2 * _FASTEST * int(np.ptp(second)) / 3)), _MOST_SLOPES) | 1
    for slope in np.linspace(-_FASTEST, _FASTEST, steps).tolist():
        candidate, count = _on_line(first, second, slope)
        if count > votes:
            best, votes = candidate, count
    return best


def _on_line(first: Ints, second: Ints, slope: float) -> tuple[npt.NDArray[np.bool_], int]:
    offset = np.rint(first - (1 + slope) * second).astype(np.int64)
    offset -= offset.min()
    counts = np.bincount(offset, minlength=3)
    windows = counts[:-2] + counts[1:-1] + counts[2:]
    middle = int(np.argmax(windows)) + 1
    return abs(offset - middle) <= 1, int(windows[middle - 1])


def _passages(frames: Ints, longest_gap: int) -> list[tuple[int, int]]:
    """Return the first and last frame of each passage: frames without a long gap."""
    distinct = np.unique(frames)
    passages = np.split(distinct, np.flatnonzero(np.diff(distinct) > longest_gap) + 1)
    return [(int(part[0]), int(part[-1])) for part in passages if len(part) >= _FEWEST_IN_PASSAGE]


def _share(passages: list[tuple[int, int]], frames: Ints) -> float:
    """Return the share of a track's landmarks that are in passages."""
    inside = sum(int(((frames >= start) & (frames <= end)).sum()) for start, end in passages)
    return inside / len(frames)
