"""The first layer of every model: input statistics that travel with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SMALLEST_DEVIATION = 0.01
"""A hundredth of full scale: what hardly varies in training, such as bands above a codec's cutoff, is not blown up.

In a power spectrogram, where a sine at full scale is 10,000, it is 60 dB below that."""


class Standardize(nn.Module):
    """Subtract the training part's mean and divide by its deviation, per band or for the whole waveform.

    Without statistics it passes on what it gets: the mean is 0 and the deviation 1.
    Shapes: [B, bands, frames] with statistics [bands, 1], or [B, n_samples] with statistics [1].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Take over statistics of the training part."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(_SMALLEST_DEVIATION))

    def forward(self, inputs: Tensor) -> Tensor:
        """Standardize a batch."""
        return (inputs - self.mean) / self.deviation
