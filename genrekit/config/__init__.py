"""Validated configurations: frozen values that are passed whole.

One schema serves the command line, JSON on disk and the Python API. Names, defaults, ranges and help texts
are defined here and nowhere else.
"""

from genrekit.config.architectures import (
    Architecture,
    architecture,
    architecture_names,
    is_registered,
    register_architecture,
)
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
    DEFAULT_LR,
    SplitPolicy,
    TrainConfig,
    split_name,
)
from genrekit.config.train_options import TrainOptions

__all__ = [
    "AUGMENTATIONS",
    "DEFAULT_LR",
    "STFT_HOP",
    "STFT_N_FFT",
    "Architecture",
    "Augmentation",
    "Config",
    "FeatureConfig",
    "Input",
    "Kind",
    "Option",
    "Panel",
    "PredictConfig",
    "PrepareConfig",
    "Scope",
    "SplitPolicy",
    "Stored",
    "TrainConfig",
    "TrainOptions",
    "architecture",
    "architecture_names",
    "fields_with",
    "is_registered",
    "option_of",
    "register_architecture",
    "split_name",
    "to_toml",
    "variant_kind",
]
