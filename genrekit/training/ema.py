"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from genrekit.training.checkpoint import State


class WeightAverage:
    """The average of the weights: after each step, `decay` times the average plus the rest times the weights.

    It starts as the weights after the first step. Buffers are not averaged (Polyak and Juditsky 1992).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self._decay = decay
        self.state: State = {}

    def update(self) -> None:
        """Update the average after a step."""
        if not self.state:
            self.state = {name: weight.clone() for name, weight in self._weights.items()}
            return
        for name, average in self.state.items():
            average.lerp_(self._weights[name], 1 - self._decay)

    def restore(self, state: State) -> None:
        """Load a saved state.

        Errors: KeyError or RuntimeError if it belongs to another model.
        """
        self.state = {name: torch.empty_like(weight).copy_(state[name]) for name, weight in self._weights.items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the model's weights by the averaged ones inside the block."""
        weights = {name: weight.clone() for name, weight in self._weights.items()}
        self._assign(self.state)
        try:
            yield
        finally:
            self._assign(weights)

    def _assign(self, state: State) -> None:
        for name, weight in state.items():
            self._weights[name].copy_(weight)
