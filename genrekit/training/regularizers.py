"""L1 and L2 penalties on weights."""

from __future__ import annotations

from torch import Tensor, nn


def penalized_weights(model: nn.Module) -> list[Tensor]:
    """The weights of linear and convolution layers; biases and batch norms carry no penalty."""
    return [module.weight for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d))]


def penalty(weights: list[Tensor], l1: float, l2: float) -> Tensor | None:
    """`l1` times the sum of absolute weights plus `l2` times the sum of squared weights; None where both are 0.

    Shape: a scalar.
    """
    terms = []
    if l1:
        terms += [l1 * weight.abs().sum() for weight in weights]
    if l2:
        terms += [l2 * weight.square().sum() for weight in weights]
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
