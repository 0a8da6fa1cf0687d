"""Validated configurations: frozen values that are passed whole.

One schema serves the command line, JSON on disk and the Python API. Names, defaults, ranges and help texts
are defined here and nowhere else.
"""

from genrekit.config.base import Config, Option, Panel, Scope, fields_with, option_of, to_toml
from genrekit.config.predict import PredictConfig
from genrekit.config.prepare import (
    AUGMENTATIONS,
    STFT_HOP,
    STFT_N_FFT,
    Augmentation,
    FeatureConfig,
    Input,
    Kind,
    PrepareConfig,
    Stored,
    variant_kind,
)
from genrekit.config.train import (
    CLASSICAL,
    CONVOLUTIONAL,
    DEFAULT_CHANNELS,
    DEFAULT_HIDDEN,
    DEFAULT_LR,
    Architecture,
    Classical,
    Network,
    SplitPolicy,
    TrainConfig,
    split_name,
)

__all__ = [
    "AUGMENTATIONS",
    "CLASSICAL",
    "CONVOLUTIONAL",
    "DEFAULT_CHANNELS",
    "DEFAULT_HIDDEN",
    "DEFAULT_LR",
    "STFT_HOP",
    "STFT_N_FFT",
    "Architecture",
    "Augmentation",
    "Classical",
    "Config",
    "FeatureConfig",
    "Input",
    "Kind",
    "Network",
    "Option",
    "Panel",
    "PredictConfig",
    "PrepareConfig",
    "Scope",
    "SplitPolicy",
    "Stored",
    "TrainConfig",
    "fields_with",
    "option_of",
    "split_name",
    "to_toml",
    "variant_kind",
]
