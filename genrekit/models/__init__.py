"""Build models of the registered architectures."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from genrekit.config import FeatureConfig, TrainConfig


def build_model(config: TrainConfig, features: FeatureConfig, n_genres: int) -> nn.Module:
    """Make an untrained model whose weights are drawn from the configuration's seed.

    The caller's random state does not change.
    Errors: UsageError if the architecture does not fit the shape of the fragments.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return config.architecture.build(config, features, n_genres)


def count_parameters(model: nn.Module) -> int:
    """Count the values of a model's parameters, whether they are trained by gradient or fitted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters or buffers; the CPU if it has none."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
