"""Which split a training reads, and by what its data are known again.

In cross-validation, what a split does not test is divided into folds, and each fold validates once. Folds of tracks are
even in genres; those of fragments are drawn by lot.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from genrekit.config import TrainConfig
from genrekit.data.cache.hdf5 import Cache
from genrekit.data.splits.split import Split, SplitTrack, open_split, split_groups, split_tracks
from genrekit.errors import SplitError


def trained_split(cache: Cache, config: TrainConfig, *, strict: bool = False) -> Split:
    """The split that a training reads: the cache's, or with folds one whose validation set is the fold.

    Errors: SplitError where the split cannot be made, or has too few groups for so many folds.
    """
    split = open_split(cache, config.split, config.split_seed, strict=strict)
    if split.policy == "fragment":
        return replace(split, folds=config.folds, fold=config.fold)
    return fold_split(split, split_tracks(cache), config.folds, config.fold) if config.folds else split


def data_fingerprints(cache: Cache, split: Split) -> dict[str, str]:
    """Fingerprints of all that a training reads, wherever the cache lies: equal ones mean equal batches."""
    tracks = {track.id: [track.digest, track.genre, track.rows] for track in cache.tracks}
    return {
        "configuration": _fingerprint(cache.config.model_dump(mode="json")),
        "genres": _fingerprint(cache.genres),
        "training tracks": _fingerprint({track_id: tracks[track_id] for track_id in split.ids("train")}),
        "validation tracks": _fingerprint({track_id: tracks[track_id] for track_id in split.ids("validation")}),
    }


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class TrainedSplits:
    """The splits of a cache that trainings read, each made once."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._made: dict[tuple[object, ...], Split] = {}
        self._fingerprints: dict[tuple[object, ...], dict[str, str]] = {}

    def of(self, config: TrainConfig) -> Split:
        """The split of a training; see `trained_split`."""
        key = _key(config)
        if key not in self._made:
            self._made[key] = trained_split(self.cache, config)
        return self._made[key]

    def fingerprints(self, config: TrainConfig) -> dict[str, str]:
        """The fingerprints of what a training reads; see `data_fingerprints`."""
        key = _key(config)
        if key not in self._fingerprints:
            self._fingerprints[key] = data_fingerprints(self.cache, self.of(config))
        return self._fingerprints[key]


def _key(config: TrainConfig) -> tuple[object, ...]:
    return (config.split, config.split_seed, config.folds, config.fold)


def fold_split(split: Split, tracks: list[SplitTrack], folds: int, fold: int) -> Split:
    """Divide the training and validation sets anew: one of `folds` equal subsets validates, the others train.

    The test set stays as it is. Artists stay together where the split keeps them together, and so do equal recordings;
    genres are spread evenly. The folds depend on the tracks and the split's seed alone.
    Errors: SplitError where a genre would be missing from a subset.
    """
    ordered = sorted(tracks, key=lambda track: track.id)
    there = [track for track in ordered if split.subsets.get(track.id) in ("train", "validation")]
    groups = split_groups(there, split.seed, by_artist=split.policy != "track")
    sizes = Counter(track.genre for track in there)
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for group in groups:
        own = Counter(track.genre for track in group)
        # The fold that lacks most of the group's genres, measured against its fair share of each.
        needs = [
            sum(n * (sizes[genre] / folds - had[genre]) / sizes[genre] for genre, n in own.items()) for had in held
        ]
        neediest = needs.index(max(needs))
        held[neediest].update(own)
        fold_of |= dict.fromkeys((track.id for track in group), neediest)
    for genre in sorted(sizes):
        if any(not had[genre] or had[genre] == sizes[genre] for had in held):
            raise SplitError(f"{genre} has too few artists or tracks for {folds} folds: choose fewer folds")
    subsets = {track_id: "validation" if its == fold else "train" for track_id, its in fold_of.items()}
    return replace(split, subsets={**split.subsets, **subsets})
