"""Convolution blocks and dense layers: cel (ReLU), cel2 (LeakyReLU) and cel3 (ELU)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import UsageError
from genrekit.models.standardize import Standardize

_MIN_CHANNELS_LAST = 8
"""Fewest channels of the first block for the channels-last layout; with fewer, vector registers are not filled."""


class _Convolution1d(nn.Conv1d):
    """A convolution along the last axis of [B, C, 1, samples]; torch has the channels-last layout only in 2-D."""

    def forward(self, inputs: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        return functional.conv2d(inputs, self.weight.unsqueeze(2), self.bias, (1, *self.stride), (0, *self.padding))


class _MaxPool1d(nn.MaxPool1d):
    """A max pool along the last axis of [B, C, 1, samples]."""

    def forward(self, inputs: Tensor) -> Tensor:
        assert isinstance(self.kernel_size, int)
        return functional.max_pool2d(inputs, (1, self.kernel_size))


_LAYERS: dict[int, tuple[type[nn.Module], type[nn.Module]]] = {
    1: (_Convolution1d, _MaxPool1d),
    2: (nn.Conv2d, nn.MaxPool2d),
}


class Cel(nn.Module):
    """Blocks of convolution (width 3), batch norm, activation, max pool (2) and channel dropout; then dense layers.

    Shapes: [B, bands, frames] or [B, n_samples] to logits [B, n_genres].
    """

    def __init__(
        self,
        standardize: Standardize,
        shape: Sequence[int],
        channels: Sequence[int],
        hidden: Sequence[int],
        n_genres: int,
        *,
        activation: Callable[[], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self._channels_last = channels[0] >= _MIN_CHANNELS_LAST
        sizes = _pooled(shape, len(channels))
        convolution, pool = _LAYERS[len(shape)]
        blocks: list[nn.Module] = []
        for n_in, n_out in pairwise((1, *channels)):
            # Pooling before the activation gives the same result, because the activations are monotonic, and is
            # faster. The convolutions have no bias, because batch norm would subtract it.
            blocks += [convolution(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), pool(2), activation()]
            blocks += [nn.Dropout2d(dropout)] if dropout else []
        self.blocks = nn.Sequential(*blocks)
        widths = (channels[-1] * math.prod(sizes), *hidden)
        dense: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            dense += [nn.Linear(n_in, n_out), activation()]
            dense += [nn.Dropout(dropout)] if dropout else []
        self.dense = nn.Sequential(*dense, nn.Linear(widths[-1], n_genres))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of a batch."""
        images = self.standardize(inputs)
        is_2d = images.dim() == 3
        images = images if is_2d else images.unsqueeze(1)
        channels_last = self._channels_last and (is_2d or images.device.type == "cpu")
        logits: Tensor = self.dense(self.blocks(_with_channel(images, channels_last=channels_last)))
        return logits


def _pooled(shape: Sequence[int], n_blocks: int) -> list[int]:
    """Return the shape of a fragment after all blocks.

    Errors: UsageError if nothing is left.
    """
    sizes = [size >> n_blocks for size in shape]
    if min(sizes) < 1:
        most = min(size.bit_length() - 1 for size in shape)
        raise UsageError(
            f"channels must name at most {most} blocks for fragments of shape {list(shape)}, because each block "
            f"halves it, got {n_blocks}"
        )
    return sizes


def _with_channel(images: Tensor, *, channels_last: bool) -> Tensor:
    """Add the channel axis to images, [B, H, W] to [B, 1, H, W], in the channels-last memory layout or the usual one.

    The layers keep the layout. With channels last, torch's CPU kernels are vectorized over channels, and a pass of the
    default networks takes about half as long. Batch norms then sum in single precision: the variances of the largest
    batches are off by some thousandths, and by how much depends on the number of threads.
    """
    return images.unsqueeze(-1).movedim(-1, 1) if channels_last else images.unsqueeze(1)


def build_cel(config: TrainConfig, features: FeatureConfig, n_genres: int) -> Cel:
    """Build `cel`, with ReLU."""
    return _build(config, features, n_genres, nn.ReLU)


def build_cel2(config: TrainConfig, features: FeatureConfig, n_genres: int) -> Cel:
    """Build `cel2`, with LeakyReLU."""
    return _build(config, features, n_genres, nn.LeakyReLU)


def build_cel3(config: TrainConfig, features: FeatureConfig, n_genres: int) -> Cel:
    """Build `cel3`, with ELU."""
    return _build(config, features, n_genres, nn.ELU)


def _build(config: TrainConfig, features: FeatureConfig, n_genres: int, activation: Callable[[], nn.Module]) -> Cel:
    return Cel(
        Standardize.of(features, config.input),
        features.shape(config.input),
        config.block_channels,
        config.hidden_widths,
        n_genres,
        activation=activation,
        dropout=config.dropout,
    )
