"""Channels that have died: nothing that a network hears activates them any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU)


def dead_channels(
    model: nn.Module, batches: Iterator[tuple[Tensor, Tensor, Tensor]], device: torch.device
) -> float | None:
    """The share of channels, of all activations together, whose input is above zero for no fragment.

    A hidden unit of a dense layer counts as a channel does. None for a model without activations. The inputs are those
    of evaluation mode; only the highest value of each channel is kept.
    """
    model.eval()
    with torch.inference_mode(), _highest(model) as highest:
        for inputs, _, _ in batches:
            model(inputs.to(device))
    return float((torch.cat(list(highest.values())) <= 0).double().mean()) if highest else None


@contextmanager
def _highest(model: nn.Module) -> Iterator[dict[nn.Module, Tensor]]:
    """Keep, while the block runs, the highest input of each channel of each activation, [C] on the CPU."""
    found: dict[nn.Module, Tensor] = {}

    def hear(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0]
        values = values.amax(dim=[axis for axis in range(values.dim()) if axis != 1]).cpu()
        found[module] = torch.maximum(found[module], values) if module in found else values.clone()

    hooks = [m.register_forward_pre_hook(hear) for m in model.modules() if isinstance(m, ACTIVATIONS)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
