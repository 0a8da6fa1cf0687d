"""Multilayer perceptrons on flattened fragments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genrekit.models.standardize import Standardize


class Mlp(nn.Module):
    """Linear layers on the flattened, standardized fragment; logits out.

    Without batch norm and dropout between them these are plain linear layers with ReLU.
    Shapes: [B, *shape] to [B, n_genres].
    """

    def __init__(
        self,
        standardize: Standardize,
        n_inputs: int,
        hidden: Sequence[int],
        n_genres: int,
        *,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise((n_inputs, *hidden)):
            layers.append(nn.Linear(n_in, n_out))
            layers += [nn.BatchNorm1d(n_out)] if norm else []
            layers.append(nn.ReLU())
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear((n_inputs, *hidden)[-1], n_genres))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.layers(self.standardize(inputs))
        return logits
