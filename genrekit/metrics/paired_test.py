"""Two models on the same tracks: by how much one is better, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import Interval, cluster_index, resample, wilson
from genrekit.metrics.scores import Predictions


@dataclass(frozen=True)
class PairedFigures:
    """Two models on the same tracks: `difference` is the track accuracy of the first minus that of the other.

    `p` is two-sided, `p_corrected` so for all models that are compared with the first (Holm 1979); `tie` where that is
    not below 0.05.
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
    """Two models on the tracks that both have answered: difference of track accuracy, and its two-sided p."""

    tracks: int
    clusters: int
    difference: Interval
    p: float


def on_same_tracks(first: Predictions, other: Predictions, cluster_of: Mapping[int, str]) -> Paired | None:
    """Compare two models by the tracks that both have answered; None where there are none.

    `cluster_of` names the cluster of each track index: its artist, or the track itself.
    """
    one, two = first.of_tracks(), other.of_tracks()
    tracks, here, there = np.intersect1d(one.track, two.track, return_indices=True)
    if not len(tracks):
        return None
    clusters = [cluster_of[track] for track in tracks.tolist()]
    right = (one.predicted == one.truth)[here], (two.predicted == two.truth)[there]
    return Paired(len(tracks), len(set(clusters)), *paired_difference(*right, clusters))


def paired_difference(
    first: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], clusters: Sequence[Hashable]
) -> tuple[Interval, float]:
    """Difference of the shares of right answers with its 95 % interval, and its two-sided p.

    The interval comes from resampling clusters; where all clusters agree, it is as wide as Wilson's of none of as many.
    Shapes: first and other [N], whether each item is right; one cluster name for each item.
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
    interval = Interval(value, max(-1.0, min(float(low), value)), min(1.0, max(float(high), value)))
    return interval, sign_flip_p(sums[:, 0].astype(np.int64).tolist())


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p that a sum of whole numbers is this far from 0 where each could as well have the other sign.

    If two models are equally good, their answers to a cluster can be exchanged. The distribution over all exchanges is
    exact: that of a sum of independent signs, one number folded in after the other. With differences of 1 it is the
    sign test, and McNemar's exact one.

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
