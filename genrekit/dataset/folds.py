"""Cross-validation: what a split does not test is divided into folds, and each fold validates once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from genrekit.config import TrainConfig
from genrekit.dataset.cache import Cache
from genrekit.dataset.splits import Split, SplitTrack, open_split, split_groups, split_tracks
from genrekit.errors import SplitError


def trained_split(cache: Cache, config: TrainConfig, *, strict: bool = False) -> Split:
    """The split that a training reads: the cache's, or with folds one whose validation part is the fold.

    Errors: SplitError where the split cannot be made, or has too few groups for so many folds.
    """
    split = open_split(cache, config.split, config.split_seed, strict=strict)
    return fold_split(split, split_tracks(cache), config.folds, config.fold) if config.folds else split


class TrainedSplits:
    """The splits of a cache that trainings read, each made once."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._made: dict[tuple[object, ...], Split] = {}

    def of(self, config: TrainConfig) -> Split:
        """The split of a training; see `trained_split`."""
        key = (config.split, config.split_seed, config.folds, config.fold)
        if key not in self._made:
            self._made[key] = trained_split(self.cache, config)
        return self._made[key]


def fold_split(split: Split, tracks: list[SplitTrack], folds: int, fold: int) -> Split:
    """Divide the training and validation parts anew: one of `folds` equal parts validates, the others train.

    The test part stays as it is. Artists stay together where the split keeps them together, and so do equal recordings;
    genres are spread evenly. The folds depend on the tracks and the split's seed alone.
    Errors: SplitError where a genre would be missing from a part.
    """
    ordered = sorted(tracks, key=lambda track: track.id)
    there = [track for track in ordered if split.parts.get(track.id) in ("train", "validation")]
    groups = split_groups(there, split.seed, by_artist=split.policy != "track")
    sizes = Counter(track.genre for track in there)
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    part_of: dict[str, int] = {}
    for group in groups:
        own = Counter(track.genre for track in group)
        # The fold that lacks most of the group's genres, measured against its fair share of each.
        needs = [
            sum(n * (sizes[genre] / folds - had[genre]) / sizes[genre] for genre, n in own.items()) for had in held
        ]
        neediest = needs.index(max(needs))
        held[neediest].update(own)
        part_of |= dict.fromkeys((track.id for track in group), neediest)
    for genre in sorted(sizes):
        if any(not had[genre] or had[genre] == sizes[genre] for had in held):
            raise SplitError(f"{genre} has too few artists or tracks for {folds} folds: choose fewer folds")
    parts = {track_id: "validation" if its == fold else "train" for track_id, its in part_of.items()}
    return replace(split, parts={**split.parts, **parts})
