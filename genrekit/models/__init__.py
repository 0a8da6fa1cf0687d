"""Architectures: a literal table from names to builders."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import unknown_name
from genrekit.models.cel import ACTIVATIONS, Cel
from genrekit.models.classical import Classifier, Forest, Linear
from genrekit.models.mlp import Mlp
from genrekit.models.standardize import Standardize

Network = Mlp | Cel
Model = Network | Classifier


def build_model(config: TrainConfig, front_end: FeatureConfig, n_genres: int) -> Model:
    """Make an untrained model, with weights drawn from the configuration's seed.

    Errors: UsageError where the architecture does not fit the fragments' shape.
    """
    if config.arch not in BUILDERS:
        raise unknown_name("architecture", config.arch, BUILDERS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BUILDERS[config.arch](config, front_end, n_genres)


def count_parameters(model: nn.Module) -> int:
    """Number of trained values: those of a classical model are fitted, but not by steps along a gradient."""
    return sum(parameter.numel() for parameter in model.parameters())


def _mlp(norm: bool, config: TrainConfig, front_end: FeatureConfig, n_genres: int) -> Mlp:
    return Mlp(
        _standardize(config, front_end),
        math.prod(front_end.shape(config.input)),
        config.hidden_widths,
        n_genres,
        norm=norm,
        dropout=config.dropout if norm else 0.0,
    )


def _cel(config: TrainConfig, front_end: FeatureConfig, n_genres: int) -> Cel:
    return Cel(
        _standardize(config, front_end),
        front_end.shape(config.input),
        config.block_channels,
        config.hidden_widths,
        n_genres,
        activation=ACTIVATIONS[config.arch],
        dropout=config.dropout,
    )


def _linear(_: TrainConfig, front_end: FeatureConfig, n_genres: int) -> Linear:
    return Linear(front_end, n_genres)


def _forest(_: TrainConfig, front_end: FeatureConfig, n_genres: int) -> Forest:
    return Forest(front_end, n_genres)


def _standardize(config: TrainConfig, front_end: FeatureConfig) -> Standardize:
    shape = front_end.shape(config.input)
    return Standardize((shape[0], 1) if len(shape) == 2 else (1,))


BUILDERS: dict[str, Callable[[TrainConfig, FeatureConfig, int], Model]] = {
    "mlp": partial(_mlp, False),
    "mlp2": partial(_mlp, True),
    "cel": _cel,
    "cel2": _cel,
    "cel3": _cel,
    "logreg": _linear,
    "lda": _linear,
    "svm": _linear,
    "forest": _forest,
}
"""Builder of each architecture."""
