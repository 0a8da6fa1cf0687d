"""L1 and L2 penalties: sums over weights, or norms of all parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from genrekit.config import TrainConfig


def configured_penalty(model: nn.Module, config: TrainConfig) -> Callable[[], Tensor | None]:
    """What computes the configured penalty of a model as it is when called: a scalar, or None for no penalty."""
    if config.penalty == "norms":
        return partial(norm_penalty, list(model.parameters()), config.l1, config.l2)
    return partial(penalty, penalized_weights(model), config.l1, config.l2)


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
    return _total(terms)


def norm_penalty(parameters: list[Tensor], l1: float, l2: float) -> Tensor | None:
    """`l1` times the sum of all L1 norms plus `l2` times that of all L2 norms, unsquared; None where both are 0.

    An L2 norm pulls a whole tensor by the same force however small it is; at 0 its gradient is 0.
    Shape: a scalar.
    """
    factors = [(order, factor) for order, factor in ((1, l1), (2, l2)) if factor]
    return _total([f * torch.linalg.vector_norm(tensor, order) for order, f in factors for tensor in parameters])


def _total(terms: list[Tensor]) -> Tensor | None:
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
