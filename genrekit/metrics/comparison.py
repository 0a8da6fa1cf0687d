"""Differences of configurations over seeds and tracks, as they would come out with other seeds and other tracks.

A figure of a configuration is a mean over its seeds and over tracks. Other seeds would have changed it, and other
tracks too: an interval over tracks alone calls luck of the seed a difference, and one over seeds alone holds only for
these tracks (Nadeau and Bengio 1999; Demsar 2006; Bouthillier et al. 2021). The squared error of a difference is
therefore

    tracks + runs - both

*tracks*: the variance of the mean of the tracks' differences of seed means, with whole clusters (artists) as its
units. *runs*: the variance of the seeds' means over their number, summed over the configurations. What is neither the
seed's nor the track's own, that this run misses that track, is in each of the two, so it is taken off once: *both*, as
in a two-way analysis of variance and in errors that are clustered in two ways (Cameron, Gelbach and Miller 2011). The
sum is never less than its first or its second part. It has Satterthwaite's (1946) degrees of freedom, and tests and
intervals are Student's. Of a figure that belongs to the run alone only *runs* is left, which is Welch's (1947) test.
`benchmarks/comparison_errors.py` shows how often all this is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr, stdtrit

from genrekit.errors import UsageError
from genrekit.metrics.intervals import Interval, wilson

Floats = npt.NDArray[np.float64]
_Part = tuple[float, int]

LEVEL = 0.05
"""Chance of a false alarm that tests allow; intervals are of 95 %."""

RUN_SD = 0.025
"""Standard deviation of a configuration's track accuracy from seed to seed, where none has been measured."""

TRACK_SD = 0.2
"""Standard deviation of the artists' lasting differences in accuracy between two configurations, where none has been
measured."""

DRAWS = 4_000
SEED = 20_110_301
"""Of the draws for the set of the best: the same samples always have the same set."""

_P = TypeVar("_P", float, float | None)

_NOTHING = 1e-12
"""Errors below are rounding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One configuration under one statistic: a value for each seed and track; a higher one is better or is not.

    Shapes: values [S, T]; one cluster name (the track's artist, or the track) for each of the T tracks. T is 1 for a
    figure that belongs to the run alone. Raises UsageError where they do not fit, or a value is not finite.
    """

    values: Floats
    clusters: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape or self.values.shape[1] != len(self.clusters):
            raise UsageError(f"values must be seeds x {len(self.clusters)} tracks, got {self.values.shape}")
        if not np.isfinite(self.values).all():
            raise UsageError(f"values must be finite, got {self.values[~np.isfinite(self.values)][0]}")

    @property
    def seed_means(self) -> Floats:
        """Mean over tracks of each seed, [S]."""
        return self.values.mean(axis=1, dtype=float)

    def only(self, kept: npt.NDArray[np.bool_]) -> Sample:
        """The same of some of its tracks; shape [T]. Raises UsageError where none is kept."""
        return Sample(self.values[:, kept], tuple(np.array(self.clusters)[kept].tolist()))

    @cached_property
    def _errors(self) -> _Errors:
        return _errors(np.asarray(self.values, dtype=float), self.clusters)


@dataclass(frozen=True)
class Difference:
    """A difference with its 95 % interval, two-sided p, standard error and degrees of freedom.

    The interval lies on one side of zero exactly where p is below 0.05. All but the effect are None where a
    configuration has one seed, or all tracks are of one cluster: the error is not known then.
    """

    effect: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    df: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Spread:
    """Standard deviations: of a configuration's mean from seed to seed, and of the clusters' lasting differences."""

    run_sd: float
    track_sd: float


def seed_mean(sample: Sample, *, share: bool = False) -> Interval:
    """Mean over seeds and tracks, with the 95 % interval of what other seeds and other tracks would give.

    A `share` stays in [0, 1], and of none or all of the tracks it has Wilson's interval for as many clusters. One seed
    does not say what others would do: the interval is then one over tracks alone, and too narrow. A single value is its
    own interval, and so is a figure of the run that is the same with all seeds. Tracks that are all of one cluster do
    not say what others would give: the interval holds all values.
    """
    estimate, clusters = _estimate([(1.0, sample)]), len(set(sample.clusters))
    if _of_one_cluster(sample):
        return Interval(estimate.effect, 0.0 if share else -math.inf, 1.0 if share else math.inf)
    if share and clusters > 1 and estimate.error < _NOTHING and estimate.effect in (0.0, 1.0):
        return wilson(round(estimate.effect) * clusters, clusters)
    half = estimate.half
    low, high = estimate.effect - half, estimate.effect + half
    return Interval(estimate.effect, max(low, 0.0) if share else low, min(high, 1.0) if share else high)


def difference(first: Sample, second: Sample, by: float = 0.0) -> Difference:
    """How much higher the first mean is than the second on the same tracks, plus `by`.

    With `by` = 0.03 the effect of "at least the second's, less 0.03" is above zero where it holds. Raises UsageError
    if the tracks are not the same.
    """
    return matched_difference([(first, second)], by)


def matched_difference(pairs: Sequence[tuple[Sample, Sample]], by: float = 0.0) -> Difference:
    """Mean over pairs of how much higher the first of a pair is than its second, plus `by`; all on the same tracks.

    The pairs are those of the claim, no draw from a larger number: the interval is for other seeds and tracks, not for
    other pairs. A sample may be in several pairs, as the same object. Raises UsageError if the tracks are not the same.
    """
    terms = [(sign / len(pairs), sample) for pair in pairs for sign, sample in zip((1, -1), pair, strict=True)]
    estimate = _estimate(terms, by)
    known = all(len(sample.values) > 1 for _, sample in terms)
    if not known or _of_one_cluster(pairs[0][0]):
        return Difference(estimate.effect)
    if estimate.error == 0 and abs(estimate.effect) >= _NOTHING:
        return Difference(estimate.effect)  # no seed differs from another: the noise is not known, and not zero
    half = estimate.half
    low, high = estimate.effect - half, estimate.effect + half
    return Difference(estimate.effect, low, high, estimate.p, estimate.df, estimate.error)


def independent_difference(first: Sample, second: Sample, by: float = 0.0) -> Difference:
    """How much higher the first mean is than the second, each on tracks of its own, plus `by`.

    The squared errors add up, with Welch's (1947) degrees of freedom. All but the effect are None where one has one
    seed or one cluster, or no spread is seen.
    """
    one, other = _estimate([(1.0, first)]), _estimate([(1.0, second)])
    effect, squared = one.effect - other.effect + by, one.error**2 + other.error**2
    if min(len(first.values), len(second.values)) < 2 or squared < _NOTHING**2:
        return Difference(effect)
    if _of_one_cluster(first) or _of_one_cluster(second):
        return Difference(effect)
    estimate = _Estimate(
        effect, math.sqrt(squared), squared**2 / (one.error**4 / one.df + other.error**4 / other.df), 0
    )
    return Difference(effect, effect - estimate.half, effect + estimate.half, estimate.p, estimate.df, estimate.error)


def holm(p_values: Sequence[_P]) -> list[_P]:
    """Correct p values for their number by Holm's (1979) method; None stays None and does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    adjusted = list(p_values)
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    reached = 0.0
    for rank, (p, index) in enumerate(known):
        reached = max(reached, min(1.0, (len(known) - rank) * p))
        adjusted[index] = reached
    return adjusted


def indistinguishable(samples: Mapping[str, Sample]) -> tuple[str, ...]:
    """Names of those that cannot be told from the highest mean, which is among them, in the mapping's order.

    The model confidence set of Hansen, Lunde and Nason (2011): while the surest of all differences within the set is
    more than luck, the worse of the two leaves. Each is tested with its own error and degrees of freedom, at the level
    at which one of so many is a false alarm in 5 % of draws from their joint normal distribution (max-t of Hothorn,
    Bretz and Westfall 2008). So with 95 % the set holds all that are truly the best, although the highest was picked
    after the fact. Of those with one seed only the tracks' part of the error is known, and the set is too small.
    Raises UsageError if the tracks are not the same.
    """
    names, each = list(samples), list(samples.values())
    if len(names) < 2:
        return tuple(names)
    pairs = list(combinations(range(len(names)), 2))
    p_values = {pair: _estimate([(1.0, each[pair[0]]), (-1.0, each[pair[1]])]).p for pair in pairs}
    by_luck = _by_luck(each, pairs)
    kept = set(range(len(names)))
    while len(kept) > 1:
        left = [place for place, pair in enumerate(pairs) if kept.issuperset(pair)]
        level = 2 * ndtr(-np.quantile(by_luck[left].max(axis=0), 1 - LEVEL))
        surest = min((pairs[place] for place in left), key=lambda pair: p_values[pair])
        if p_values[surest] >= level:
            break
        kept.remove(min(surest, key=lambda index: each[index]._errors.mean))
    return tuple(name for index, name in enumerate(names) if index in kept)


def spread(samples: Sequence[Sample]) -> Spread:
    """The spread over seeds and over clusters of existing samples: medians over samples, and over pairs of them."""
    seeded = [sample for sample in samples if len(sample.values) > 1]
    pairs = [_estimate([(1.0, first), (-1.0, second)]) for first, second in combinations(seeded, 2)]
    clusters = len(set(samples[0].clusters)) if samples else 0
    return Spread(
        run_sd=float(np.median([sample.seed_means.std(ddof=1) for sample in seeded])) if seeded else RUN_SD,
        track_sd=float(np.median([math.sqrt(clusters * pair.lasting) for pair in pairs])) if pairs else TRACK_SD,
    )


def detectable_difference(n_seeds: int, n_clusters: int, run_sd: float = RUN_SD, track_sd: float = TRACK_SD) -> float:
    """The smallest true difference of two configurations that `difference` finds with a power of 0.8.

    It is the sum of Student's quantiles for 0.975 and for 0.8 times the error. One seed finds nothing: infinity. One
    cluster is a figure of the run alone.
    """
    if n_seeds < 2:
        return math.inf
    tracks = track_sd**2 / n_clusters if n_clusters > 1 else 0.0
    squared, df = _combined(tracks, [(run_sd**2 / n_seeds, n_seeds - 1)] * 2, [], n_clusters)
    return float((stdtrit(df, 1 - LEVEL / 2) + stdtrit(df, 0.8)) * math.sqrt(squared))


@dataclass(frozen=True)
class _Errors:
    """A sample's mean, its clusters' deviations [C], and the variances of runs and of both with the runs' freedom.

    The deviations' squares add up to the variance over tracks.
    """

    mean: float
    deviations: Floats
    runs: float
    both: float
    df: int


@dataclass(frozen=True)
class _Estimate:
    """A weighted sum of means, its standard error and degrees of freedom; `lasting` is the tracks' own variance.

    No degrees of freedom: nothing is known of the error.
    """

    effect: float
    error: float
    df: float
    lasting: float

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return float(stdtrit(self.df, 1 - LEVEL / 2)) * self.error if self.error else 0.0

    @property
    def p(self) -> float:
        """Two-sided p of no effect."""
        if self.df == 0:
            return 1.0
        if self.error == 0:
            return float(abs(self.effect) < _NOTHING)
        return float(2 * stdtr(self.df, -abs(self.effect) / self.error))


def _of_one_cluster(sample: Sample) -> bool:
    """Whether its tracks, which are several, are one unit."""
    return len(set(sample.clusters)) == 1 < len(sample.clusters)


def _errors(values: Floats, clusters: Sequence[str]) -> _Errors:
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    (seeds, tracks), n = values.shape, len(names)
    member = np.zeros((tracks, n))
    member[np.arange(tracks), [names[name] for name in clusters]] = 1 / tracks
    mean, by_track, by_seed = values.mean(), values.mean(axis=0), values.mean(axis=1)
    deviations = (by_track - mean) @ member * math.sqrt(n / max(n - 1, 1))
    if seeds == 1:
        return _Errors(float(mean), deviations, 0.0, 0.0, 0)
    rest = (values - by_track - by_seed[:, None] + mean) @ member
    both = (rest**2).sum() / (seeds * (seeds - 1)) * n / max(n - 1, 1)
    return _Errors(float(mean), deviations, float(by_seed.var(ddof=1)) / seeds, float(both), seeds - 1)


def _estimate(terms: Sequence[tuple[float, Sample]], by: float = 0.0) -> _Estimate:
    """Estimate the sum of weights times means, plus `by`; a sample that comes twice is one with both weights."""
    clusters = terms[0][1].clusters
    merged: dict[int, tuple[float, Sample]] = {}
    for weight, sample in terms:
        if sample.clusters != clusters:
            raise UsageError(f"{len(clusters)} and {len(sample.clusters)} tracks are not the same in the same order")
        merged[id(sample)] = (merged[id(sample)][0] + weight if id(sample) in merged else weight, sample)
    used = [(weight, sample._errors) for weight, sample in merged.values()]
    n = len(set(clusters))
    tracks = float((np.sum([weight * part.deviations for weight, part in used], axis=0) ** 2).sum())
    both = [(weight**2 * part.both, part.df) for weight, part in used]
    squared, df = _combined(tracks, [(weight**2 * part.runs, part.df) for weight, part in used], both, n)
    effect = sum(weight * part.mean for weight, part in used) + by
    lasting = max(tracks - sum(variance for variance, _ in both), 0.0)
    if squared >= _NOTHING**2:
        return _Estimate(effect, math.sqrt(squared), float(df), lasting)
    # As if two more clusters had differed, one this way and one that (Agresti and Min 2005).
    error = math.sqrt(2) / (n + 2) if len(used) > 1 and len(clusters) > 1 else 0.0
    return _Estimate(effect, error, max(n - 1, *(part.df for _, part in used)), lasting)


def _combined(tracks: float, runs: Sequence[_Part], both: Sequence[_Part], n: int) -> tuple[float, float]:
    """Squared error and its degrees of freedom from the parts, each a variance with its own degrees.

    A few seeds often show less than their spread, and the degrees would then be too many just where the error is too
    small: they are counted with the runs' part enlarged by S / (S - 1), S being the fewest seeds. They are never fewer
    than those of the part that has the fewest.
    """
    shared = sum(variance for variance, _ in both)
    careful = 1 + 1 / min((df for _, df in runs if df), default=math.inf)
    squared, counted = (
        max(tracks + run - shared, tracks, run)
        for run in (factor * sum(variance for variance, _ in runs) for factor in (1.0, careful))
    )
    parts = [(tracks, n - 1), *((careful * variance, df) for variance, df in runs)]
    parts += [(variance, df * (n - 1)) for variance, df in both]
    weight = sum(variance**2 / df for variance, df in parts if df)
    fewest = min((df for variance, df in parts if variance and df), default=1)
    return squared, max(counted**2 / weight, fewest) if weight else 1.0


def _by_luck(samples: Sequence[Sample], pairs: Sequence[tuple[int, int]]) -> Floats:
    """What luck alone makes of each pair's difference, in its standard deviations, [pairs, DRAWS]."""
    errors = [sample._errors for sample in samples]
    deviations = np.reshape([error.deviations for error in errors], (len(errors), -1))
    runs = np.diag([max(error.runs - error.both, 0.0) for error in errors])
    spreads, directions = np.linalg.eigh(deviations @ deviations.T + runs)
    drawn = np.random.default_rng(SEED).standard_normal((len(errors), DRAWS))
    means = (directions * np.sqrt(np.maximum(spreads, 0.0))) @ drawn
    apart = np.abs([means[first] - means[second] for first, second in pairs])
    return apart / np.maximum(np.sqrt((apart**2).mean(axis=-1, keepdims=True)), _NOTHING)
