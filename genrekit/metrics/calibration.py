"""Calibration: whether a model is right as often as it is sure.

The expected calibration error is that of Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities
using Bayesian binning", with the 15 bins of equal width of Guo et al. (2017), "On calibration of modern neural
networks". It is never negative, so few answers make it large: what it would be without any fault is said beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import SEED, Interval, cluster_index, sum_bootstrap


@dataclass(frozen=True)
class CalibrationBin:
    """Answers whose confidence is above `low` and up to `high`: how many, how sure, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart: expected calibration error, and the bins of a reliability diagram.

    `chance` is the error that a model without fault would show on as many answers of the same confidence.
    """

    error: Interval
    chance: float
    bins: tuple[CalibrationBin, ...]


BINS = 15

_DRAWS = 200

Floats = npt.NDArray[np.float64]


def calibration(probabilities: Floats, truth: npt.NDArray[np.int64], clusters: Sequence[Hashable]) -> Calibration:
    """Expected calibration error with its interval, and the bins that hold answers.

    The confidence of an answer is the probability of the genre that is called.
    Shapes: probabilities [N, n_genres], truth [N]; one cluster name for each answer.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    place = bins_of(confidence)
    index, n_clusters = cluster_index(clusters)
    sums = np.zeros((n_clusters, BINS, 3))
    np.add.at(sums, (index, place), np.stack([np.ones(len(truth)), confidence, right], axis=1))
    (error,) = sum_bootstrap(sums, [expected_error])
    return Calibration(error, _by_chance(confidence, place), _bins(sums.sum(axis=0)))


def bins_of(confidence: Floats) -> npt.NDArray[np.int64]:
    """The bin of each confidence: above its lower edge and up to its upper one.

    >>> bins_of(np.array([0.0, 1 / 15, 0.5, 1.0])).tolist()
    [0, 0, 7, 14]
    """
    edges = np.arange(1, BINS) / BINS
    return np.searchsorted(edges, confidence, side="left")


def expected_error(sums: npt.NDArray[np.number]) -> Floats:
    """Mean distance of accuracy and confidence over the bins, weighted by their answers.

    Shapes: sums [..., BINS, 3] of ones, confidences and right answers, to [...].
    """
    return np.abs(sums[..., 2] - sums[..., 1]).sum(-1) / np.maximum(sums[..., 0].sum(-1), 1)


def _by_chance(confidence: Floats, place: npt.NDArray[np.int64]) -> float:
    """The mean error where each answer is right with the probability of its confidence (Bröcker and Smith 2007)."""
    generator = np.random.default_rng(SEED)
    inside = np.eye(BINS)[place]
    errors = [
        np.abs(((generator.random(len(confidence)) < confidence) - confidence) @ inside).sum() / len(confidence)
        for _ in range(_DRAWS)
    ]
    return float(np.mean(errors))


def _bins(sums: Floats) -> tuple[CalibrationBin, ...]:
    return tuple(
        CalibrationBin(index / BINS, (index + 1) / BINS, int(count), float(confidence / count), float(right / count))
        for index, (count, confidence, right) in enumerate(sums)
        if count
    )
