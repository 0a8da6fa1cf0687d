"""The policies of splits: which one `auto` selects, and the split that each one makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genrekit.config import SplitPolicy
from genrekit.data.splits.assignment import drawn_split, published_split
from genrekit.data.splits.checks import check_split, require_genres
from genrekit.data.splits.conflicts import describe_recordings, genre_conflicts
from genrekit.data.splits.groups import KNOWN_ENOUGH
from genrekit.data.splits.gtzan import fault_filtered_subset, is_complete_gtzan, published_tracks
from genrekit.data.splits.split import Split, SplitTrack
from genrekit.errors import SplitError, counted, is_or_are

_LEAK = (
    "fragment split: fragments of a track are in both the training and the validation set, which inflates accuracy; "
    "use it only to measure this effect"
)


def choose_policy(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int) -> tuple[SplitPolicy, tuple[str, ...]]:
    """Resolve `auto` for a collection, and return the policy with notes on why.

    `auto` is the manifest's split if any track has one, else the fault-filtered split if the collection is GTZAN and
    nothing else, else by artist if artists are known and such a split is possible, else by track. A manifest's split
    that is GTZAN's fault-filtered split is called so.
    """
    genre_of = {track.id: track.genre for track in tracks}
    notes: list[str] = []
    if policy == "auto":
        if any(track.subset for track in tracks):
            policy, reason = _manifest_or_its_source(tracks)
            notes.append(reason)
        elif is_complete_gtzan(genre_of):
            policy = "fault-filtered"
        else:
            policy, reason = _by_artist_or_track(tracks, seed)
            notes.append(reason)
            if published := published_tracks(genre_of):
                notes.append(f"--split fault-filtered uses GTZAN's published split: {published:,} of these tracks")
    return policy, tuple(notes)


def _manifest_or_its_source(tracks: Sequence[SplitTrack]) -> tuple[SplitPolicy, str]:
    if all(track.subset == fault_filtered_subset(track.id) for track in tracks):
        return "fault-filtered", "the manifest's split is GTZAN's fault-filtered split"
    return "manifest", "using the split of the manifest or of the folders"


def _by_artist_or_track(tracks: Sequence[SplitTrack], seed: int) -> tuple[SplitPolicy, str]:
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
    ambiguous = genre_conflicts(ordered)
    usable = [track for track in ordered if track.id not in ambiguous]
    if policy == "fragment":
        subsets = {track.id: "train" for track in usable}
        return Split(policy, seed, subsets, ambiguous, (_LEAK, *_conflict_notes(ordered)))
    if policy in ("fault-filtered", "manifest"):
        split = published_split(usable, policy, seed, previous)
    else:
        split = drawn_split(usable, policy, seed, previous)
    split = replace(split, left_out={**split.left_out, **ambiguous})
    notes = [*split.notes, *_conflict_notes(ordered), *check_split(split, ordered, strict=strict)]
    require_genres(split, ordered)
    return replace(split, notes=(*notes, *_unused_and_untested(split, ordered)))


def _conflict_notes(tracks: Sequence[SplitTrack]) -> list[str]:
    conflicts = describe_recordings(tracks)[1]
    if not conflicts:
        return []
    more = f", and {counted(len(conflicts) - 1, 'more group')}" if len(conflicts) > 1 else ""
    return [f"{conflicts[0]}{more}, with different genres: no set has them; remove tracks, or correct their genres"]


def _unused_and_untested(split: Split, tracks: Sequence[SplitTrack]) -> list[str]:
    notes = []
    if split.left_out:
        count = len(split.left_out)
        notes.append(f"{counted(count, 'track')} {is_or_are(count)} not in the {split.policy} split, and not used")
    tested = {track.genre for track in tracks if split.subsets.get(track.id) == "test"}
    untested = sorted({track.genre for track in tracks} - tested)
    if untested:
        notes.append(f"no test tracks of {', '.join(untested)}: the test set says nothing about them")
    return notes
