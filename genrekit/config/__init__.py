"""Validated configurations: frozen values that are passed whole.

One schema serves the command line, JSON on disk and the Python API. Names, defaults, ranges and help texts
are defined here and nowhere else.
"""

from genrekit.config.architecture_options import ArchitectureOptions, flat_options
from genrekit.config.architectures import (
    Architecture,
    Estimator,
    FittedModule,
    architecture,
    architecture_names,
    is_registered,
    option_annotations,
    option_names,
    register_architecture,
)
from genrekit.config.base import Config, Option, Panel, Scope, fields_with, listed_fields, option_of, to_toml
from genrekit.config.collection import CollectionOptions
from genrekit.config.engine import EngineConfig, TrainingEngineConfig
from genrekit.config.predict import PredictConfig
from genrekit.config.prepare import (
    AUGMENTATIONS,
    STFT_HOP,
    STFT_N_FFT,
    ArtistSource,
    Augmentation,
    FeatureConfig,
    Input,
    Kind,
    Padding,
    PrepareConfig,
    Stored,
    for_fingerprint,
    variant_kind,
    with_earlier_defaults,
)
from genrekit.config.train import (
    SplitPolicy,
    TrainConfig,
    split_name,
)
from genrekit.config.train_options import TrainOptions

__all__ = [
    "AUGMENTATIONS",
    "STFT_HOP",
    "STFT_N_FFT",
    "Architecture",
    "ArchitectureOptions",
    "ArtistSource",
    "Augmentation",
    "CollectionOptions",
    "Config",
    "EngineConfig",
    "Estimator",
    "FeatureConfig",
    "FittedModule",
    "Input",
    "Kind",
    "Option",
    "Padding",
    "Panel",
    "PredictConfig",
    "PrepareConfig",
    "Scope",
    "SplitPolicy",
    "Stored",
    "TrainConfig",
    "TrainOptions",
    "TrainingEngineConfig",
    "architecture",
    "architecture_names",
    "fields_with",
    "flat_options",
    "for_fingerprint",
    "is_registered",
    "listed_fields",
    "option_annotations",
    "option_names",
    "option_of",
    "register_architecture",
    "split_name",
    "to_toml",
    "variant_kind",
    "with_earlier_defaults",
]
