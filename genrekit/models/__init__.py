"""Build models of the registered architectures."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import UsageError
from genrekit.models.ensemble import Ensemble
from genrekit.models.extractors import extractor_of
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.fitted import as_classifier


def build_model(
    config: TrainConfig, features: FeatureConfig, n_genres: int, extractor: FeatureExtractor | None = None
) -> nn.Module:
    """Make an untrained model whose weights are drawn from the configuration's seed: a network, or several of them.

    A classical model uses `extractor`, or the one that the configuration names. The caller's random state does not
    change.
    Errors: UsageError if the architecture does not fit the shape of the fragments, or its builder is wrong;
    GenrekitError if a network for features cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        models = [config.architecture.build(config, features, n_genres) for _ in range(config.members)]
    if config.architecture.trained_by_gradient:
        networks = [model for model in models if isinstance(model, nn.Module)]
        if len(networks) < len(models):
            kind = type(models[0]).__name__
            raise UsageError(f"the builder of {config.arch} must return a torch module, got {kind}")
        return networks[0] if len(networks) == 1 else Ensemble(networks)
    classifier = as_classifier(models[0], config.arch, features, n_genres)
    used = extractor or extractor_of(config)
    if used is not None:
        classifier.use_extractor(used)
    if config.calibrate:
        classifier.calibrate_later()
    return classifier


def count_parameters(model: nn.Module) -> int:
    """Count the values of a model's parameters, whether they are trained by gradient or fitted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters or buffers; the CPU if it has none."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
