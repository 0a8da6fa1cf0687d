"""How well the confidence of a model separates tracks of its genres from other audio."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import Interval, cluster_index, multinomial_draws, percentile_interval, too_few_clusters

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnknownFile:
    """The prediction for audio outside the genres of the model, such as speech or noise.

    `accepted` is whether the model names a genre for it with enough confidence; None if the model has no threshold.
    """

    path: str
    genre: str | None
    probability: float
    accepted: bool | None


@dataclass(frozen=True)
class UnknownFigures:
    """A model's confidence on audio outside its genres, compared with that on the test tracks.

    `auroc` is the probability that a test track has a higher confidence than an unknown file; 0.5 is chance.
    `false_acceptance` is the share of the unknown files whose confidence reaches `threshold`, and `known_acceptance`
    that of the test tracks. These two and `threshold` are None if the model has no threshold.
    """

    source: str
    files: tuple[UnknownFile, ...]
    auroc: Interval
    threshold: float | None
    false_acceptance: Interval | None
    known_acceptance: Interval | None

    @property
    def accepted(self) -> list[UnknownFile]:
        """The unknown files that are accepted, the most confident first."""
        return sorted((file for file in self.files if file.accepted), key=lambda file: -file.probability)


def auroc(known: Floats, unknown: Floats, clusters: Sequence[Hashable]) -> Interval:
    """Compute the area under the ROC curve with its 95 % interval, from resampling clusters of tracks and the files.

    It is the share of pairs in which the known track has the higher confidence; ties count half. If there are too few
    clusters or files, the interval is [0, 1].
    Shapes: known [K], with a cluster for each; unknown [U].

    >>> auroc(np.array([0.9, 0.8, 0.4]), np.array([0.5, 0.4]), ["a", "b", "c"]).value
    0.75
    """
    ordered = np.sort(unknown)
    below, up_to = (np.searchsorted(ordered, known, side) for side in ("left", "right"))
    index, n_clusters = cluster_index(clusters)

    def area(of_clusters: Floats, of_files: Floats) -> float:
        counts = np.concatenate([[0.0], np.cumsum(of_files)])
        weights = of_clusters[index]
        return float(weights @ (counts[below] + counts[up_to]) / (2 * weights.sum() * counts[-1]))

    value = area(np.ones(n_clusters), np.ones(len(unknown)))
    if too_few_clusters(n_clusters, len(known)):
        return Interval(value, 0.0, 1.0)
    draws = zip(multinomial_draws(n_clusters), multinomial_draws(len(unknown), stream=1), strict=True)
    resampled = np.array([area(*draw) for draw in draws])
    return percentile_interval(np.float64(value), resampled, min(n_clusters, len(unknown)))
