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
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr, stdtrit

from genrekit.errors import UsageError
from genrekit.evaluation.statistics import wilson
from genrekit.records import Interval

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Chance of a false alarm that tests allow; intervals are of 95 %."""

RUN_SD = 0.025
"""Standard deviation of a configuration's track accuracy from seed to seed, where none has been measured."""

TRACK_SD = 0.2
"""Standard deviation of the artists' lasting differences in accuracy between two configurations, where none has been
measured."""

DRAWS = 10_000
SEED = 20_110_301
"""Of the draws for the set of the best: the same samples always have the same set."""

_NOTHING = 1e-12
"""Errors below are rounding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One configuration under one statistic: a value for each seed and track; a higher one is better or is not.

    Shapes: values [S, T]; one cluster name (the track's artist, or the track) for each of the T tracks. T is 1 for a
    figure that belongs to the run alone. Raises UsageError where they do not fit.
    """

    values: Floats
    clusters: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape or self.values.shape[1] != len(self.clusters):
            raise UsageError(f"values must be seeds x {len(self.clusters)} tracks, got {self.values.shape}")

    @property
    def seed_means(self) -> Floats:
        """Mean over tracks of each seed, [S]."""
        return self.values.mean(axis=1, dtype=float)

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

    A `share` stays in [0, 1], and of none or all it has Wilson's interval for as many clusters (seeds, if the figure
    is the run's). One seed does not say what others would do: the interval is then one over tracks alone, and too
    narrow; a single value is its own interval.
    """
    estimate, clusters = _estimate([(1.0, sample)]), len(set(sample.clusters))
    if share and estimate.error < _NOTHING and estimate.effect in (0.0, 1.0):
        n = clusters if clusters > 1 else len(sample.values)
        return wilson(round(estimate.effect) * n, n)
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
    other pairs. A sample may be in several pairs. Raises UsageError if the tracks are not the same.
    """
    terms = [(sign / len(pairs), sample) for pair in pairs for sign, sample in zip((1, -1), pair, strict=True)]
    estimate = _estimate(terms, by)
    known = all(len(sample.values) > 1 for _, sample in terms)
    if not known or (len(set(terms[0][1].clusters)) == 1 < len(terms[0][1].clusters)):
        return Difference(estimate.effect)
    half = estimate.half
    low, high = estimate.effect - half, estimate.effect + half
    return Difference(estimate.effect, low, high, estimate.p, estimate.df, estimate.error)


def independent_difference(first: Sample, second: Sample, by: float = 0.0) -> Difference:
    """How much higher the first mean is than the second, each on tracks of its own, plus `by`.

    The squared errors add up, with Welch's (1947) degrees of freedom.
    """
    one, other = _estimate([(1.0, first)]), _estimate([(1.0, second)])
    effect, squared = one.effect - other.effect + by, one.error**2 + other.error**2
    if min(len(first.values), len(second.values)) < 2 or squared < _NOTHING**2:
        return Difference(effect)
    estimate = _Estimate(
        effect, math.sqrt(squared), squared**2 / (one.error**4 / one.df + other.error**4 / other.df), 0
    )
    return Difference(effect, effect - estimate.half, effect + estimate.half, estimate.p, estimate.df, estimate.error)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number by Holm's (1979) method; None stays None and does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    adjusted: list[float | None] = [None] * len(p_values)
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    reached = 0.0
    for rank, (p, index) in enumerate(known):
        reached = max(reached, min(1.0, (len(known) - rank) * p))
        adjusted[index] = reached
    return adjusted


def indistinguishable(samples: Mapping[str, Sample]) -> tuple[str, ...]:
    """Names of those that cannot be told from the highest mean, which is among them, in the mapping's order.

    The model confidence set of Hansen, Lunde and Nason (2011): while the largest of all differences within the set is
    more than luck, the worst leaves. Luck is what the largest of so many, of which each is tested with its own error
    and degrees of freedom, reaches in 5 % of draws from their joint normal distribution (Hothorn, Bretz and Westfall
    2008). So with 95 % the set holds all that are truly the best, although the highest was picked after the fact. Of
    those with one seed only the tracks' part of the error is known, and the set is too small. Raises UsageError if the
    tracks are not the same.
    """
    names = list(samples)
    if not names:
        return ()
    p_values = _pairwise(list(samples.values()))
    drawn = _draws(list(samples.values()))
    means = np.array([sample.seed_means.mean() for sample in samples.values()])
    kept = list(range(len(names)))
    while len(kept) > 1:
        pairs = list(combinations(kept, 2))
        surest = min(pairs, key=lambda pair: p_values[pair])
        if p_values[surest] >= _level(drawn, pairs):
            break
        kept.remove(min(surest, key=lambda index: means[index]))
    return tuple(names[index] for index in kept)


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

    It is the sum of Student's quantiles for 0.975 and for 0.8 times the error; the exact one, by the noncentral
    distribution, is less than 0.02 times smaller or larger. One seed finds nothing: infinity.
    """
    if n_seeds < 2:
        return math.inf
    runs, tracks = 2 * run_sd**2 / n_seeds, track_sd**2 / n_clusters if n_clusters > 1 else 0.0
    weight = runs**2 / (2 * (n_seeds - 1)) + tracks**2 / max(n_clusters - 1, 1)
    df = (runs + tracks) ** 2 / weight if weight else math.inf
    return float((stdtrit(df, 1 - LEVEL / 2) + stdtrit(df, 0.8)) * math.sqrt(runs + tracks))


@dataclass(frozen=True)
class _Errors:
    """What a sample's mean, [C] clusters' shares of its deviations, and variances: runs, and both."""

    mean: float
    deviations: Floats
    runs: float
    both: float


@dataclass(frozen=True)
class _Estimate:
    """A weighted sum of means, its standard error and degrees of freedom; `lasting` is the tracks' own variance."""

    effect: float
    error: float
    df: float
    lasting: float

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return float(stdtrit(self.df, 1 - LEVEL / 2)) * self.error

    @property
    def p(self) -> float:
        """Two-sided p of no effect."""
        if self.error == 0:
            return float(abs(self.effect) < _NOTHING)
        return float(2 * stdtr(self.df, -abs(self.effect) / self.error))


def _errors(values: Floats, clusters: Sequence[str]) -> _Errors:
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    (seeds, tracks), n = values.shape, len(names)
    member = np.zeros((tracks, n))
    member[np.arange(tracks), [names[name] for name in clusters]] = 1 / tracks
    mean, by_track, by_seed = values.mean(), values.mean(axis=0), values.mean(axis=1)
    deviations = (by_track - mean) @ member * math.sqrt(n / max(n - 1, 1))
    if seeds == 1:
        return _Errors(float(mean), deviations, 0.0, 0.0)
    rest = (values - by_track - by_seed[:, None] + mean) @ member
    both = (rest**2).sum() / (seeds * (seeds - 1)) * n / max(n - 1, 1)
    return _Errors(float(mean), deviations, float(by_seed.var(ddof=1)) / seeds, float(both))


def _estimate(terms: Sequence[tuple[float, Sample]], by: float = 0.0) -> _Estimate:
    """Estimate the sum of weights times means, plus `by`; a sample that comes twice is one with both weights."""
    clusters = terms[0][1].clusters
    weights: dict[int, float] = {}
    for weight, sample in terms:
        if sample.clusters != clusters:
            raise UsageError(f"{len(clusters)} and {len(sample.clusters)} tracks are not the same in the same order")
        weights[id(sample)] = weights.get(id(sample), 0.0) + weight
    used = [(weights[key], sample) for key, sample in {id(sample): sample for _, sample in terms}.items()]
    n = len(set(clusters))
    deviations = np.sum([weight * sample._errors.deviations for weight, sample in used], axis=0)
    tracks = float((deviations**2).sum())
    parts = [(tracks, n - 1)]
    runs = both = 0.0
    for weight, sample in used:
        own = len(sample.values) - 1
        runs += weight**2 * sample._errors.runs
        both += weight**2 * sample._errors.both
        parts += [(weight**2 * sample._errors.runs, own), (weight**2 * sample._errors.both, own * (n - 1))]
    squared = max(tracks + runs - both, tracks, runs)
    effect = sum(weight * sample._errors.mean for weight, sample in used) + by
    lasting = max(tracks - both, 0.0)
    if squared < _NOTHING**2:
        # As if two more clusters had differed, one this way and one that (Agresti and Min 2005).
        error = math.sqrt(2) / (n + 2) if len(used) > 1 and len(clusters) > 1 else 0.0
        return _Estimate(effect, error, max(n - 1, 1), lasting)
    return _Estimate(effect, math.sqrt(squared), squared**2 / sum(v**2 / df for v, df in parts if df), lasting)


def _pairwise(samples: Sequence[Sample]) -> dict[tuple[int, int], float]:
    """Two-sided p of each pair, by what is known of its error."""
    found = {}
    for first, second in combinations(range(len(samples)), 2):
        estimate = _estimate([(1.0, samples[first]), (-1.0, samples[second])])
        known = len(samples[first].clusters) > 1 or max(len(samples[index].values) for index in (first, second)) > 1
        found[first, second] = estimate.p if known else 1.0
    return found


def _draws(samples: Sequence[Sample]) -> Floats:
    """Means as luck alone would have them, [DRAWS, samples]."""
    generator = np.random.default_rng(SEED)
    errors = [sample._errors for sample in samples]
    deviations = np.stack([error.deviations for error in errors])
    covariance = deviations @ deviations.T + np.diag([max(error.runs - error.both, 0.0) for error in errors])
    values, vectors = np.linalg.eigh(covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))
    return generator.standard_normal((DRAWS, len(samples))) @ roots.T


def _level(drawn: Floats, pairs: Iterable[tuple[int, int]]) -> float:
    """The level at which each pair is to be tested so that one of them is a false alarm in 5 % of draws."""
    largest = np.zeros(len(drawn))
    for first, second in pairs:
        apart = drawn[:, first] - drawn[:, second]
        largest = np.maximum(largest, np.abs(apart) / max(float(apart.std()), _NOTHING))
    return float(2 * ndtr(-np.quantile(largest, 1 - LEVEL)))
