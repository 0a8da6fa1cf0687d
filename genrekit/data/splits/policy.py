"""The policies of splits: which one `auto` selects, and the split that each one makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genrekit.config import SplitPolicy
from genrekit.data.splits.assignment import drawn_split, published_split
from genrekit.data.splits.checks import check_split, require_genres
from genrekit.data.splits.groups import KNOWN_ENOUGH, identical_tracks
from genrekit.data.splits.gtzan import has_gtzan_names, is_gtzan
from genrekit.data.splits.split import Split, SplitTrack
from genrekit.errors import SplitError, counted, is_or_are

_LEAK = (
    "fragment split: fragments of a track are in both the training and the validation set, which inflates accuracy; "
    "use it only to measure this effect"
)


def choose_policy(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int) -> tuple[SplitPolicy, tuple[str, ...]]:
    """Resolve `auto` for a collection, and return the policy with notes on why.

    `auto` is the fault-filtered split for GTZAN, else the manifest's if it lists every track, else by artist if
    artists are known and such a split is possible, else by track.
    """
    ids = [track.id for track in tracks]
    notes: list[str] = []
    if policy == "auto":
        if is_gtzan(ids):
            policy = "fault-filtered"
        else:
            policy, reason = _by_artist_or_track(tracks, seed)
            notes.append(reason)
    if policy != "fault-filtered" and has_gtzan_names(ids):
        notes.append("the tracks have GTZAN's names: its fault-filtered split keeps artists apart")
    return policy, tuple(notes)


def _by_artist_or_track(tracks: Sequence[SplitTrack], seed: int) -> tuple[SplitPolicy, str]:
    if all(track.subset for track in tracks):
        return "manifest", "using the split of the manifest"
    known = sum(bool(track.artists) for track in tracks)
    if known < KNOWN_ENOUGH * len(tracks):
        return "track", "split by track: most artists are unknown, so an artist can be in several sets"
    try:
        make_split(tracks, "artist", seed)
    except SplitError as error:
        cause = str(error).partition(": ")[0]  # without the remedy, which is applied here
        return "track", f"split by track, so expect lower accuracy for new artists: {cause}"
    return "artist", "split by artist"


def make_split(
    tracks: Sequence[SplitTrack],
    policy: SplitPolicy,
    seed: int,
    *,
    previous: Split | None = None,
    strict: bool = False,
) -> Split:
    """Divide tracks into subsets. The result depends on the tracks and the seed, not on their order.

    `policy` is any except `auto`. The tracks of the `previous` split keep their subset. With `strict`, a manifest's
    split in which artists or duplicates cross is refused.
    Errors: SplitError with the genre and what to do, or with what crosses.
    """
    ordered = sorted(tracks, key=lambda track: track.id)
    ambiguous = _with_two_genres(ordered)
    usable = [track for track in ordered if track.id not in ambiguous]
    if policy == "fragment":
        return Split(policy, seed, {track.id: "train" for track in usable}, ambiguous, (_LEAK,))
    if policy in ("fault-filtered", "manifest"):
        split = published_split(usable, policy, seed)
    else:
        split = drawn_split(usable, policy, seed, previous)
    split = replace(split, left_out={**split.left_out, **ambiguous})
    notes = [*split.notes, *check_split(split, ordered, strict=strict)]
    require_genres(split, ordered)
    return replace(split, notes=(*notes, *_unused_and_untested(split, ordered)))


def _with_two_genres(tracks: Sequence[SplitTrack]) -> dict[str, str]:
    """Return the sample-identical tracks that have two genres, with the reason. Neither is used."""
    reasons = {}
    for identical in identical_tracks(tracks):
        if len({track.genre for track in identical}) > 1:
            for track in identical:
                other = next(twin for twin in identical if twin.genre != track.genre)
                reasons[track.id] = f"sample-identical to {other.id}, which has another genre"
    return reasons


def _unused_and_untested(split: Split, tracks: Sequence[SplitTrack]) -> list[str]:
    notes = []
    if split.left_out:
        count = len(split.left_out)
        notes.append(f"{counted(count, 'track')} {is_or_are(count)} not in the {split.policy} split")
    tested = {track.genre for track in tracks if split.subsets.get(track.id) == "test"}
    untested = sorted({track.genre for track in tracks} - tested)
    if untested:
        notes.append(f"no test tracks of {', '.join(untested)}: the test set says nothing about them")
    return notes
