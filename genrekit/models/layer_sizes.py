"""How much each layer of a network makes of a fragment, from the sizes alone: a pass would take time and memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn


def output_sizes(model: nn.Module, shape: tuple[int, ...]) -> Iterator[tuple[nn.Module, int]]:
    """Each layer, in order, with how many values it makes of a fragment of that shape.

    The model need have no content (on the meta device); its layers follow one another.
    """
    axes, size = shape, math.prod(shape)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
            axes = tuple(map(_slid, axes, layer.kernel_size, layer.stride, layer.padding))
            size = layer.out_channels * math.prod(axes)
        elif isinstance(layer, (nn.MaxPool1d, nn.MaxPool2d)):
            width, channels = layer.kernel_size, size // math.prod(axes)
            assert isinstance(width, int)
            axes = tuple(length // width for length in axes)
            size = channels * math.prod(axes)
        elif isinstance(layer, nn.Linear):
            size = layer.out_features
        if next(layer.children(), None) is None:
            yield layer, size


def _slid(size: int, kernel: int, stride: int, padding: int | str) -> int:
    """How often a kernel fits on a padded axis."""
    assert isinstance(padding, int)
    return (size + 2 * padding - kernel) // stride + 1
