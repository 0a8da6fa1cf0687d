"""Intervals: Wilson's for a share, and the bootstrap over clusters for figures of a confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


Z_95 = 1.959963984540054
"""Quantile of the normal distribution for a 95 % interval."""

RESAMPLES = 2_000
SEED = 20_130_601
"""Of the resampling: the same predictions always have the same interval."""

Figure = Callable[[npt.NDArray[np.number]], npt.NDArray[np.float64]]
"""From sums over items, such as confusion matrices [..., n, n], to one value each [...]."""


def wilson(successes: int, n: int) -> Interval:
    """95 % interval of a share by Wilson's score (Wilson 1927); of nothing, all is possible.

    >>> wilson(8, 10)
    Interval(value=0.8, low=0.49..., high=0.94...)
    """
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share, spread = successes / n, Z_95**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # The interval of none or all ends at the share itself: rounding must not leave it outside.
    return Interval(share, max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half))))


def cluster_bootstrap(
    truth: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    clusters: Sequence[Hashable],
    n_genres: int,
    figures: Sequence[Figure],
) -> tuple[Interval, ...]:
    """95 % intervals of figures of a confusion matrix, by resampling whole clusters.

    Shapes: truth and predicted [N]; one cluster name for each item.
    """
    index, n_clusters = cluster_index(clusters)
    sums = np.zeros((n_clusters, n_genres, n_genres))
    np.add.at(sums, (index, truth, predicted), 1)
    return sum_bootstrap(sums, figures)


def sum_bootstrap(sums: npt.NDArray[np.float64], figures: Sequence[Figure]) -> tuple[Interval, ...]:
    """95 % percentile intervals of figures of a sum over clusters, by resampling these (Field and Welsh 2007).

    Items of one cluster (the fragments of a track, the tracks of an artist) stay together, because they are not
    independent. Where all are right, or all wrong, resampling knows no spread: the interval is then Wilson's of as
    many clusters. An interval holds its figure, also where resampling moves it to one side.
    Shape: sums [clusters, ...].
    """
    resampled = resample(sums)
    return tuple(_percentile(figure(sums.sum(axis=0)), figure(resampled), len(sums)) for figure in figures)


def cluster_index(clusters: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    """Number the clusters in the order of their first item; return each item's number, and how many there are.

    >>> cluster_index(["Ann", "Bob", "Ann"])
    (array([0, 1, 0]), 2)
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    return np.array([names[name] for name in clusters], dtype=np.int64), len(names)


def resample(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Draw as many clusters as there are, with replacement, and add them up.

    Shapes: [clusters, ...] to [RESAMPLES, ...].
    """
    generator = np.random.default_rng(SEED)
    draws = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    return np.tensordot(draws, sums, axes=1)


def _percentile(value: npt.NDArray[np.float64], resampled: npt.NDArray[np.float64], n_clusters: int) -> Interval:
    if value in (0, 1) and resampled.min() == resampled.max():
        return wilson(int(value) * n_clusters, n_clusters)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(float(value), min(float(low), float(value)), max(float(high), float(value)))
