"""Calibration: whether the accuracy of a model agrees with its confidence.

The expected calibration error is that of Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities
using Bayesian binning", with the 15 bins of equal width of Guo et al. (2017), "On calibration of modern neural
networks". It cannot be negative, so with few predictions it is above 0 even for a perfectly calibrated model. `chance`
is its mean in that case.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import SEED, Interval, cluster_index, sum_bootstrap


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions with a confidence above `low` and up to `high`: their number, mean confidence and accuracy."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error, and the bins of a reliability diagram.

    `chance` is the mean error of a perfectly calibrated model on predictions with the same confidence.
    """

    error: Interval
    chance: float
    bins: tuple[CalibrationBin, ...]


BINS = 15

_DRAWS = 200

Floats = npt.NDArray[np.float64]


def calibration(probabilities: Floats, truth: npt.NDArray[np.int64], clusters: Sequence[Hashable]) -> Calibration:
    """Compute the expected calibration error with its interval, and the bins that are not empty.

    The confidence of a prediction is the probability of the predicted genre.
    Shapes: probabilities [N, n_genres], truth [N]; one cluster name per prediction.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    bins = bins_of(confidence)
    index, n_clusters = cluster_index(clusters)
    sums = np.zeros((n_clusters, BINS, 3))
    np.add.at(sums, (index, bins), np.stack([np.ones(len(truth)), confidence, correct], axis=1))
    (error,) = sum_bootstrap(sums, [expected_error], len(truth))
    return Calibration(error, _chance(confidence, bins), _bins(sums.sum(axis=0)))


def bins_of(confidence: Floats) -> npt.NDArray[np.int64]:
    """Find the bin of each confidence; a bin contains its upper edge and not its lower one.

    >>> bins_of(np.array([0.0, 1 / 15, 0.5, 1.0])).tolist()
    [0, 0, 7, 14]
    """
    edges = np.arange(1, BINS) / BINS
    return np.searchsorted(edges, confidence, side="left")


def expected_error(sums: npt.NDArray[np.number]) -> Floats:
    """Mean distance between accuracy and confidence over the bins, weighted by their numbers of predictions.

    Shapes: sums [..., BINS, 3] of ones, confidences and correct predictions, to [...].
    """
    return np.abs(sums[..., 2] - sums[..., 1]).sum(-1) / np.maximum(sums[..., 0].sum(-1), 1)


def _chance(confidence: Floats, bins: npt.NDArray[np.int64]) -> float:
    """Mean error if each prediction is correct with the probability of its confidence (Bröcker and Smith 2007)."""
    generator = np.random.default_rng(SEED)
    inside = np.eye(BINS)[bins]
    errors = [
        np.abs(((generator.random(len(confidence)) < confidence) - confidence) @ inside).sum() / len(confidence)
        for _ in range(_DRAWS)
    ]
    return float(np.mean(errors))


def _bins(sums: Floats) -> tuple[CalibrationBin, ...]:
    return tuple(
        CalibrationBin(index / BINS, (index + 1) / BINS, int(count), float(confidence / count), float(correct / count))
        for index, (count, confidence, correct) in enumerate(sums)
        if count
    )
