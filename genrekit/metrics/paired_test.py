"""Compare two models on the same tracks: difference, interval, and an exact permutation test."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import Interval, cluster_index, resample, too_few_clusters, wilson
from genrekit.metrics.scores import Predictions


@dataclass(frozen=True)
class PairedFigures:
    """Two models on the same tracks: `difference` is the track accuracy of the first minus that of the other.

    `p` is two-sided. `p_corrected` is corrected for the number of models that are compared with the first (Holm 1979).
    It is a tie if `p_corrected` is at least 0.05.
    """

    first: Path
    other: Path
    tracks: int
    clusters: int
    difference: Interval
    p: float
    p_corrected: float
    tie: bool


@dataclass(frozen=True)
class Paired:
    """Two models on the tracks that both have predicted: difference of track accuracy, and its two-sided p."""

    tracks: int
    clusters: int
    difference: Interval
    p: float


def on_same_tracks(first: Predictions, other: Predictions, cluster_of: Mapping[int, str]) -> Paired | None:
    """Compare two models on the tracks that both have predicted; None if there are none.

    `cluster_of` names the cluster of each track index: its artist, or the track itself.
    """
    one, two = first.of_tracks(), other.of_tracks()
    tracks, in_one, in_two = np.intersect1d(one.track, two.track, return_indices=True)
    if not len(tracks):
        return None
    clusters = [cluster_of[track] for track in tracks.tolist()]
    correct = (one.predicted == one.truth)[in_one], (two.predicted == two.truth)[in_two]
    return Paired(len(tracks), len(set(clusters)), *paired_difference(*correct, clusters))


def paired_difference(
    first: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], clusters: Sequence[Hashable]
) -> tuple[Interval, float]:
    """Compute the difference of two accuracies with its 95 % interval, and its two-sided p.

    The interval comes from resampling clusters. If all clusters agree, it reaches as far from the difference as the
    Wilson interval of 0 successes among as many clusters. If the items are in too few clusters, it is [-1, 1].
    Shapes: first and other [N], whether each item is correct; one cluster name per item.
    """
    differences = first.astype(np.int64) - other
    index, n_clusters = cluster_index(clusters)
    sums = np.zeros((n_clusters, 2))
    np.add.at(sums, index, np.stack([differences, np.ones(len(differences))], axis=1))
    value = float(differences.mean())
    resampled = resample(sums)
    shares = resampled[:, 0] / resampled[:, 1]
    low, high = np.quantile(shares, [0.025, 0.975])
    if low == high:
        low, high = value + np.array([-1, 1]) * wilson(0, len(sums)).high
    if too_few_clusters(n_clusters, len(differences)):
        low, high = -1.0, 1.0
    interval = Interval(value, max(-1.0, min(float(low), value)), min(1.0, max(float(high), value)))
    return interval, sign_flip_p(sums[:, 0].astype(np.int64).tolist())


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p of a sum of whole numbers, in the exact permutation test that flips their signs.

    If two models are equally good, exchanging their predictions for a cluster changes only the sign of its difference.
    The distribution over all exchanges is that of a sum of independent signs; it is computed by convolution. With
    differences of 1 this is the sign test, and McNemar's exact test.

    >>> sign_flip_p([1, 1, 1, 1, 1, -1])
    0.21875
    """
    distribution = np.ones(1)
    for size in (abs(difference) for difference in differences if difference):
        wider = np.zeros(len(distribution) + 2 * size)
        wider[: len(distribution)] += distribution / 2
        wider[2 * size :] += distribution / 2
        distribution = wider
    reach = len(distribution) // 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(sum(differences))
    return min(1.0, float(distribution[as_far].sum()))
