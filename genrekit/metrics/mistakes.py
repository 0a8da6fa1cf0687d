"""Where a model errs: its most confident mistakes, and the genres that it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrekit.metrics.scores import Predictions


@dataclass(frozen=True)
class Mistake:
    """A track that is called another genre than its own; `fragment` is the one that sounds most like that genre.

    `track` is the track's index and `fragment` the place among the predictions; `probability` is the track's.
    """

    track: int
    genre: int
    predicted: int
    probability: float
    fragment: int


def confident_mistakes(predictions: Predictions, limit: int = 8) -> list[Mistake]:
    """The tracks with a wrong answer of which the model is most sure."""
    tracks = predictions.of_tracks()
    sure = tracks.probabilities.max(axis=1)
    wrong = np.flatnonzero(tracks.predicted != tracks.truth)
    found = []
    for place in wrong[np.argsort(-sure[wrong], kind="stable")][:limit].tolist():
        predicted = int(tracks.predicted[place])
        own = np.flatnonzero(predictions.track == tracks.track[place])
        fragment = own[predictions.probabilities[own, predicted].argmax()]
        found.append(
            Mistake(int(tracks.track[place]), int(tracks.truth[place]), predicted, float(sure[place]), int(fragment))
        )
    return found


@dataclass(frozen=True)
class ConfusedPair:
    """How many of a genre's answers are another genre, and their share of that genre."""

    genre: str
    predicted: str
    count: int
    share: float


def confused_pairs(
    confusion: Sequence[Sequence[int]], genres: Sequence[str], limit: int = 10
) -> tuple[ConfusedPair, ...]:
    """The most frequent mistakes, by count and then by share.

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
