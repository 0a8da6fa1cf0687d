"""The training loss: cross-entropy with label smoothing and genre weights. The reported loss has neither."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def balanced_weights(counts: Tensor) -> Tensor:
    """Compute the weight of each genre, n / (k * n_c) for the k genres with fragments. Its mean over fragments is 1.

    Shapes: [G] to [G]; 0 for a genre without fragments.

    >>> from torch import tensor
    >>> balanced_weights(tensor([1, 3, 0])).tolist()
    [2.0, 0.6666666865348816, 0.0]
    """
    present = counts > 0
    return counts.sum() / (present.sum() * counts.clamp_min(1)) * present


def trained_loss(logits: Tensor, targets: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """Compute the mean of the smoothed cross-entropy (Szegedy et al. 2016), weighted by genre.

    The mean divides by the number of fragments, not by the sum of their weights, which differs from batch to batch.
    Shapes: logits [B, G], targets [B], weights [G]; a scalar.
    """
    if weights is None:
        return cross_entropy(logits, targets, label_smoothing=smoothing)
    return (weights[targets] * cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")).mean()
