"""L1 and L2 penalties: sums over weights, or norms of all parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from genrekit.config import TrainConfig

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def configured_penalty(model: nn.Module, config: TrainConfig) -> Callable[[], Tensor | None]:
    """Return a function that computes the configured penalty of a model's current weights; None for no penalty."""
    if config.penalty == "norms":
        return partial(norm_penalty, list(model.parameters()), config.l1, config.l2)
    return partial(penalty, penalized_weights(model), config.l1, config.l2)


def penalized_weights(model: nn.Module) -> list[Tensor]:
    """Return the weights that are penalized: trained parameters of two or more dimensions, except those of norms.

    Biases and the scales of norms have one dimension. A weight that layers share is listed once.
    """
    layers = (module for module in model.modules() if not isinstance(module, _NORMS))
    parameters = (parameter for layer in layers for parameter in layer.parameters(recurse=False))
    weights = {id(weight): weight for weight in parameters if weight.requires_grad and weight.dim() > 1}
    return list(weights.values())


def penalty(weights: list[Tensor], l1: float, l2: float) -> Tensor | None:
    """Compute `l1` times the sum of absolute weights plus `l2` times the sum of squared weights; None if both are 0.

    Shape: a scalar.
    """
    terms = []
    if l1:
        terms += [l1 * weight.abs().sum() for weight in weights]
    if l2:
        terms += [l2 * weight.square().sum() for weight in weights]
    return _total(terms)


def norm_penalty(parameters: list[Tensor], l1: float, l2: float) -> Tensor | None:
    """Compute `l1` times the sum of all L1 norms plus `l2` times the sum of all L2 norms; None if both are 0.

    The L2 norm is not squared, so its gradient has the same length for every tensor, and is 0 at 0.
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
