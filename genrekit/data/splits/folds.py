"""The split of a training run, folds for cross-validation, and fingerprints of the data that a run reads.

In cross-validation, the training and the validation set are divided into folds, and each fold validates once. Folds of
tracks have equal shares of each genre; folds of fragments are random.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from genrekit.config import TrainConfig, for_fingerprint
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.groups import split_groups
from genrekit.data.splits.split import REQUIRED, Split, SplitTrack
from genrekit.data.splits.store import open_split, split_tracks
from genrekit.errors import SplitError


def trained_split(cache: Cache, config: TrainConfig, *, strict: bool = False) -> Split:
    """Return the split of a training run. With folds, its validation set is the run's fold.

    Errors: SplitError if the split cannot be made, or has too few groups for the folds.
    """
    split = open_split(cache, config.split, config.split_seed, strict=strict)
    if split.policy == "fragment":
        return replace(split, folds=config.folds, fold=config.fold)
    return fold_split(split, split_tracks(cache), config.folds, config.fold) if config.folds else split


def data_fingerprints(cache: Cache, split: Split) -> dict[str, str]:
    """Return fingerprints of the data that a run reads. They do not depend on the cache's path."""
    tracks = {track.id: [track.digest, track.genre, track.rows] for track in cache.tracks}
    return {
        "configuration": _fingerprint(for_fingerprint(cache.config)),
        "genres": _fingerprint(cache.genres),
        "training tracks": _fingerprint({track_id: tracks[track_id] for track_id in split.ids("train")}),
        "validation tracks": _fingerprint({track_id: tracks[track_id] for track_id in split.ids("validation")}),
    }


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class TrainedSplits:
    """The splits of a cache's training runs, each made once."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._made: dict[tuple[object, ...], Split] = {}
        self._fingerprints: dict[tuple[object, ...], dict[str, str]] = {}

    def of(self, config: TrainConfig) -> Split:
        """Return the split of a run; see `trained_split`."""
        key = _key(config)
        if key not in self._made:
            self._made[key] = trained_split(self.cache, config)
        return self._made[key]

    def fingerprints(self, config: TrainConfig) -> dict[str, str]:
        """Return the fingerprints of a run's data; see `data_fingerprints`."""
        key = _key(config)
        if key not in self._fingerprints:
            self._fingerprints[key] = data_fingerprints(self.cache, self.of(config))
        return self._fingerprints[key]


def _key(config: TrainConfig) -> tuple[object, ...]:
    return (config.split, config.split_seed, config.folds, config.fold)


def fold_split(split: Split, tracks: list[SplitTrack], folds: int, fold: int) -> Split:
    """Divide the training and the validation set into equal folds, of which number `fold` validates.

    The test set does not change. Artists stay together if the split keeps them together, and so do duplicates. Genres
    are spread evenly. The folds depend on the tracks and the split's seed only.
    Errors: SplitError if a genre would be missing from a set.
    """
    ordered = sorted(tracks, key=lambda track: track.id)
    divided = [track for track in ordered if split.subsets.get(track.id) in REQUIRED]
    sizes = Counter(track.genre for track in divided)
    counts: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for group in split_groups(divided, split.seed, by_artist=split.policy != "track"):
        genres = Counter(track.genre for track in group)
        neediest = _neediest(genres, counts, sizes)
        counts[neediest].update(genres)
        fold_of |= dict.fromkeys((track.id for track in group), neediest)
    for genre in sorted(sizes):
        if any(count[genre] in (0, sizes[genre]) for count in counts):
            raise SplitError(f"{genre} has too few artists or tracks for {folds} folds: use fewer folds")
    subsets = {track_id: "validation" if number == fold else "train" for track_id, number in fold_of.items()}
    return replace(split, subsets={**split.subsets, **subsets})


def _neediest(genres: Counter[str], counts: list[Counter[str]], sizes: Counter[str]) -> int:
    """Return the fold that lacks most of a group's genres, relative to its equal share of each."""
    needs = [
        sum(n * (sizes[genre] / len(counts) - count[genre]) / sizes[genre] for genre, n in genres.items())
        for count in counts
    ]
    return needs.index(max(needs))
