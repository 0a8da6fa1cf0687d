"""Compare configurations over seeds and tracks, with intervals that hold for other seeds and other tracks.

The result of a configuration is a mean over its seeds and over tracks. An interval over tracks alone mistakes the
randomness of a seed for a difference, and an interval over seeds alone holds only for these tracks (Nadeau and Bengio
1999; Demsar 2006; Bouthillier et al. 2021). The squared error of a difference is therefore

    tracks + runs - both

*tracks* is the variance of the mean over tracks of the differences between seed means, with clusters (artists) as
units. *runs* is the variance of the seed means divided by the number of seeds, summed over the configurations. The
interaction of seed and track (this run misses that track) is contained in each of the two terms, so it is subtracted
once: *both*, as in a two-way analysis of variance and in two-way clustered errors (Cameron, Gelbach and Miller 2011).
The result is at least as large as each of the first two terms. Degrees of freedom follow Satterthwaite (1946); tests
and intervals use Student's distribution. A statistic of whole runs has only the term *runs*, which gives
Welch's (1947) test. `benchmarks/comparison_errors.py` measures the error rates.
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
_Variance = tuple[float, int]
"""A variance and its degrees of freedom."""

LEVEL = 0.05
"""Significance level of all tests; intervals are 95 % intervals."""

RUN_SD = 0.025
"""Default for the standard deviation of a configuration's track accuracy over seeds."""

TRACK_SD = 0.2
"""Default for the standard deviation over artists of the difference in accuracy between two configurations."""

DRAWS = 4_000
SEED = 20_110_301
"""Number and seed of the draws for the confidence set, so that the same samples always have the same set."""

_P = TypeVar("_P", float, float | None)

_ROUNDING = 1e-12
"""Smaller errors are due to rounding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The values of one statistic of a configuration, for each seed and track.

    Shapes: values [S, T]; one cluster name (the track's artist, or the track) for each of the T tracks. T is 1 for a
    statistic of whole runs. Raises UsageError if the shapes do not match or a value is not finite.
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
        """Select tracks; shape of `kept`: [T]. Raises UsageError if no track is kept."""
        return Sample(self.values[:, kept], tuple(np.array(self.clusters)[kept].tolist()))

    @cached_property
    def _errors(self) -> _Errors:
        return _errors(np.asarray(self.values, dtype=float), self.clusters)


@dataclass(frozen=True)
class Difference:
    """A difference with its 95 % interval, two-sided p, standard error and degrees of freedom.

    The interval excludes zero if and only if p is below 0.05. If a configuration has one seed, or if all tracks are in
    one cluster, the error is unknown, and all fields except the effect are None.
    """

    effect: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    df: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Spread:
    """Standard deviations: of a configuration's mean over seeds, and of the difference of two over clusters."""

    run_sd: float
    track_sd: float


def seed_mean(sample: Sample, *, share: bool = False) -> Interval:
    """Compute the mean over seeds and tracks, with a 95 % interval for other seeds and other tracks.

    The interval of a `share` stays in [0, 1]; if the share is 0 or 1, it is the Wilson interval with as many trials as
    clusters. With one seed the interval covers tracks only and is too narrow. The interval of a single value is that
    value, and so is that of a statistic of whole runs which is the same for all seeds. If all tracks are in one
    cluster, the interval contains all values.
    """
    estimate, clusters = _estimate([(1.0, sample)]), len(set(sample.clusters))
    if _has_one_cluster(sample):
        return Interval(estimate.effect, 0.0 if share else -math.inf, 1.0 if share else math.inf)
    if share and clusters > 1 and estimate.error < _ROUNDING and estimate.effect in (0.0, 1.0):
        return wilson(round(estimate.effect) * clusters, clusters)
    half = estimate.half
    low, high = estimate.effect - half, estimate.effect + half
    return Interval(estimate.effect, max(low, 0.0) if share else low, min(high, 1.0) if share else high)


def difference(first: Sample, second: Sample, by: float = 0.0) -> Difference:
    """Compute the mean of the first sample minus that of the second on the same tracks, plus `by`.

    With `by` = 0.03, an effect above zero means that the first is at least the second minus 0.03. Raises UsageError if
    the tracks differ.
    """
    return matched_difference([(first, second)], by)


def matched_difference(pairs: Sequence[tuple[Sample, Sample]], by: float = 0.0) -> Difference:
    """Compute the mean over pairs of the first sample minus the second, plus `by`; all on the same tracks.

    Pairs are fixed and not a random draw: the interval is for other seeds and tracks, not for other pairs. The same
    object may be in several pairs. Raises UsageError if the tracks differ.
    """
    terms = [(sign / len(pairs), sample) for pair in pairs for sign, sample in zip((1, -1), pair, strict=True)]
    estimate = _estimate(terms, by)
    several_seeds = all(len(sample.values) > 1 for _, sample in terms)
    if not several_seeds or _has_one_cluster(pairs[0][0]):
        return Difference(estimate.effect)
    if estimate.error == 0 and abs(estimate.effect) >= _ROUNDING:
        return Difference(estimate.effect)  # all seeds agree: the noise is unknown, not zero
    half = estimate.half
    low, high = estimate.effect - half, estimate.effect + half
    return Difference(estimate.effect, low, high, estimate.p, estimate.df, estimate.error)


def independent_difference(first: Sample, second: Sample, by: float = 0.0) -> Difference:
    """Compute the mean of the first sample minus that of the second on different tracks, plus `by`.

    The squared errors add up, with Welch's (1947) degrees of freedom. If a sample has one seed or one cluster, or if
    the values do not vary, all fields except the effect are None.
    """
    one, other = _estimate([(1.0, first)]), _estimate([(1.0, second)])
    effect, squared = one.effect - other.effect + by, one.error**2 + other.error**2
    if min(len(first.values), len(second.values)) < 2 or squared < _ROUNDING**2:
        return Difference(effect)
    if _has_one_cluster(first) or _has_one_cluster(second):
        return Difference(effect)
    estimate = _Estimate(
        effect, math.sqrt(squared), squared**2 / (one.error**4 / one.df + other.error**4 / other.df), 0
    )
    return Difference(effect, effect - estimate.half, effect + estimate.half, estimate.p, estimate.df, estimate.error)


def holm(p_values: Sequence[_P]) -> list[_P]:
    """Correct p values for multiple tests by Holm's (1979) method; None stays None and does not count.

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
    """Find the samples that do not differ significantly from the one with the highest mean, which is among them.

    This is the model confidence set of Hansen, Lunde and Nason (2011): while the most significant difference within the
    set is significant, the worse sample of the pair is removed. Each difference is tested with its own error and
    degrees of freedom. The level is the one at which 5 % of draws from the joint normal distribution of all remaining
    differences contain a false positive (max-t of Hothorn, Bretz and Westfall 2008). With a probability of 95 %, the
    set contains all truly best samples, although the highest mean was selected after the fact. For samples with one
    seed, only the tracks' part of the error is known, and the set is too small. Names keep the mapping's order.
    Raises UsageError if the tracks differ.
    """
    names, each = list(samples), list(samples.values())
    if len(names) < 2:
        return tuple(names)
    pairs = list(combinations(range(len(names)), 2))
    p_values = {pair: _estimate([(1.0, each[pair[0]]), (-1.0, each[pair[1]])]).p for pair in pairs}
    under_null = _draw_differences(each, pairs)
    kept = set(range(len(names)))
    while len(kept) > 1:
        remaining = [index for index, pair in enumerate(pairs) if kept.issuperset(pair)]
        level = 2 * ndtr(-np.quantile(under_null[remaining].max(axis=0), 1 - LEVEL))
        smallest = min((pairs[index] for index in remaining), key=lambda pair: p_values[pair])
        if p_values[smallest] >= level:
            break
        kept.remove(min(smallest, key=lambda index: each[index]._errors.mean))
    return tuple(name for index, name in enumerate(names) if index in kept)


def spread(samples: Sequence[Sample]) -> Spread:
    """Measure the spread over seeds (median over samples) and over clusters (median over pairs of samples)."""
    seeded = [sample for sample in samples if len(sample.values) > 1]
    pairs = [_estimate([(1.0, first), (-1.0, second)]) for first, second in combinations(seeded, 2)]
    clusters = len(set(samples[0].clusters)) if samples else 0
    return Spread(
        run_sd=float(np.median([sample.seed_means.std(ddof=1) for sample in seeded])) if seeded else RUN_SD,
        track_sd=float(np.median([math.sqrt(clusters * pair.tracks) for pair in pairs])) if pairs else TRACK_SD,
    )


def detectable_difference(n_seeds: int, n_clusters: int, run_sd: float = RUN_SD, track_sd: float = TRACK_SD) -> float:
    """Compute the smallest true difference of two configurations that `difference` detects with a power of 0.8.

    It is the error times the sum of Student's quantiles for 0.975 and 0.8. With one seed it is infinite. For a
    statistic of whole runs, the number of clusters is 1.
    """
    if n_seeds < 2:
        return math.inf
    tracks = track_sd**2 / n_clusters if n_clusters > 1 else 0.0
    squared, df = _combined(tracks, [(run_sd**2 / n_seeds, n_seeds - 1)] * 2, [], n_clusters)
    return float((stdtrit(df, 1 - LEVEL / 2) + stdtrit(df, 0.8)) * math.sqrt(squared))


@dataclass(frozen=True)
class _Errors:
    """Terms of a sample's error: mean, deviations of clusters [C], variances, and degrees of freedom of the runs.

    The squared deviations add up to the variance over tracks.
    """

    mean: float
    deviations: Floats
    runs: float
    both: float
    df: int


@dataclass(frozen=True)
class _Estimate:
    """A weighted sum of means, its standard error and degrees of freedom; `tracks` is its variance over tracks alone.

    If there are 0 degrees of freedom, the error is unknown.
    """

    effect: float
    error: float
    df: float
    tracks: float

    @property
    def half(self) -> float:
        """Half of the width of the 95 % interval."""
        return float(stdtrit(self.df, 1 - LEVEL / 2)) * self.error if self.error else 0.0

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that there is no effect."""
        if self.df == 0:
            return 1.0
        if self.error == 0:
            return float(abs(self.effect) < _ROUNDING)
        return float(2 * stdtr(self.df, -abs(self.effect) / self.error))


def _has_one_cluster(sample: Sample) -> bool:
    """Whether there are several tracks, all in the same cluster."""
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
    """Estimate the sum of weights times means, plus `by`; the weights of a repeated sample are added."""
    clusters = terms[0][1].clusters
    merged: dict[int, tuple[float, Sample]] = {}
    for weight, sample in terms:
        if sample.clusters != clusters:
            counts = f"{len(clusters)} and {len(sample.clusters)} tracks"
            raise UsageError(f"samples must have the same tracks in the same order, got {counts}")
        merged[id(sample)] = (merged[id(sample)][0] + weight if id(sample) in merged else weight, sample)
    used = [(weight, sample._errors) for weight, sample in merged.values()]
    n = len(set(clusters))
    tracks = float((np.sum([weight * errors.deviations for weight, errors in used], axis=0) ** 2).sum())
    both = [(weight**2 * errors.both, errors.df) for weight, errors in used]
    squared, df = _combined(tracks, [(weight**2 * errors.runs, errors.df) for weight, errors in used], both, n)
    effect = sum(weight * errors.mean for weight, errors in used) + by
    alone = max(tracks - sum(variance for variance, _ in both), 0.0)
    if squared >= _ROUNDING**2:
        return _Estimate(effect, math.sqrt(squared), float(df), alone)
    # As if two additional clusters differed in opposite directions (Agresti and Min 2005).
    error = math.sqrt(2) / (n + 2) if len(used) > 1 and len(clusters) > 1 else 0.0
    return _Estimate(effect, error, max(n - 1, *(errors.df for _, errors in used)), alone)


def _combined(tracks: float, runs: Sequence[_Variance], both: Sequence[_Variance], n: int) -> tuple[float, float]:
    """Combine variances, each with its degrees of freedom, to a squared error and its degrees of freedom.

    The variance over few seeds is often too small, and Satterthwaite's degrees of freedom would then be too large just
    when the error is too small. They are therefore computed with the runs' variance times S / (S - 1), where S is the
    smallest number of seeds. They are at least those of the variance with the fewest.
    """
    shared = sum(variance for variance, _ in both)
    inflation = 1 + 1 / min((df for _, df in runs if df), default=math.inf)
    squared, inflated = (
        max(tracks + run - shared, tracks, run)
        for run in (factor * sum(variance for variance, _ in runs) for factor in (1.0, inflation))
    )
    variances = [(tracks, n - 1), *((inflation * variance, df) for variance, df in runs)]
    variances += [(variance, df * (n - 1)) for variance, df in both]
    weight = sum(variance**2 / df for variance, df in variances if df)
    fewest = min((df for variance, df in variances if variance and df), default=1)
    return squared, max(inflated**2 / weight, fewest) if weight else 1.0


def _draw_differences(samples: Sequence[Sample], pairs: Sequence[tuple[int, int]]) -> Floats:
    """Draw the absolute difference of each pair under equal means, in its standard deviations; [pairs, DRAWS]."""
    errors = [sample._errors for sample in samples]
    deviations = np.reshape([error.deviations for error in errors], (len(errors), -1))
    runs = np.diag([max(error.runs - error.both, 0.0) for error in errors])
    spreads, directions = np.linalg.eigh(deviations @ deviations.T + runs)
    drawn = np.random.default_rng(SEED).standard_normal((len(errors), DRAWS))
    means = (directions * np.sqrt(np.maximum(spreads, 0.0))) @ drawn
    differences = np.abs([means[first] - means[second] for first, second in pairs])
    return differences / np.maximum(np.sqrt((differences**2).mean(axis=-1, keepdims=True)), _ROUNDING)
