"""A model's answers, and what they are worth with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.evaluation.metrics import accuracy, confusion_matrix, macro_f1, track_probabilities
from genrekit.evaluation.statistics import cluster_bootstrap
from genrekit.records import Interval


@dataclass(frozen=True)
class Predictions:
    """A model's answers to the fragments of some tracks, and their mean cross-entropy.

    Shapes: probabilities float64 [F, n_genres], truth and track int64 [F].
    """

    probabilities: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]
    loss: float

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """The likeliest genre of each fragment, [F]."""
        return self.probabilities.argmax(axis=1)

    def per_track(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Track indices, true genres and called genres of the tracks, by mean probability over fragments."""
        probabilities, tracks = track_probabilities(self.probabilities, self.track)
        _, first = np.unique(self.track, return_index=True)
        return tracks, self.truth[first], probabilities.argmax(axis=1)

    def track_losses(self) -> npt.NDArray[np.float64]:
        """Mean cross-entropy of each track's fragments, [T]; one counts 708 nats at most, where probabilities end."""
        own = self.probabilities[np.arange(len(self.truth)), self.truth]
        losses = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
        _, index, counts = np.unique(self.track, return_inverse=True, return_counts=True)
        return np.bincount(index, weights=losses) / counts

    @property
    def fragment_accuracy(self) -> float:
        """Share of fragments that are right."""
        return float(np.mean(self.called == self.truth))

    @property
    def track_accuracy(self) -> float:
        """Share of tracks that are right."""
        _, truth, called = self.per_track()
        return float(np.mean(called == truth))


@dataclass(frozen=True)
class Scores:
    """Figures with their intervals; `confusion` counts tracks."""

    fragment_accuracy: Interval
    track_accuracy: Interval
    macro_f1: Interval
    confusion: npt.NDArray[np.int64]


def score(predictions: Predictions, cluster_of: Mapping[int, str]) -> Scores:
    """Score a model's answers; intervals come from resampling clusters of tracks.

    `cluster_of` names the cluster of each track index: its artist, or the track itself.
    """
    n_genres = predictions.probabilities.shape[1]
    fragment_clusters = [cluster_of[track] for track in predictions.track.tolist()]
    (fragments,) = cluster_bootstrap(predictions.truth, predictions.called, fragment_clusters, n_genres, [accuracy])
    tracks, truth, called = predictions.per_track()
    track_clusters = [cluster_of[track] for track in tracks.tolist()]
    by_track, f1 = cluster_bootstrap(truth, called, track_clusters, n_genres, [accuracy, macro_f1])
    return Scores(fragments, by_track, f1, confusion_matrix(truth, called, n_genres))
