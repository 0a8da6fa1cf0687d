"""The most confident mistakes of a model, and the genres that it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrekit.metrics.scores import Predictions


@dataclass(frozen=True)
class Mistake:
    """A track with a wrong prediction; `probability` is that of the predicted genre for the track.

    `fragment` is the index among the predictions of the track's fragment with the highest probability of that genre.
    """

    track: int
    genre: int
    predicted: int
    probability: float
    fragment: int


def confident_mistakes(predictions: Predictions, limit: int = 8) -> list[Mistake]:
    """Find the wrongly predicted tracks with the highest confidence, in descending order."""
    tracks = predictions.of_tracks()
    confidence = tracks.probabilities.max(axis=1)
    wrong = np.flatnonzero(tracks.predicted != tracks.truth)
    mistakes = []
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:limit].tolist():
        track, predicted = int(tracks.track[index]), int(tracks.predicted[index])
        fragments = np.flatnonzero(predictions.track == track)
        fragment = fragments[predictions.probabilities[fragments, predicted].argmax()]
        mistakes.append(Mistake(track, int(tracks.truth[index]), predicted, float(confidence[index]), int(fragment)))
    return mistakes


@dataclass(frozen=True)
class ConfusedPair:
    """How many items of a genre are predicted as another one, and their share of the genre."""

    genre: str
    predicted: str
    count: int
    share: float


def confused_pairs(
    confusion: Sequence[Sequence[int]], genres: Sequence[str], limit: int = 10
) -> tuple[ConfusedPair, ...]:
    """List the most frequent mistakes, by count and then by share.

    >>> confused_pairs([[3, 1], [0, 2]], ["blues", "jazz"])
    (ConfusedPair(genre='blues', predicted='jazz', count=1, share=0.25),)
    """
    pairs = [
        ConfusedPair(genres[row], genres[column], count, count / sum(counts))
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:limit])
