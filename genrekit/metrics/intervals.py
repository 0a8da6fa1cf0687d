"""Confidence intervals: the Wilson score interval of a share, and the cluster bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


FEWEST_CLUSTERS = 5
"""With fewer clusters, the spread between them is not known well enough for an interval."""

RESAMPLES = 2_000
SEED = 20_130_601
"""Seed of the resampling, so that the same predictions always have the same interval."""

Figure = Callable[[npt.NDArray[np.number]], npt.NDArray[np.float64]]
"""Computes one value from sums over items, such as confusion matrices: [..., n, n] to [...]."""


def wilson(successes: int, n: int) -> Interval:
    """Compute the 95 % Wilson score interval of a share (Wilson 1927); it is [0, 1] if n is 0.

    >>> wilson(8, 10)
    Interval(value=0.8, low=0.49..., high=0.94...)
    """
    from scipy.stats import binomtest  # slow to import, and many commands do not need it

    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share = successes / n
    bounds = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    # If none or all are successes, one bound is the share itself; rounding must not move it past the share.
    return Interval(share, min(share, float(bounds.low)), max(share, float(bounds.high)))


def cluster_bootstrap(
    truth: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    clusters: Sequence[Hashable],
    n_genres: int,
    figures: Sequence[Figure],
) -> tuple[Interval, ...]:
    """Compute 95 % intervals of functions of the confusion matrix by resampling whole clusters.

    Shapes: truth and predicted [N]; one cluster name per item.
    """
    index, n_clusters = cluster_index(clusters)
    sums = np.zeros((n_clusters, n_genres, n_genres))
    np.add.at(sums, (index, truth, predicted), 1)
    return sum_bootstrap(sums, figures, len(truth))


def sum_bootstrap(sums: npt.NDArray[np.float64], figures: Sequence[Figure], n_items: int) -> tuple[Interval, ...]:
    """Compute 95 % percentile intervals of functions of a sum over clusters (Field and Welsh 2007).

    Items of one cluster (the fragments of a track, the tracks of an artist) are resampled together, because they are
    not independent. If all items are correct, or all are wrong, every resample has the same value; the interval is then
    the Wilson interval with as many trials as clusters. An interval always contains its value. If the `n_items` items
    are in too few clusters, the interval is [0, 1]; all figures are shares.
    Shape: sums [clusters, ...].
    """
    if too_few_clusters(len(sums), n_items):
        return tuple(Interval(float(figure(sums.sum(axis=0))), 0.0, 1.0) for figure in figures)
    resampled = resample(sums)
    return tuple(percentile_interval(figure(sums.sum(axis=0)), figure(resampled), len(sums)) for figure in figures)


def too_few_clusters(n_clusters: int, n_items: int) -> bool:
    """Whether items are in clusters that are too few to be resampled, for example all tracks by one artist.

    Items that are each a cluster are never too few.

    >>> too_few_clusters(1, 60), too_few_clusters(4, 4), too_few_clusters(5, 60)
    (True, False, False)
    """
    return n_clusters < min(FEWEST_CLUSTERS, n_items)


def cluster_index(clusters: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    """Number the clusters in the order of their first item; return the number of each item, and the number of clusters.

    >>> cluster_index(["Ann", "Bob", "Ann"])
    (array([0, 1, 0]), 2)
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    return np.array([names[name] for name in clusters], dtype=np.int64), len(names)


def resample(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Draw clusters with replacement, as many as there are, and add up their sums.

    Shapes: [clusters, ...] to [RESAMPLES, ...].
    """
    return np.tensordot(multinomial_draws(len(sums)), sums, axes=1)


def multinomial_draws(n: int, *, stream: int = 0) -> npt.NDArray[np.int64]:
    """Draw n of n items with replacement, RESAMPLES times; each `stream` is independent of the others.

    Shape: the number of times that each item is drawn, [RESAMPLES, n].
    """
    generator = np.random.default_rng(SEED + stream)
    return generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)


def percentile_interval(
    value: npt.NDArray[np.float64] | np.float64, resampled: npt.NDArray[np.float64], n_clusters: int
) -> Interval:
    """Return a share with the percentile interval of its resamples, which contains it.

    If all resamples are 0 or all are 1, it is the Wilson interval of as many trials as clusters.
    """
    if value in (0, 1) and resampled.min() == resampled.max():
        return wilson(int(value) * n_clusters, n_clusters)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(float(value), min(float(low), float(value)), max(float(high), float(value)))
