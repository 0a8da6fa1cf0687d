"""A network whose logits are divided by a temperature."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Calibrated(nn.Module):
    """A trained network with calibrated probabilities (Guo et al. 2017, On calibration of modern neural networks).

    Shapes: those of the network, inputs [B, *shape] to logits [B, n_genres].
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the calibrated logits of a batch."""
        logits: Tensor = self.network(inputs)
        return logits / self.temperature
