"""Standardization of a model's input. Its statistics are saved with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genrekit.config import FeatureConfig, Input

_SMALLEST_DEVIATION = 0.01
"""A hundredth of full scale. Bands that hardly vary, such as those above a codec's cutoff, are not amplified.

In a power spectrogram, where a sine at full scale is 10,000, it is 60 dB below that."""


class Standardize(nn.Module):
    """Subtract the mean of the training set and divide by its standard deviation, per band or for the whole waveform.

    A network has at most one of these layers. A training run sets its statistics, unless `standardize` is off. Before
    that, the layer changes nothing: the mean is 0 and the deviation 1.
    Shapes: [B, bands, frames] with statistics [bands, 1], or [B, n_samples] with statistics [1].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    @classmethod
    def of(cls, features: FeatureConfig, kind: Input) -> Standardize:
        """Make the layer for an input of models."""
        shape = features.shape(kind)
        return cls((shape[0], 1) if len(shape) == 2 else (1,))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Copy statistics of the training set into the layer."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(_SMALLEST_DEVIATION))

    def forward(self, inputs: Tensor) -> Tensor:
        """Standardize a batch."""
        return (inputs - self.mean) / self.deviation


def standardize_layers(model: nn.Module) -> list[Standardize]:
    """Return the layers of a model that standardize its input: none, one, or one for each network of an ensemble."""
    return [module for module in model.modules() if isinstance(module, Standardize)]


def find_standardize(model: nn.Module) -> Standardize | None:
    """Return the layer of a model that standardizes its input, or the first one of an ensemble; None if it has none."""
    return next(iter(standardize_layers(model)), None)
