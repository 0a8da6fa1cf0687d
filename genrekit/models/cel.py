"""Convolution blocks, flatten, dense layers: CEL (ReLU), CEL2 (LeakyReLU) and CEL3 (ELU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from genrekit.errors import UsageError
from genrekit.models.standardize import Standardize

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"cel": nn.ReLU, "cel2": nn.LeakyReLU, "cel3": nn.ELU}
"""The activation by which the three differ."""


_LEAST_INNERMOST = 8
"""With fewer channels in the first block, loops over channels are shorter than a processor's registers."""


class _Convolution1d(nn.Conv1d):
    """A convolution along the last axis of [B, C, 1, samples]: torch has its fast layout for two dimensions alone."""

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
        self._innermost = channels[0] >= _LEAST_INNERMOST
        sizes = [size >> len(channels) for size in shape]
        if min(sizes) < 1:
            most = min(size.bit_length() - 1 for size in shape)
            raise UsageError(
                f"channels must name at most {most} blocks for fragments of shape {list(shape)}, because each block "
                f"halves it, got {len(channels)}"
            )
        convolution, pool = _LAYERS[len(shape)]
        blocks: list[nn.Module] = []
        for n_in, n_out in pairwise((1, *channels)):
            # Pooling first gives the same, because the activations rise everywhere, and leaves them less to do;
            # a bias of the convolution's own would be taken away again by the norm.
            blocks += [convolution(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), pool(2), activation()]
            blocks += [nn.Dropout2d(dropout)] if dropout else []
        self.blocks = nn.Sequential(*blocks)
        widths = (channels[-1] * sizes[0] * (sizes[1] if len(sizes) == 2 else 1), *hidden)
        dense: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            dense += [nn.Linear(n_in, n_out), activation()]
            dense += [nn.Dropout(dropout)] if dropout else []
        self.dense = nn.Sequential(*dense, nn.Linear(widths[-1], n_genres))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of a batch."""
        images = self.standardize(inputs)
        two = images.dim() == 3
        images = images if two else images.unsqueeze(1)
        innermost = self._innermost and (two or images.device.type == "cpu")
        logits: Tensor = self.dense(self.blocks(_with_channel(images, innermost=innermost)))
        return logits


def _with_channel(images: Tensor, *, innermost: bool) -> Tensor:
    """Give images [B, H, W] their channel, [B, 1, H, W]; `innermost` tells where it is in memory.

    The layers keep that layout. With channels innermost, torch's loops on a CPU are vectorized over them: passes of the
    default networks take about half as long. Batch norms then sum in single precision: the variances of the largest
    batches are off by some thousandths, and by how much depends on the number of threads.
    """
    return images.unsqueeze(-1).movedim(-1, 1) if innermost else images.unsqueeze(1)
