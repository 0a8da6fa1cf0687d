"""The loss that is reported and the one that is trained on: cross-entropy, smoothed and weighted only for training."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def balanced_weights(counts: Tensor) -> Tensor:
    """Weight of each genre by its fragments: n / (k * n_c) for k genres that have any, whose mean over fragments is 1.

    Shapes: [G] to [G]; 0 for a genre without fragments.

    >>> from torch import tensor
    >>> balanced_weights(tensor([1, 3, 0])).tolist()
    [2.0, 0.6666666865348816, 0.0]
    """
    present = counts > 0
    return counts.sum() / (present.sum() * counts.clamp_min(1)) * present


def trained_loss(logits: Tensor, targets: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """Mean over fragments of the smoothed cross-entropy (Szegedy et al. 2016), times the weight of the genre.

    The mean divides by the fragments and not by their weights, whose sum differs from batch to batch.
    Shapes: logits [B, G], targets [B], weights [G]; a scalar.
    """
    if weights is None:
        return cross_entropy(logits, targets, label_smoothing=smoothing)
    return (weights[targets] * cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")).mean()
