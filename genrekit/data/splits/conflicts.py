"""Tracks with the same audio: how they are described, and which of them no split uses because their genres differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genrekit.data.splits.groups import track_groups
from genrekit.data.splits.split import SplitTrack
from genrekit.errors import few

_MOST_NAMES = 5


def recordings_of_several_tracks(tracks: Sequence[SplitTrack]) -> Iterator[list[SplitTrack]]:
    """Yield the groups of tracks that are sample-identical or the same recording."""
    return (group for group in track_groups(tracks, by_artist=False) if len(group) > 1)


def genre_conflicts(tracks: Sequence[SplitTrack]) -> dict[str, str]:
    """Return the tracks whose audio also has another genre, with the reason. No split uses them."""
    reasons = {}
    for group in recordings_of_several_tracks(tracks):
        for track in group:
            others = [other for other in group if other.genre != track.genre]
            if others:
                reasons[track.id] = _reason(track, others)
    return reasons


def _reason(track: SplitTrack, others: Sequence[SplitTrack]) -> str:
    identical = next((other for other in others if track.digest and other.digest == track.digest), None)
    if identical is not None:
        return f"sample-identical to {identical.id}, which has another genre"
    return f"the same recording as {others[0].id}, which has another genre"


def describe_recordings(tracks: Sequence[SplitTrack]) -> tuple[list[str], list[str]]:
    """Describe the groups of tracks with the same audio: those with one genre, and those with several.

    >>> pair = [SplitTrack("blues/a", "blues", digest="1"), SplitTrack("jazz/b", "jazz", digest="1")]
    >>> describe_recordings(pair)[1]
    ['blues/a (blues) and jazz/b (jazz) are sample-identical']
    """
    one_genre: list[str] = []
    several: list[str] = []
    for group in recordings_of_several_tracks(tracks):
        identical = len({track.digest or track.id for track in group}) == 1
        what = "are sample-identical" if identical else "are the same recording"
        names = _joined([f"{track.id} ({track.genre})" for track in group])
        (one_genre if len({track.genre for track in group}) == 1 else several).append(f"{names} {what}")
    return one_genre, several


def _joined(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMES:
        return few(names, _MOST_NAMES)
    return f"{', '.join(names[:-1])} and {names[-1]}"
