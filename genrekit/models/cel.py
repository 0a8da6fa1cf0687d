"""Convolution blocks, flatten, dense layers: CEL (ReLU), CEL2 (LeakyReLU) and CEL3 (ELU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from genrekit.errors import UsageError
from genrekit.models.standardize import Standardize

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"cel": nn.ReLU, "cel2": nn.LeakyReLU, "cel3": nn.ELU}
"""The activation by which the three differ."""

_LAYERS: dict[int, tuple[type[nn.Module], type[nn.Module], type[nn.Module], type[nn.Module]]] = {
    1: (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.Dropout1d),
    2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout2d),
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
        convolution, norm, pool, drop = _LAYERS[len(shape)]
        blocks: list[nn.Module] = []
        for n_in, n_out in pairwise((1, *channels)):
            # Pooling first gives the same, because the activations rise everywhere, and leaves them less to do;
            # a bias of the convolution's own would be taken away again by the norm.
            blocks += [convolution(n_in, n_out, 3, padding=1, bias=False), norm(n_out), pool(2), activation()]
            blocks += [drop(dropout)] if dropout else []
        self.blocks = nn.Sequential(*blocks)
        widths = (channels[-1] * sizes[0] * (sizes[1] if len(sizes) == 2 else 1), *hidden)
        dense: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            dense += [nn.Linear(n_in, n_out), activation()]
            dense += [nn.Dropout(dropout)] if dropout else []
        self.dense = nn.Sequential(*dense, nn.Linear(widths[-1], n_genres))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.dense(self.blocks(self.standardize(inputs).unsqueeze(1)))
        return logits
