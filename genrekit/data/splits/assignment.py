"""The assignment of tracks to subsets: drawn with a seed, or as published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from genrekit.config import SplitPolicy
from genrekit.data.splits.groups import KNOWN_ENOUGH, assignment_order, identical_tracks, random_key, track_groups
from genrekit.data.splits.gtzan import fault_filtered_subset
from genrekit.data.splits.split import REQUIRED, Split, SplitTrack
from genrekit.errors import SplitError, counted

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""The share of each genre's tracks that a track or artist split aims for in each subset."""

_VALIDATION_SHARES = {subset: SHARES[subset] / (SHARES["train"] + SHARES["validation"]) for subset in REQUIRED}
"""The shares of the training tracks of a manifest that has no validation set."""

_MANIFEST_SEED = 0
"""A manifest's split has no seed, so that runs with any `split_seed` have the same validation set."""

_BY_STRICTNESS = ("train", "validation", "test")
"""Of identical tracks in several subsets, those in the last one are kept: a test track stays a test track."""


def published_split(
    tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int, previous: Split | None = None
) -> Split:
    """Return GTZAN's fault-filtered split or the manifest's. If a manifest has no validation set, one is drawn.

    Errors: SplitError if no track is in it, or a manifest has no training tracks.
    """
    listed = {
        track.id: fault_filtered_subset(track.id) if policy == "fault-filtered" else track.subset for track in tracks
    }
    if not any(listed.values()):
        lacking = "has a GTZAN name" if policy == "fault-filtered" else "has a value in the manifest's split column"
        raise SplitError(f"no track {lacking}: choose --split track or artist")
    left_out = {track_id: f"not listed in the {policy} split" for track_id, subset in listed.items() if not subset}
    subsets = {track_id: subset for track_id, subset in listed.items() if subset}
    if policy == "fault-filtered":
        left_out |= _identical_elsewhere([track for track in tracks if track.id in subsets], subsets)
    kept = {track_id: subset for track_id, subset in subsets.items() if track_id not in left_out}
    split = Split(policy, seed, kept, left_out)
    return _with_validation_set(split, tracks, previous) if policy == "manifest" else split


def _with_validation_set(split: Split, tracks: Sequence[SplitTrack], previous: Split | None) -> Split:
    """Draw the validation set of a manifest's split from its training tracks, if the manifest has none.

    By artist if artists are known and every genre has enough of them. Tracks of the `previous` split do not move.
    """
    counts = Counter(split.subsets.values())
    if not counts["train"]:
        raise SplitError(
            f"the manifest's split column names {subset_counts(counts)} tracks but no training tracks: name these, "
            "too, or choose --split track, which ignores the column"
        )
    if counts["validation"]:
        return split
    training = [track for track in tracks if split.subsets.get(track.id) == "train"]
    before = {} if previous is None else previous.subsets
    assigned = {track.id: before[track.id] for track in training if before.get(track.id) in _VALIDATION_SHARES}
    if "validation" not in assigned.values():
        assigned = {}
    by_artist = sum(bool(track.artists) for track in training) >= KNOWN_ENOUGH * len(training)
    subsets, left_out = _draw(training, _VALIDATION_SHARES, _MANIFEST_SEED, assigned, by_artist=by_artist)
    if by_artist and not _in_both_sets(training, subsets):
        by_artist = False
        subsets, left_out = _draw(training, _VALIDATION_SHARES, _MANIFEST_SEED, assigned, by_artist=False)
    drawn = sum(subset == "validation" for subset in subsets.values())
    note = (
        f"the manifest's split has no validation set: {drawn} of its {counts['train']} training tracks, "
        f"drawn by {'artist' if by_artist else 'track'}, are used for validation"
    )
    others = {track_id: subset for track_id, subset in split.subsets.items() if subset != "train"}
    return replace(split, subsets=others | subsets, left_out=split.left_out | left_out, notes=(*split.notes, note))


def subset_counts(counts: Mapping[str, int]) -> str:
    """Return the sizes of the sets that have tracks.

    >>> subset_counts({"train": 8, "validation": 1, "test": 1}), subset_counts({"test": 1})
    ('8 training, 1 validation and 1 test', '1 test')
    """
    names = {"train": "training", "validation": "validation", "test": "test"}
    parts = [f"{counts[subset]:,} {name}" for subset, name in names.items() if counts.get(subset)]
    return " and ".join([part for part in (", ".join(parts[:-1]), *parts[-1:]) if part])


def _in_both_sets(tracks: Sequence[SplitTrack], subsets: dict[str, str]) -> bool:
    found = {(track.genre, subsets.get(track.id)) for track in tracks}
    return all((track.genre, subset) in found for track in tracks for subset in _VALIDATION_SHARES)


def _identical_elsewhere(tracks: Sequence[SplitTrack], subsets: dict[str, str]) -> dict[str, str]:
    left_out = {}
    for identical in identical_tracks(tracks):
        kept = max((subsets[track.id] for track in identical), key=_BY_STRICTNESS.index)
        for track in identical:
            if subsets[track.id] != kept:
                left_out[track.id] = f"sample-identical to a {kept} track"
    return left_out


def drawn_split(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int, previous: Split | None) -> Split:
    """Return a track or artist split: large groups first, each to the subset that lacks it most.

    The tracks of the `previous` split keep their subset.
    """
    by_artist = policy == "artist"
    assigned = {} if previous is None else previous.subsets
    subsets, left_out = _draw(tracks, SHARES, seed, assigned, by_artist=by_artist)
    return Split(policy, seed, subsets, left_out, _unknown_artists(tracks) if by_artist else ())


def _draw(
    tracks: Sequence[SplitTrack],
    shares: Mapping[str, float],
    seed: int,
    assigned: Mapping[str, str],
    *,
    by_artist: bool,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the subset of each track, and the tracks left out with the reason; `assigned` tracks do not move."""
    left_out: dict[str, str] = {}
    drawing = _Drawing(tracks, shares)
    new_groups = []
    for group in track_groups(tracks, by_artist=by_artist):
        subsets = {assigned[track.id] for track in group if track.id in assigned}
        if not subsets:
            new_groups.append(group)
        elif len(subsets) == 1:
            drawing.assign(group, subsets.pop())
        else:
            for track in group:
                if track.id in assigned:
                    drawing.assign([track], assigned[track.id])
                else:
                    left_out[track.id] = "added later, and it links tracks of different subsets"
    for group in sorted(new_groups, key=assignment_order(seed)):
        drawing.assign(group, drawing.neediest(group))
    drawing.fill_empty_subsets({group[0].id for group in new_groups})
    return drawing.subsets(), left_out


def _unknown_artists(tracks: Sequence[SplitTrack]) -> tuple[str, ...]:
    unknown = sum(not track.artists for track in tracks)
    return (f"{counted(unknown, 'track')} without a known artist: each counts as another artist",) if unknown else ()


class _Drawing:
    """A split while it is drawn: how many tracks of each genre each subset has, and should have."""

    def __init__(self, tracks: Sequence[SplitTrack], shares: Mapping[str, float]) -> None:
        self.shares = shares
        self.genres = Counter(track.genre for track in tracks)
        self.count: Counter[tuple[str, str]] = Counter()
        self.groups: list[tuple[list[SplitTrack], str]] = []

    def assign(self, group: Sequence[SplitTrack], subset: str) -> None:
        self.groups.append((list(group), subset))
        self.count.update((track.genre, subset) for track in group)

    def subsets(self) -> dict[str, str]:
        return {track.id: subset for group, subset in self.groups for track in group}

    def neediest(self, group: Sequence[SplitTrack]) -> str:
        """Return the subset for which adding the group minimizes the squared relative error of all shares."""
        sizes = Counter(track.genre for track in group)

        def change(subset: str) -> float:
            total = 0.0
            for genre, size in sizes.items():
                target = self.shares[subset] * self.genres[genre]
                gap = target - self.count[genre, subset]
                total += ((gap - size) ** 2 - gap**2) / target
            return total

        return min(self.shares, key=change)

    def fill_empty_subsets(self, movable: set[str]) -> None:
        """Give each genre that has enough groups a track in every subset: validation first, then test."""
        for subset in self.shares:
            for genre in self.genres:
                if not self.count[genre, subset]:
                    self._fill(genre, subset, movable)

    def _fill(self, genre: str, subset: str, movable: set[str]) -> None:
        candidates = [
            index
            for index, (group, current) in enumerate(self.groups)
            if group[0].id in movable
            and any(track.genre == genre for track in group)
            and self._can_leave(group, current)
        ]
        if candidates:
            index = min(candidates, key=lambda index: (len(self.groups[index][0]), index))
            group, current = self.groups[index]
            self.count.subtract((track.genre, current) for track in group)
            self.count.update((track.genre, subset) for track in group)
            self.groups[index] = (group, subset)

    def _can_leave(self, group: Sequence[SplitTrack], subset: str) -> bool:
        sizes = Counter(track.genre for track in group)
        return subset == "test" or all(self.count[genre, subset] > size for genre, size in sizes.items())


def fragment_validates(split: Split, track_id: str, start_s: float) -> bool:
    """Return whether a fragment of a fragment split is in the validation set: one in ten, or those of the fold."""
    key = random_key(split.seed, f"{track_id}\0{start_s:.3f}")
    return int.from_bytes(key) % split.folds == split.fold if split.folds else key[0] < 256 * SHARES["validation"]
