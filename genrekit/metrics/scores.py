"""Predictions of a model, and their scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.metrics.accuracy import (
    accuracy,
    among_likeliest,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    track_probabilities,
)
from genrekit.metrics.calibration import Calibration, calibration
from genrekit.metrics.intervals import Interval, cluster_bootstrap

KEPT_SHARE = 0.95
"""Share of the validation tracks whose predictions count as confident with the threshold of a bundle."""


@dataclass(frozen=True)
class LevelFigures:
    """Scores per fragment or per track. `confusion[i][j]` counts items of genre i predicted as genre j."""

    count: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    top2_accuracy: Interval
    calibration: Calibration
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for the fragments of some tracks, and their mean cross-entropy.

    Shapes: probabilities float64 [F, n_genres], truth and track int64 [F].
    """

    probabilities: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]
    loss: float

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable genre of each fragment, [F]."""
        return self.probabilities.argmax(axis=1)

    def per_track(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Track indices, true genres and predicted genres of the tracks, by mean probability over fragments."""
        tracks = self.of_tracks()
        return tracks.track, tracks.truth, tracks.predicted

    def of_tracks(self) -> Predictions:
        """Average the probabilities over the fragments of each track; tracks are ordered by their index."""
        probabilities, tracks = track_probabilities(self.probabilities, self.track)
        _, first = np.unique(self.track, return_index=True)
        return Predictions(probabilities, self.truth[first], tracks, self.loss)

    def track_losses(self) -> npt.NDArray[np.float64]:
        """Mean cross-entropy of each track's fragments, [T].

        A fragment counts at most 708 nats, the negative logarithm of the smallest normal float64.
        """
        of_truth = self.probabilities[np.arange(len(self.truth)), self.truth]
        losses = -np.log(np.maximum(of_truth, np.finfo(np.float64).tiny))
        _, index, counts = np.unique(self.track, return_inverse=True, return_counts=True)
        return np.bincount(index, weights=losses) / counts

    @property
    def confidence_threshold(self) -> float:
        """The highest probability that at least 95 % of the tracks reach, whether they are correct or not."""
        confidences = self.of_tracks().probabilities.max(axis=1)
        return float(np.quantile(confidences, 1 - KEPT_SHARE, method="lower"))

    @property
    def fragment_accuracy(self) -> float:
        """Share of fragments that are predicted correctly."""
        return float(np.mean(self.predicted == self.truth))

    @property
    def track_accuracy(self) -> float:
        """Share of tracks that are predicted correctly."""
        _, truth, predicted = self.per_track()
        return float(np.mean(predicted == truth))


@dataclass(frozen=True)
class Scores:
    """Scores with their intervals, per fragment and per track."""

    fragments: LevelFigures
    tracks: LevelFigures

    @property
    def fragment_accuracy(self) -> Interval:
        """Share of fragments that are predicted correctly."""
        return self.fragments.accuracy

    @property
    def track_accuracy(self) -> Interval:
        """Share of tracks that are predicted correctly."""
        return self.tracks.accuracy

    @property
    def macro_f1(self) -> Interval:
        """Mean F1 over genres, of tracks."""
        return self.tracks.macro_f1

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Counts of tracks, [n_genres, n_genres]: row i, column j counts tracks of genre i predicted as genre j."""
        return np.array(self.tracks.confusion)


def score(predictions: Predictions, cluster_of: Mapping[int, str]) -> Scores:
    """Score predictions; intervals come from resampling clusters of tracks.

    `cluster_of` names the cluster of each track index: its artist, or the track itself.
    """
    return Scores(_level(predictions, cluster_of), _level(predictions.of_tracks(), cluster_of))


def _level(predictions: Predictions, cluster_of: Mapping[int, str]) -> LevelFigures:
    n_genres = predictions.probabilities.shape[1]
    clusters = [cluster_of[track] for track in predictions.track.tolist()]
    figures = (accuracy, balanced_accuracy, macro_f1)
    exact, balanced, f1 = cluster_bootstrap(predictions.truth, predictions.predicted, clusters, n_genres, figures)
    hits = among_likeliest(predictions.probabilities, predictions.truth, 2).astype(np.int64)
    # With hit and miss as two genres, the accuracy is the share of hits.
    (top2,) = cluster_bootstrap(np.ones_like(hits), hits, clusters, 2, [accuracy])
    confusion = confusion_matrix(predictions.truth, predictions.predicted, n_genres)
    return LevelFigures(
        count=len(predictions.truth),
        accuracy=exact,
        balanced_accuracy=balanced,
        macro_f1=f1,
        top2_accuracy=top2,
        calibration=calibration(predictions.probabilities, predictions.truth, clusters),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )
