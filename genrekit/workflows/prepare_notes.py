"""What `prepare` reports about its tracks: same audio, changed files, artists, splits and unusual signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from genrekit.audio.bandwidth import median_bandwidth
from genrekit.data.artists import lost_artists
from genrekit.data.cache.builder import Build
from genrekit.data.cache.layout import CachedTrack
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.collection import Collection
from genrekit.data.duplicates import SharedPassage
from genrekit.data.splits.assignment import subset_counts
from genrekit.data.splits.conflicts import describe_recordings
from genrekit.data.splits.gtzan import gtzan_summary
from genrekit.data.splits.store import split_tracks
from genrekit.errors import GenrekitError, counted, is_or_are
from genrekit.workflows import signal_messages
from genrekit.workflows.reporter import Reporter

_MOST_LINES = 10
"""Lines of one kind. The result and `genrekit info --json` list everything."""


def report_shared_audio(cache: Cache, passages: Sequence[SharedPassage], reporter: Reporter) -> None:
    """Report tracks that are sample-identical or the same recording, and tracks that share a passage."""
    one_genre, several_genres = describe_recordings(split_tracks(cache))
    for line in _first_lines(several_genres, "group"):
        reporter.warning(f"{line}, with different genres: no split uses them; remove tracks, or correct their genres")
    for line in _first_lines(one_genre, "group"):
        reporter.note(f"{line}: track and artist splits keep them in the same set")
    for line in _first_lines(list(map(passage_text, passages)), "pair"):
        reporter.note(f"{line}: splits treat them as different recordings")


def report_sources(build: Build, reporter: Reporter, *, verify: bool) -> None:
    """Report files with other content than before, damaged rows, and how many files were compared."""
    for track_id in _first_lines(sorted(build.changed), "track"):
        reporter.warning(f"{track_id} has other content, but the same size and time: it was prepared again")
    for track_id in _first_lines(sorted(build.damaged), "track"):
        reporter.warning(f"{track_id} had damaged rows in the cache: it was prepared again")
    if verify:
        reporter.note(f"{counted(build.verified, 'file')} with the content that the cache was prepared from")


def lost_artist_warnings(collection: Collection, out: Path) -> tuple[str, ...]:
    """Warn of tracks that have an artist in the existing cache, but not in the collection as it was read now."""
    if not out.exists() or all(track.artists for track in collection.tracks):
        return ()
    with suppress(GenrekitError):  # such a cache is refused or replaced later
        before = [(track.id, track.artists) for track in open_cache(out).tracks]
        if lost := lost_artists(before, collection.tracks):
            what = f"{counted(len(lost), 'track')} with an artist in {out} before, but none now"
            return (f"{what}: pass --artists tags or folders again, or train with another split",)
    return ()


def signal_warnings(
    cancelled: Sequence[str], unusual: Mapping[str, float], bandwidths_hz: Mapping[str, float]
) -> Iterator[str]:
    """Warn of tracks whose channels cancel, and of tracks with an unusual bandwidth."""
    if cancelled:
        yield signal_messages.cancelled(cancelled, "track")
    if unusual:
        usual = f"the median of {signal_messages.khz(median_bandwidth(bandwidths_hz.values()))}"
        yield signal_messages.unusual_bandwidth(unusual, "track", usual)


def split_notes(tracks: Sequence[CachedTrack]) -> tuple[str, ...]:
    """Describe the split that the tracks have, and GTZAN's."""
    notes = []
    sizes = Counter(track.subset for track in tracks if track.subset)
    if sizes:
        unused = len(tracks) - sizes.total()
        rest = f"; {counted(unused, 'track')} {is_or_are(unused)} in no set, and not used" if unused else ""
        notes.append(f"the split of the manifest or of the folders has {subset_counts(sizes)} tracks{rest}")
    summary = gtzan_summary({track.id: track.genre for track in tracks})
    return (*notes, summary) if summary else tuple(notes)


def passage_text(passage: SharedPassage) -> str:
    """Describe the audio that two tracks share.

    >>> from genrekit.data.matching import SharedAudio
    >>> passage_text(SharedPassage("a/1", "b/2", SharedAudio(0.33, 0.5, 12, 22, 2)))
    'a/1 and b/2 share audio from 0:12 to 0:22 (0:02 to 0:12 in b/2), 33 % of a/1 and 50 % of b/2'
    """
    first, second, shared = passage.first, passage.second, passage.shared
    start, end = clock(shared.start_s), clock(shared.end_s)
    there = (clock(shared.second_start_s), clock(shared.second_start_s + shared.end_s - shared.start_s))
    elsewhere = f" ({there[0]} to {there[1]} in {second})" if there != (start, end) else ""
    shares = f"{shared.first_share:.0%} of {first} and {shared.second_share:.0%} of {second}".replace("%", " %")
    return f"{first} and {second} share audio from {start} to {end}{elsewhere}, {shares}"


def clock(seconds: float) -> str:
    """Format a time.

    >>> clock(12.4), clock(754)
    ('0:12', '12:34')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _first_lines(lines: Sequence[str], noun: str) -> Iterable[str]:
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"{counted(len(lines) - _MOST_LINES, f'more {noun}')} of tracks"
