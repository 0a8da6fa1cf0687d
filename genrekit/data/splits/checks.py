"""Checks of a split: artists and duplicates stay in one subset, and every genre has training and validation tracks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from genrekit.data.splits.conflicts import genre_conflicts
from genrekit.data.splits.groups import artist_keys, track_groups
from genrekit.data.splits.gtzan import CROSSING_ARTISTS
from genrekit.data.splits.split import REQUIRED, SET_NAMES, Split, SplitTrack
from genrekit.errors import SplitError, counted, few, is_or_are

_REMEDY = "fix the split, or choose the artist split"


def check_split(split: Split, tracks: Sequence[SplitTrack], *, strict: bool = False) -> list[str]:
    """Find artists, sample-identical tracks and recordings that are in more than one subset.

    In a manifest's split they are warnings, which are returned; with `strict`, and in any other split, they are errors.
    The duets that cross the fault-filtered split are a known exception. Recordings are compared by fingerprint, which
    can be wrong, so they are an error only with `strict`.
    Errors: SplitError.
    """
    assigned = [track for track in tracks if track.id in split.subsets]
    notes = []
    recordings = _crossing(split, assigned, lambda track: (track.recording,) if track.recording else ())
    if recordings:
        message = _message(f"{counted(len(recordings), 'recording')} ({few(recordings)})", len(recordings), split)
        if strict and split.policy == "manifest":
            raise SplitError(f"{message}: {_REMEDY}")
        notes.append(message)
    identical = _crossing(split, assigned, lambda track: (track.digest,) if track.digest else ())
    if identical:
        message = _message(f"{counted(len(identical), 'group')} of sample-identical tracks", len(identical), split)
        notes.append(_refused_or_noted(message, split, strict=strict))
    artists = _crossing_artists(split, assigned)
    if artists:
        message = _message(f"{counted(len(artists), 'artist')} ({few(artists)})", len(artists), split)
        notes.append(_refused_or_noted(message, split, strict=strict))
    return notes


def _refused_or_noted(message: str, split: Split, *, strict: bool) -> str:
    if split.policy in ("track", "artist"):
        raise SplitError(f"{message}, because tracks changed after it was made: use another split seed")
    if strict or split.policy != "manifest":
        raise SplitError(f"{message}: {_REMEDY}")
    return message


def _message(what: str, count: int, split: Split) -> str:
    return f"{what} {is_or_are(count)} in more than one set of the {split.policy} split"


def _crossing_artists(split: Split, tracks: Sequence[SplitTrack]) -> list[str]:
    if split.policy == "track":
        return []
    allowed = {artist.casefold() for artist in CROSSING_ARTISTS} if split.policy == "fault-filtered" else set()
    spelling = {artist.casefold(): artist for track in tracks for artist in track.artists}
    return [spelling[artist] for artist in _crossing(split, tracks, artist_keys) if artist not in allowed]


def _crossing(split: Split, tracks: Iterable[SplitTrack], keys: Callable[[SplitTrack], tuple[str, ...]]) -> list[str]:
    subsets: defaultdict[str, set[str]] = defaultdict(set)
    for track in tracks:
        for key in keys(track):
            subsets[key].add(split.subsets[track.id])
    return sorted(key for key, members in subsets.items() if len(members) > 1)


def require_genres(split: Split, tracks: Sequence[SplitTrack]) -> None:
    """Make sure that every genre has training and validation tracks.

    Errors: SplitError with the genre, the cause and what to do.
    """
    for genre in sorted({track.genre for track in tracks}):
        of_genre = [track for track in tracks if track.genre == genre]
        counts = Counter(split.subsets.get(track.id) for track in of_genre)
        missing = [subset for subset in REQUIRED if not counts[subset]]
        if missing:
            usable = [track for track in of_genre if track.id not in split.left_out]
            same_audio = None if split.policy in ("fault-filtered", "manifest") else _same_audio(genre, tracks, usable)
            raise SplitError(same_audio or _why_missing(split.policy, genre, usable, missing))


def _same_audio(genre: str, tracks: Sequence[SplitTrack], usable: Sequence[SplitTrack]) -> str | None:
    """Return the error if a genre lacks tracks because some have the same audio, else None."""
    conflicts = genre_conflicts(tracks)
    lost = [track for track in tracks if track.genre == genre and track.id in conflicts]
    needed = "but the training and the validation set need one each"
    if lost and len(usable) < 2:
        why = f"{len(lost)} {is_or_are(len(lost))} left out: {lost[0].id} is {conflicts[lost[0].id]}"
        return (
            f"{genre} has {counted(len(usable), 'usable track')} ({why}), {needed}: remove the copies, or correct "
            "their genres"
        )
    if len(usable) < 2 or len(track_groups(usable, by_artist=False)) > 1:
        return None
    if len({track.digest for track in usable}) == 1:
        return f"all {len(usable)} tracks of {genre} are sample-identical, {needed}: add other tracks"
    return (
        f"all {len(usable)} tracks of {genre} are one recording, {needed}: add other tracks, or, if they differ, "
        "run genrekit prepare again with --keep-near-duplicates"
    )


def _why_missing(policy: str, genre: str, usable: Sequence[SplitTrack], missing: Sequence[str]) -> str:
    sets = " or ".join(SET_NAMES[subset] for subset in missing)
    artists = sorted({artist for track in usable for artist in track.artists})
    count = len({track.digest or track.id for track in usable})  # identical tracks count as one
    if policy in ("fault-filtered", "manifest"):
        return f"the {policy} split has no {genre} tracks in the {sets}: choose --split track, or add such tracks"
    if policy == "artist" and count > 1:
        who = f"only one artist ({artists[0]})" if len(artists) == 1 else "too few independent artists"
        return f"{genre} has {who}, so an artist split leaves its {sets} empty: choose --split track, or add artists"
    return (
        f"{genre} has {counted(count, 'usable track')}, but the training and the validation set need one each: "
        "add tracks, or leave out rare genres: prepare with --min-tracks"
    )
