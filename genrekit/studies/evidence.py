"""From the runs of a study to what became of its claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genrekit.config import TrainConfig
from genrekit.errors import counted, few
from genrekit.metrics.comparison import (
    Difference,
    Sample,
    independent_difference,
    indistinguishable,
    matched_difference,
    seed_mean,
)
from genrekit.metrics.intervals import Interval
from genrekit.studies.plan import Experiment
from genrekit.studies.schema import Arm, At, Claim, Statistic, WinnerClaim, differences
from genrekit.studies.schema import Part as ClaimedPart
from genrekit.studies.verdicts import MARGINS, MOST_SEEDS_UNTESTED, Part, Reading, Verdict, is_trained, judge
from genrekit.training.validation_log import ANSWERS, Answers, load_answers


@dataclass(frozen=True)
class Finding:
    """What became of a claim: the reading where the study declares it, and the others beside it."""

    claim: str
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    statistic: str = "accuracy"
    at: str = "last"
    readings: tuple[Reading, ...] = ()
    note: str = ""
    bound: float = 0.0


READINGS: tuple[At, ...] = ("last", "best", "equal steps")

Pair = tuple[str, str]
"""The arms of a difference, the one that is claimed to be higher first."""

_OF_THE_RUN = ("the run",)
"""The one cluster of a figure that belongs to a run, and to no track."""


_ENOUGH_IN_COMMON = 0.5
"""Arms that share this part of their tracks are compared on these, others as independent."""


@dataclass(frozen=True)
class ArmRuns:
    """The finished runs of an arm, one a seed; with folds, the answers of a seed's folds stand side by side.

    `config` is the configuration that they were planned with, of the first seed and fold; `runs` are their folders,
    which other arms of the study may share.
    """

    arm: Arm
    config: TrainConfig
    seeds: tuple[int, ...]
    answers: tuple[tuple[Answers, ...], ...]
    declared_epochs: int
    runs: tuple[Path, ...] = ()

    @property
    def epochs(self) -> int:
        """The epochs of each run."""
        return self.config.epochs

    @property
    def tested(self) -> bool:
        """Whether there are the seeds and epochs that a verdict needs."""
        return len(self.answers) > MOST_SEEDS_UNTESTED and self.epochs >= self.declared_epochs

    @property
    def makes_steps(self) -> bool:
        """Whether an optimizer trains it; what is fitted at once has no state after as many steps as another."""
        return self.config.architecture.trained_by_gradient


def arm_runs(arm: Arm, experiments: Sequence[Experiment], folds: int, declared_epochs: int) -> ArmRuns:
    """The seeds of an arm, of the runs that are planned, whose folds are all finished."""
    own = [item for item in experiments if item.arm.name == arm.name]
    finished = [item for item in own if item.finished]
    counts = Counter(item.seed for item in finished)
    seeds = tuple(sorted(seed for seed, count in counts.items() if count == max(folds, 1)))
    answers = tuple(tuple(load_answers(item.run / ANSWERS) for item in finished if item.seed == seed) for seed in seeds)
    runs = tuple(item.run for item in finished if item.seed in seeds)
    return ArmRuns(arm, own[0].config, seeds, answers, declared_epochs, runs)


class Evidence:
    """The arms of a study, as samples of each statistic at each reading; `genre_of` has the genres of tracks by ID."""

    def __init__(self, arms: Mapping[str, ArmRuns], genre_of: Mapping[str, str]) -> None:
        self.arms, self._genre_of = arms, genre_of
        stepping = [runs for runs in arms.values() if runs.makes_steps]
        self._steps = min((_steps(answers) for runs in stepping for answers in runs.answers), default=0)
        self._samples: dict[tuple[str, Statistic, At], Sample | None] = {}
        first_with: dict[tuple[Path, ...], str] = {}
        self._first = {name: first_with.setdefault(its.runs, name) if its.runs else name for name, its in arms.items()}

    def first(self, name: str) -> str:
        """The first arm that has the runs of an arm: itself, but where studies that are included share a run."""
        return self._first[name]

    def sample(self, name: str, statistic: Statistic, at: At) -> Sample | None:
        """The values of an arm; None where the statistic is not known at that reading."""
        if not self.arms[name].answers or (at == "equal steps" and not self.arms[name].makes_steps):
            return None
        name = self.first(name)
        key = (name, statistic, at)
        if key not in self._samples:
            values = [_VALUES[statistic](folds, self._places(folds, at), at) for folds in self.arms[name].answers]
            known = [value for value in values if value is not None]
            self._samples[key] = self._sample(name, known) if len(known) == len(values) else None
        return self._samples[key]

    def _sample(self, name: str, values: Sequence[np.ndarray]) -> Sample:
        """Values of each seed, of the run or of its answers; a track that several folds answered has their mean."""
        folds = self.arms[name].answers[0]
        clusters = {
            track_id: cluster
            for answers in folds
            for track_id, cluster in zip(answers.track_ids, answers.clusters, strict=True)
        }
        tracks = [track_id for answers in folds for track_id in answers.track_ids]
        if any(len(seed) != len(tracks) for seed in values):
            return Sample(np.stack(values), _OF_THE_RUN)
        names, places, counts = np.unique(tracks, return_inverse=True, return_counts=True)
        table = np.stack([np.bincount(places, seed) / counts for seed in values])
        return Sample(table, tuple(clusters[track_id] for track_id in names.tolist()))

    def interval(self, name: str, statistic: Statistic, at: At) -> Interval | None:
        """Mean over seeds with its interval."""
        found = self.sample(name, statistic, at)
        share = statistic in ("accuracy", "training_accuracy", "dead_channels")
        return None if found is None else seed_mean(found, share=share)

    def trained(self, name: str) -> bool:
        """Whether an arm's accuracy in its last epoch is above chance."""
        found = self.interval(name, "accuracy", "last")
        return found is not None and is_trained(found, self.chance(name))

    def chance(self, name: str) -> float:
        """What an arm would get right by always naming the genre that most of its validation tracks have."""
        genres = [self._genre_of[track_id] for track_id in self._tracks(name)]
        return max(Counter(genres).values()) / len(genres)

    def ranking(self, at: At) -> list[str]:
        """The arms with finished seeds, the best first: the trained ones before others, by accuracy there, then loss.

        Those that have no figures there are last.
        """
        return sorted((name for name, its in self.arms.items() if its.answers), key=lambda name: self._rank(name, at))

    def _rank(self, name: str, at: At) -> tuple[bool, bool, float, float]:
        accuracy, loss = (self.interval(name, "accuracy", at), self.interval(name, "loss", at))
        if accuracy is None or loss is None:
            return (True, True, 0.0, 0.0)
        return (False, not self.trained(name), -accuracy.value, loss.value)

    def part(self, claimed: ClaimedPart, pairs: Sequence[Pair], at: At) -> Part:
        """One difference of a claim."""
        credited = [pair[0 if claimed.credited == "higher" else 1] for pair in pairs]
        runs = [self.arms[name] for pair in pairs for name in pair]
        unique = self.unique(pairs)
        known = self.known(claimed.statistic, unique, at)
        return Part(
            self._difference(claimed, known, at),
            MARGINS[claimed.statistic],
            favoured_trained=all(map(self.trained, credited)),
            tested=len(known) == len(unique) and all(its.tested for its in runs),
            by=claimed.by,
            statistic=claimed.statistic,
            note=f"{len(known)} of {len(unique)} pairs" if 0 < len(known) < len(unique) else "",
        )

    def compared(self, claimed: ClaimedPart) -> list[tuple[Pair, ...]]:
        """The differences of a part of a claim, without those of an arm and its own runs under another name."""
        found = differences(claimed, list(self.arms))
        return [pairs for pairs in found if any(map(self._apart, pairs))] or found

    def unique(self, pairs: Sequence[Pair]) -> list[Pair]:
        """One of the pairs that have the same runs, and none of an arm with its own, unless there are no others."""
        apart = [pair for pair in pairs if self._apart(pair)] or pairs
        return list(dict.fromkeys((self.first(higher), self.first(lower)) for higher, lower in apart))

    def _apart(self, pair: Pair) -> bool:
        return self.first(pair[0]) != self.first(pair[1])

    def known(self, statistic: Statistic, pairs: Sequence[Pair], at: At) -> list[Pair]:
        """The pairs of which both have a figure at that reading, and more than one seed, if there are such."""
        found = [pair for pair in pairs if all(self.sample(name, statistic, at) is not None for name in pair)]
        return [pair for pair in found if all(len(self.arms[name].seeds) > 1 for name in pair)] or found

    def _difference(self, claimed: ClaimedPart, pairs: Sequence[Pair], at: At) -> Difference:
        """The mean over pairs of known figures; arms with other tracks are compared on those that all have."""
        if not pairs:
            return Difference(float("nan"))
        samples = {name: self.sample(name, claimed.statistic, at) for pair in pairs for name in pair}
        known = {name: sample for name, sample in samples.items() if sample is not None}
        tracks = {name: self._tracks(name) for name, sample in known.items() if sample.clusters != _OF_THE_RUN}
        common = set.intersection(*map(set, tracks.values())) if tracks else set()
        if len(common) < _ENOUGH_IN_COMMON * max(map(len, tracks.values()), default=0):
            (higher, lower), *more = pairs
            no = Difference(float("nan"))
            return no if more else independent_difference(known[higher], known[lower], by=claimed.by)
        for name, its in tracks.items():
            if len(its) > len(common):
                known[name] = known[name].only(np.array([track_id in common for track_id in its]))
        return matched_difference([(known[higher], known[lower]) for higher, lower in pairs], claimed.by)

    def _tracks(self, name: str) -> list[str]:
        """The tracks that an arm answered, in the order of its samples."""
        return sorted({track_id for answers in self.arms[name].answers[0] for track_id in answers.track_ids})

    def comparable(self, name: str, first: str) -> bool:
        """Whether two arms answered the same tracks."""
        return self._tracks(name) == self._tracks(first)

    def ties(self, order: Sequence[str], at: At) -> tuple[str, ...]:
        """Those that cannot be told from the first of an order, among trained arms that answered the same tracks.

        Arms with too few seeds are told from none: they are left out, and where the first is one of them all are.
        Arms that share their runs are one among those that are compared, and all of them are named.
        """
        able = [name for name in order if self.trained(name) and len(self.arms[name].seeds) > MOST_SEEDS_UNTESTED]
        if order[0] not in able:
            return ()
        compared = dict.fromkeys(self.first(name) for name in able if self.comparable(name, order[0]))
        samples = {name: self.sample(name, "accuracy", at) for name in compared}
        found = indistinguishable({name: sample for name, sample in samples.items() if sample is not None})
        return tuple(name for name in able if self.first(name) in found)

    def _places(self, folds: Sequence[Answers], at: At) -> list[int]:
        if at == "best":
            return [answers.best_epoch - 1 for answers in folds]
        if at == "last":
            return [len(answers.right) - 1 for answers in folds]
        return [max(self._steps // answers.steps_per_epoch, 1) - 1 for answers in folds]


def _steps(folds: Sequence[Answers]) -> int:
    return min(len(answers.right) * answers.steps_per_epoch for answers in folds)


Values = np.ndarray | None


def _accuracy(folds: Sequence[Answers], places: Sequence[int], _at: At) -> Values:
    return np.concatenate([answers.right[place] for answers, place in zip(folds, places, strict=True)]).astype(float)


def _loss(folds: Sequence[Answers], places: Sequence[int], _at: At) -> Values:
    return np.concatenate([answers.loss[place] for answers, place in zip(folds, places, strict=True)]).astype(float)


def _training_accuracy(folds: Sequence[Answers], _places: Sequence[int], at: At) -> Values:
    known = [answers.training[at].track_accuracy for answers in folds if at in answers.training]
    return np.array([np.mean(known)]) if len(known) == len(folds) else None


def _overfitting(folds: Sequence[Answers], places: Sequence[int], at: At) -> Values:
    training = _training_accuracy(folds, places, at)
    return None if training is None else training - _accuracy(folds, places, at)


def _dead_channels(folds: Sequence[Answers], _places: Sequence[int], at: At) -> Values:
    known = [answers.dead_channels for answers in folds if answers.dead_channels is not None]
    return np.array([np.mean(known)]) if at == "last" and len(known) == len(folds) else None


_VALUES: dict[Statistic, Callable[[Sequence[Answers], Sequence[int], At], Values]] = {
    "accuracy": _accuracy,
    "loss": _loss,
    "overfitting": _overfitting,
    "training_accuracy": _training_accuracy,
    "dead_channels": _dead_channels,
}


def judge_claims(claims: Sequence[Claim], evidence: Evidence, at: At) -> tuple[Finding, ...]:
    """Judge a study's claims where it declares it, and beside that at the other readings."""
    readings = {place: _readings(claims, evidence, place) for place in READINGS}
    return tuple(
        _finding(claim, at, {place: its[index] for place, its in readings.items()}, evidence)
        for index, claim in enumerate(claims)
    )


def _readings(claims: Sequence[Claim], evidence: Evidence, at: At) -> list[Reading]:
    """Claims about differences are corrected for their number together; those about the winner have no p."""
    compared = [claim for claim in claims if claim.parts]
    judged = iter(map(_known, judge([_parts(claim, evidence, at) for claim in compared], at)))
    return [next(judged) if claim.winner is None else _of_winner(claim.winner, evidence, at) for claim in claims]


def _known(reading: Reading) -> Reading:
    """A difference that no figure is known for has no effect."""
    return replace(reading, effect=None) if reading.effect is not None and math.isnan(reading.effect) else reading


def _parts(claim: Claim, evidence: Evidence, at: At) -> list[Part]:
    return [evidence.part(part, pairs, at) for part in claim.parts for pairs in evidence.compared(part)]


def _of_winner(claim: WinnerClaim, evidence: Evidence, at: At) -> Reading:
    """The winner is the first there; what is claimed of its configuration holds if all its ties have it."""
    ranking = evidence.ranking(at)
    winner = ranking[0]
    found = evidence.interval(winner, "accuracy", at)
    known = all(evidence.sample(name, "accuracy", at) is not None for name in ranking)
    if found is None or not known or not all(runs.tested for runs in evidence.arms.values()):
        return _reading_of(at, "not tested", found)
    if not evidence.trained(winner):
        return _reading_of(at, "not trained", found)
    if claim.contains is not None:
        return _reading_of(at, "upheld" if found.low <= claim.contains <= found.high else "refuted", found)
    holds = [_has(evidence.arms[name].config, claim) for name in evidence.ties(ranking, at)]
    return _reading_of(at, "upheld" if all(holds) else "undecided" if any(holds) else "refuted", found)


def _has(config: TrainConfig, claim: WinnerClaim) -> bool:
    values = config.model_dump(mode="json")
    return all(values.get(key) == wanted for key, wanted in claim.has.items())


def _reading_of(at: At, verdict: Verdict, accuracy: Interval | None) -> Reading:
    if accuracy is None:
        return Reading(at, verdict, None, None, None, None, "winner")
    return Reading(at, verdict, accuracy.value, accuracy.low, accuracy.high, None, "winner")


def _finding(claim: Claim, at: At, readings: Mapping[At, Reading], evidence: Evidence) -> Finding:
    own = readings[at]
    return Finding(
        claim=claim.text,
        verdict=own.verdict,
        effect=own.effect,
        low=own.low,
        high=own.high,
        p=own.p,
        statistic=own.statistic,
        at=at,
        readings=tuple(readings.values()),
        note=_why_not(claim, evidence, own, at),
        bound=own.bound,
    )


def _why_not(claim: Claim, evidence: Evidence, own: Reading, at: At) -> str:
    """Why a claim is not tested, or which of its arms has learned nothing."""
    if own.verdict not in ("not trained", "not tested"):
        return ""
    involved = _involved(claim, evidence, at)
    if own.verdict == "not trained":
        untrained = sorted(name for name in involved if not evidence.trained(name))
        return f"not above chance: {', '.join(untrained)}"
    reasons = [own.note] if own.note else []
    short = [evidence.arms[name] for name in sorted(involved) if not evidence.arms[name].tested]
    absent = sorted(name for name in involved if not evidence.arms[name].answers)
    seeds = min((len(runs.answers) for runs in short), default=0)
    reasons += [counted(seeds, "seed")] if 0 < seeds <= MOST_SEEDS_UNTESTED else []
    fewer = [runs for runs in short if runs.epochs < runs.declared_epochs]
    reasons += [f"{fewer[0].epochs} of {fewer[0].declared_epochs} epochs"] if fewer else []
    reasons += [f"no whole seed of {few(absent)}"] if absent else []
    unknown = "the figure" if own.effect is None else "the noise of seeds that are all equal"
    return ", ".join(reasons) or f"{unknown} is not known there"


def _involved(claim: Claim, evidence: Evidence, at: At) -> set[str]:
    """The arms that a claim is judged by; of pairs that are partly there, those that are."""
    found = set[str]()
    for part in claim.parts:
        for pairs in evidence.compared(part):
            unique = evidence.unique(pairs)
            found.update(name for pair in evidence.known(part.statistic, unique, at) or unique for name in pair)
    return found or set(evidence.arms)
