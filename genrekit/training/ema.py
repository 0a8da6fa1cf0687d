"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from genrekit.training.checkpoint import State


class WeightAverage:
    """After each step, `decay` of the average and the rest of the weights (Polyak and Juditsky 1992).

    It begins as the weights after the first step. Buffers are not averaged: they stay the model's.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self._decay = decay
        self.state: State = {}

    def update(self) -> None:
        """A step has ended."""
        if not self.state:
            self.state = {name: weight.clone() for name, weight in self._weights.items()}
            return
        for name, average in self.state.items():
            average.lerp_(self._weights[name], 1 - self._decay)

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Errors: KeyError or RuntimeError where it is of another model.
        """
        self.state = {name: torch.empty_like(weight).copy_(state[name]) for name, weight in self._weights.items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights for a while."""
        own = {name: weight.clone() for name, weight in self._weights.items()}
        self._assign(self.state)
        try:
            yield
        finally:
            self._assign(own)

    def _assign(self, state: State) -> None:
        for name, weight in state.items():
            self._weights[name].copy_(weight)
