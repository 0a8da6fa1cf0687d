"""Count dead channels: those that no input activates any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genrekit.training.ranks import ALONE, Ranks

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish)
"""Activation layers that pass positive inputs and suppress negative ones."""

_Key = tuple[nn.Module, int]
"""An activation layer, and which of its calls within a forward pass: a model may use one layer in several places."""


def dead_channels(
    model: nn.Module, batches: Iterator[tuple[Tensor, Tensor, Tensor]], device: torch.device, ranks: Ranks = ALONE
) -> float | None:
    """Return the share of channels, of all activation layers together, whose input is never above zero.

    Channels are axis 1, so a hidden unit of a dense layer is a channel. None if the model has no activation layers;
    functions such as `torch.relu` are not counted. The inputs are those of evaluation mode; only the maximum of each
    channel is kept. Only the first rank computes it.
    """
    if not ranks.is_first:
        return ranks.from_first(None)
    model.eval()
    with torch.inference_mode(), _maxima(model) as maxima:
        for inputs, _, _ in batches:
            model(inputs.to(device))
    return ranks.from_first(float((torch.cat(list(maxima.values())) <= 0).double().mean()) if maxima else None)


@contextmanager
def _maxima(model: nn.Module) -> Iterator[dict[_Key, Tensor]]:
    """Record inside the block the maximum of each channel before each activation layer, [C] on the CPU."""
    maxima: dict[_Key, Tensor] = {}
    calls: Counter[nn.Module] = Counter()

    def start_pass(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        calls.clear()

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0]
        values = values.amax(dim=[axis for axis in range(values.dim()) if axis != 1]).cpu()
        key = (module, calls[module])
        calls[module] += 1
        maxima[key] = torch.maximum(maxima[key], values) if key in maxima else values.clone()

    hooks = [model.register_forward_pre_hook(start_pass, prepend=True)]
    hooks += [m.register_forward_pre_hook(record) for m in model.modules() if isinstance(m, ACTIVATIONS)]
    try:
        yield maxima
    finally:
        for hook in hooks:
            hook.remove()
