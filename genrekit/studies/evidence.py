"""The finished runs of a study's configurations, and the statistical samples taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrekit.config import TrainConfig
from genrekit.metrics.comparison import (
    Difference,
    Sample,
    independent_difference,
    indistinguishable,
    matched_difference,
    seed_mean,
)
from genrekit.metrics.intervals import Interval
from genrekit.studies.comparisons import Pair, differences, is_matched
from genrekit.studies.plan import Experiment
from genrekit.studies.run_statistics import STATISTICS, epoch_indices, total_steps
from genrekit.studies.schema import At, Comparison, Configuration, Statistic
from genrekit.studies.verdicts import MARGINS, MIN_SEEDS, ComparisonResult, is_trained
from genrekit.training.validation_log import ANSWERS, Answers, load_answers

_ONE_CLUSTER = ("the run",)
"""The clusters of a sample that has one value for each run, not for each track."""

_MIN_COMMON_TRACKS = 0.5
"""Configurations that share this share of their tracks are compared on the shared tracks, others as independent."""


@dataclass(frozen=True)
class ConfigurationRuns:
    """The finished runs of a configuration.

    `answers` has one item per seed, a tuple over folds. `config` has the settings of the first planned run. `runs` are
    the folders; another configuration of the study may share them. `planned_epochs` and `planned_seeds` are those of
    the study file.
    """

    configuration: Configuration
    config: TrainConfig
    seeds: tuple[int, ...]
    answers: tuple[tuple[Answers, ...], ...]
    planned_epochs: int
    planned_seeds: int = MIN_SEEDS
    runs: tuple[Path, ...] = ()

    @property
    def epochs(self) -> int:
        """The number of epochs of each run."""
        return self.config.epochs

    @property
    def has_enough_seeds(self) -> bool:
        """Whether there are enough seeds for a verdict."""
        return len(self.answers) >= MIN_SEEDS

    @property
    def makes_steps(self) -> bool:
        """Whether an optimizer trains it step by step; other models cannot be compared at equal steps."""
        return self.config.architecture.trained_by_gradient


def configuration_runs(
    configuration: Configuration,
    experiments: Sequence[Experiment],
    folds: int,
    planned_epochs: int,
    planned_seeds: int = MIN_SEEDS,
) -> ConfigurationRuns:
    """Read the finished runs of a configuration: the seeds of which all folds are finished."""
    planned = [item for item in experiments if item.configuration.name == configuration.name]
    finished = [item for item in planned if item.finished]
    counts = Counter(item.seed for item in finished)
    seeds = tuple(sorted(seed for seed, count in counts.items() if count == max(folds, 1)))
    answers = tuple(tuple(load_answers(item.run / ANSWERS) for item in finished if item.seed == seed) for seed in seeds)
    runs = tuple(item.run for item in finished if item.seed in seeds)
    return ConfigurationRuns(configuration, planned[0].config, seeds, answers, planned_epochs, planned_seeds, runs)


class Evidence:
    """Samples of each statistic of a study's configurations, by name.

    `genre_of` maps the IDs of the validation tracks to their genres.
    """

    def __init__(self, runs: Mapping[str, ConfigurationRuns], genre_of: Mapping[str, str]) -> None:
        self.runs, self._genre_of = runs, genre_of
        stepping = [item for item in runs.values() if item.makes_steps]
        self._steps = min((total_steps(folds) for item in stepping for folds in item.answers), default=0)
        self._samples: dict[tuple[str, Statistic, At], Sample | None] = {}
        names: dict[tuple[Path, ...], str] = {}
        self._first = {name: names.setdefault(item.runs, name) if item.runs else name for name, item in runs.items()}

    def first(self, name: str) -> str:
        """Return the first configuration that has the same runs; included studies may share them."""
        return self._first[name]

    def sample(self, name: str, statistic: Statistic, at: At) -> Sample | None:
        """Return the values of a configuration; None if it does not have the statistic there."""
        runs = self.runs[name]
        if not runs.answers or (at == "equal steps" and not runs.makes_steps):
            return None
        name = self.first(name)
        key = (name, statistic, at)
        if key not in self._samples:
            value_of = STATISTICS[statistic]
            values = [value_of(folds, epoch_indices(folds, at, self._steps), at) for folds in runs.answers]
            known = [value for value in values if value is not None]
            self._samples[key] = self._sample(name, known) if len(known) == len(values) else None
        return self._samples[key]

    def _sample(self, name: str, values: Sequence[np.ndarray]) -> Sample:
        """One row per seed. A track that is in several folds has its mean over them."""
        folds = self.runs[name].answers[0]
        clusters = {
            track_id: cluster
            for answers in folds
            for track_id, cluster in zip(answers.track_ids, answers.clusters, strict=True)
        }
        tracks = [track_id for answers in folds for track_id in answers.track_ids]
        if any(len(seed) != len(tracks) for seed in values):
            return Sample(np.stack(values), _ONE_CLUSTER)
        names, indices, counts = np.unique(tracks, return_inverse=True, return_counts=True)
        table = np.stack([np.bincount(indices, seed) / counts for seed in values])
        return Sample(table, tuple(clusters[track_id] for track_id in names.tolist()))

    def interval(self, name: str, statistic: Statistic, at: At) -> Interval | None:
        """Return the mean over seeds with its 95 % interval."""
        sample = self.sample(name, statistic, at)
        share = statistic in ("accuracy", "training_accuracy", "dead_channels")
        return None if sample is None else seed_mean(sample, share=share)

    def trained(self, name: str) -> bool:
        """Return whether the accuracy at the last epoch is above chance."""
        accuracy = self.interval(name, "accuracy", "last")
        return accuracy is not None and is_trained(accuracy, self.chance(name))

    def chance(self, name: str) -> float:
        """Return the accuracy of the majority-class baseline on the validation tracks of a configuration."""
        genres = [self._genre_of[track_id] for track_id in self._tracks(name)]
        return max(Counter(genres).values()) / len(genres)

    def ranking(self, at: At) -> list[str]:
        """Return the configurations with finished seeds: trained ones first, by accuracy, then by loss.

        Those without these statistics are last.
        """
        return sorted((name for name, item in self.runs.items() if item.answers), key=lambda name: self._rank(name, at))

    def _rank(self, name: str, at: At) -> tuple[bool, bool, float, float]:
        accuracy, loss = (self.interval(name, "accuracy", at), self.interval(name, "loss", at))
        if accuracy is None or loss is None:
            return (True, True, 0.0, 0.0)
        return (False, not self.trained(name), -accuracy.value, loss.value)

    def compare(self, comparison: Comparison, pairs: Sequence[Pair], at: At) -> ComparisonResult:
        """Measure one difference of a hypothesis.

        The mean over matched pairs is tested if more than half of the pairs have runs.
        """
        unique = self.unique(pairs)
        known = self.known(comparison.statistic, unique, at)
        favoured = [pair[0 if comparison.favoured == "higher" else 1] for pair in known]
        runs = [self.runs[name] for pair in known for name in pair]
        return ComparisonResult(
            self._difference(comparison, known, at),
            MARGINS[comparison.statistic],
            favoured_trained=all(map(self.trained, favoured)),
            tested=2 * len(known) > len(unique) and all(item.has_enough_seeds for item in runs),
            by=comparison.by,
            statistic=comparison.statistic,
            note=f"{len(known)} of {len(unique)} pairs" if 0 < len(known) < len(unique) else "",
        )

    def differences(self, comparison: Comparison) -> list[tuple[Pair, ...]]:
        """Return the pairs of each difference, without differences between configurations that share their runs."""
        all_pairs = differences(comparison, list(self.runs))
        return [pairs for pairs in all_pairs if any(map(self._differ, pairs))] or all_pairs

    def is_matched(self, comparison: Comparison) -> bool:
        """Return whether the comparison is about the mean over matched pairs."""
        return is_matched(comparison, list(self.runs))

    def unique(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return pairs with different runs, each once; pairs that share their runs only if there are no others."""
        apart = [pair for pair in pairs if self._differ(pair)] or pairs
        return list(dict.fromkeys((self.first(higher), self.first(lower)) for higher, lower in apart))

    def _differ(self, pair: Pair) -> bool:
        return self.first(pair[0]) != self.first(pair[1])

    def known(self, statistic: Statistic, pairs: Sequence[Pair], at: At) -> list[Pair]:
        """Return the pairs that both have the statistic, without those that have a single seed unless all have."""
        measured = [pair for pair in pairs if all(self.sample(name, statistic, at) is not None for name in pair)]
        return [pair for pair in measured if all(len(self.runs[name].seeds) > 1 for name in pair)] or measured

    def _difference(self, comparison: Comparison, pairs: Sequence[Pair], at: At) -> Difference:
        """The mean difference over pairs, on the tracks that all configurations share."""
        if not pairs:
            return Difference(float("nan"))
        samples = {name: self.sample(name, comparison.statistic, at) for pair in pairs for name in pair}
        known = {name: sample for name, sample in samples.items() if sample is not None}
        tracks = {name: self._tracks(name) for name, sample in known.items() if sample.clusters != _ONE_CLUSTER}
        common = set.intersection(*map(set, tracks.values())) if tracks else set()
        if len(common) < _MIN_COMMON_TRACKS * max(map(len, tracks.values()), default=0):
            (higher, lower), *more = pairs
            if more:
                return Difference(float("nan"))
            return independent_difference(known[higher], known[lower], by=comparison.by)
        for name, track_ids in tracks.items():
            if len(track_ids) > len(common):
                known[name] = known[name].only(np.array([track_id in common for track_id in track_ids]))
        return matched_difference([(known[higher], known[lower]) for higher, lower in pairs], comparison.by)

    def _tracks(self, name: str) -> list[str]:
        """The validation tracks of a configuration, in the order of its samples."""
        return sorted({track_id for answers in self.runs[name].answers[0] for track_id in answers.track_ids})

    def comparable(self, name: str, other: str) -> bool:
        """Return whether two configurations have the same validation tracks."""
        return self._tracks(name) == self._tracks(other)

    def ties(self, ranking: Sequence[str], at: At) -> tuple[str, ...]:
        """Return the configurations that cannot be distinguished from the first one of a ranking.

        Only trained configurations with enough seeds and the same tracks are compared; if the first one is not among
        them, there are no ties. Configurations that share runs count once in the test, and are all returned.
        """
        able = [name for name in ranking if self.trained(name) and self.runs[name].has_enough_seeds]
        if ranking[0] not in able:
            return ()
        compared = dict.fromkeys(self.first(name) for name in able if self.comparable(name, ranking[0]))
        samples = {name: self.sample(name, "accuracy", at) for name in compared}
        tied = indistinguishable({name: sample for name, sample in samples.items() if sample is not None})
        return tuple(name for name in able if self.first(name) in tied)
