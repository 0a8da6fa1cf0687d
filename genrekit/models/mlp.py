"""Multilayer perceptrons on flattened fragments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.models.standardize import Standardize


class Mlp(nn.Module):
    """Linear layers with ReLU on the flattened, standardized fragment, optionally with batch norm and dropout.

    Shapes: [B, *shape] to logits [B, n_genres].
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


def build_mlp(config: TrainConfig, features: FeatureConfig, n_genres: int) -> Mlp:
    """Build `mlp`: linear layers with ReLU."""
    return _build(config, features, n_genres, norm=False, dropout=0.0)


def build_mlp2(config: TrainConfig, features: FeatureConfig, n_genres: int) -> Mlp:
    """Build `mlp2`: linear layers with batch norm, ReLU and dropout."""
    return _build(config, features, n_genres, norm=True, dropout=config.dropout)


def _build(config: TrainConfig, features: FeatureConfig, n_genres: int, *, norm: bool, dropout: float) -> Mlp:
    return Mlp(
        Standardize.of(features, config.input),
        math.prod(features.shape(config.input)),
        config.hidden_widths,
        n_genres,
        norm=norm,
        dropout=dropout,
    )
