"""Convolution blocks and dense layers: cel (ReLU), cel2 (LeakyReLU) and cel3 (ELU)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import UsageError
from genrekit.models.pooling import make_pool
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

    Between them, the frames are pooled to one vector, or all of them are kept (`flatten`). A spectrogram may be centred
    (the mean over time is subtracted from each band) and made smaller by averages over bands and frames.

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
        center: bool,
        downsample: Sequence[int],
        pool: str,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self._center, self._downsample = center, tuple(downsample)
        self._channels_last = channels[0] >= _MIN_CHANNELS_LAST
        sizes = _pooled(shape, downsample, len(channels))
        convolution, max_pool = _LAYERS[len(shape)]
        blocks: list[nn.Module] = []
        for n_in, n_out in pairwise((1, *channels)):
            # Pooling before the activation gives the same result, because the activations are monotonic, and is
            # faster. The convolutions have no bias, because batch norm would subtract it.
            blocks += [convolution(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
            blocks += [max_pool(2), activation()]
            blocks += [nn.Dropout2d(dropout)] if dropout else []
        self.blocks = nn.Sequential(*blocks)
        self.pool, n_pooled = make_pool(pool, channels[-1] * math.prod(sizes[:-1]), sizes[-1])
        widths = (n_pooled, *hidden)
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
        if self._center:
            images = images - images.mean(dim=-1, keepdim=True)
        if self._downsample != (1, 1):
            images = functional.avg_pool2d(images, self._downsample)
        channels_last = self._channels_last and (is_2d or images.device.type == "cpu")
        frames = self.blocks(_with_channel(images, channels_last=channels_last))
        logits: Tensor = self.dense(self.pool(frames))
        return logits


def most_blocks(shape: Sequence[int], downsample: Sequence[int]) -> int:
    """Return how many blocks can halve a fragment of this shape after it was averaged.

    >>> most_blocks([128, 17], [1, 1]), most_blocks([128, 17], [2, 4])
    (4, 2)
    """
    return max(0, min(size.bit_length() - 1 for size in _averaged(shape, downsample)))


def _averaged(shape: Sequence[int], downsample: Sequence[int]) -> list[int]:
    return [size // step for size, step in zip(shape, downsample[: len(shape)], strict=True)]


def _pooled(shape: Sequence[int], downsample: Sequence[int], n_blocks: int) -> list[int]:
    """Return the shape of a fragment after all blocks.

    Errors: UsageError if nothing is left.
    """
    read = _averaged(shape, downsample)
    sizes = [size >> n_blocks for size in read]
    if min(sizes) < 1:
        averaged = "" if read == list(shape) else f", averaged to {read} by downsample"
        raise UsageError(
            f"channels must name at most {most_blocks(shape, downsample)} blocks for fragments of shape "
            f"{list(shape)}{averaged}, because each block halves it, got {n_blocks}"
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
        center=bool(config.center),
        downsample=config.downsample or (1, 1),
        pool=config.pool or "flatten",
    )
