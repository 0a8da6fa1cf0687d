"""The network that computes the features of a classical model: from its configuration, or for a bundle."""

from __future__ import annotations

from pathlib import Path

from genrekit.config import TrainConfig
from genrekit.config.features import DESCRIPTORS, MUSICNN
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.musicnn import MusicnnExtractor
from genrekit.models.network_file import NetworkFile


def extractor_of(config: TrainConfig) -> FeatureExtractor | None:
    """Return the extractor that a configuration names; None if the model computes its features itself.

    A network in a file is read when its features are first needed.
    """
    if config.features == DESCRIPTORS:
        return None
    if config.features == MUSICNN:
        return MusicnnExtractor()
    assert config.features_rate is not None  # checked by the configuration
    return NetworkFile(Path(config.features), config.features_rate, config.features_window)
