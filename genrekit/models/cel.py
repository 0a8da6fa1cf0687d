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


class _Convolution1d(nn.Conv1d):
    """The same of [B, C, 1, samples]: torch has fast layouts for two dimensions alone."""

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.conv2d(inputs, self.weight.unsqueeze(2), padding=(0, 1))


class _MaxPool1d(nn.MaxPool1d):
    """The same of [B, C, 1, samples]."""

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.max_pool2d(inputs, (1, 2))


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
        images = images if images.dim() == 3 else images.unsqueeze(1)
        logits: Tensor = self.dense(self.blocks(_with_channel(images)))
        return logits


def _with_channel(images: Tensor) -> Tensor:
    """Give images [B, H, W] their channel, [B, 1, H, W], as the innermost axis in memory.

    The layers keep that layout, in which torch runs over channels at full width: half of a training step.
    """
    return images.unsqueeze(-1).movedim(-1, 1)
