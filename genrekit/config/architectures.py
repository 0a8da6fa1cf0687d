"""The registry of architectures: the models that `arch` can name, and the options that each of them uses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, get_args

from genrekit.config.prepare import FeatureConfig, Input
from genrekit.errors import unknown_name

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[[Any, FeatureConfig, int], "nn.Module"]
"""Makes an untrained model from a `TrainConfig`, the features' configuration and the number of genres.

The model maps a batch of fragments, [B, *features.shape(config.input)], to logits [B, n_genres].
"""

Fit = Callable[["nn.Module", Any, Any, Any], None]
"""Fits a model in place to standardized statistics [F, D] and genre indices [F], with a `TrainConfig`."""

ALL_INPUTS: tuple[Input, ...] = get_args(Input)


@dataclass(frozen=True)
class Architecture:
    """A kind of model that genrekit can train.

    - `name`: the value of `arch` and of `--arch`.
    - `builder`: a `Builder`, or its location as "module:function", which is imported when the first model is built.
    - `fit`: None if the model is trained by gradient, in epochs. Otherwise the model is a
      `genrekit.models.classical.Classifier` that is fitted once, by this function (or its location).
    - `inputs`: the inputs that the model can read.
    - `hidden`: default widths of the hidden dense layers; None if the model does not use the option.
    - `channels`: default channels of the convolution blocks for each input; None if the model does not use the option.
    - `check`: raises ValueError for a `TrainConfig` that the architecture cannot use.

    Shapes: the model maps float32 [B, n_mels, n_frames] or [B, n_samples] to logits [B, n_genres].
    """

    name: str
    builder: Builder | str
    fit: Fit | str | None = None
    inputs: tuple[Input, ...] = ALL_INPUTS
    hidden: tuple[int, ...] | None = None
    channels: Mapping[str, tuple[int, ...]] | None = field(default=None, hash=False)
    check: Callable[[Any], None] | None = None

    @property
    def trained_by_gradient(self) -> bool:
        """Whether the model is trained in epochs by an optimizer, rather than fitted once."""
        return self.fit is None

    @property
    def outside_module(self) -> str | None:
        """The Python module that has the builder; None if it is genrekit's own or that of a script."""
        if isinstance(self.builder, str):
            module = self.builder.partition(":")[0]
        else:
            module = str(getattr(self.builder, "func", self.builder).__module__)  # a functools.partial has a func
        return None if self.name in _BUILT_IN or module == "__main__" else module

    def build(self, config: Any, features: FeatureConfig, n_genres: int) -> nn.Module:
        """Make an untrained model."""
        builder: Builder = _load(self.builder)
        return builder(config, features, n_genres)

    def fit_model(self, model: nn.Module, statistics: Any, genres: Any, config: Any) -> None:
        """Fit a model that is not trained by gradient."""
        fit: Fit = _load(self.fit)
        fit(model, statistics, genres, config)


def _load(function: Any) -> Any:
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


_ENTRY_POINTS = "genrekit.architectures"

_REGISTERED: dict[str, Architecture] = {}

_BUILT_IN: frozenset[str] = frozenset()


def register_architecture(architecture: Architecture) -> None:
    """Add an architecture, so that `arch` can name it in the Python API and in study files.

    The command line and the processes of studies register the architectures of installed packages by themselves: the
    package declares an entry point of the group "genrekit.architectures" that refers to an `Architecture`.

    Registering the same name again replaces the architecture, except for the ones that come with genrekit.
    Errors: ValueError for an invalid name, the name of a built-in architecture, or an unknown input.

    >>> register_architecture(Architecture("cel", "my_package.models:build_cel"))
    Traceback (most recent call last):
    ValueError: cel comes with genrekit: register the architecture under another name
    """
    if architecture.name in _BUILT_IN:
        raise ValueError(f"{architecture.name} comes with genrekit: register the architecture under another name")
    if not architecture.name or not architecture.name.replace("-", "_").isidentifier():
        raise ValueError(f"the name of an architecture must be letters, digits, - and _, got {architecture.name!r}")
    if not architecture.inputs or set(architecture.inputs) - set(ALL_INPUTS):
        raise ValueError(f"inputs must be some of {', '.join(ALL_INPUTS)}, got {architecture.inputs}")
    _REGISTERED[architecture.name] = architecture


def architecture(name: str) -> Architecture:
    """Return a registered architecture.

    Errors: UsageError that lists the registered ones.

    >>> architecture("cel").trained_by_gradient, architecture("lda").trained_by_gradient
    (True, False)
    """
    if not is_registered(name):
        raise unknown_name("architecture", name, _REGISTERED)
    return _REGISTERED[name]


def is_registered(name: str) -> bool:
    """Return whether an architecture of that name is registered, or comes with an installed package."""
    if name not in _REGISTERED:
        _register_installed()
    return name in _REGISTERED


def architecture_names() -> tuple[str, ...]:
    """Return the names of all registered architectures, genrekit's own first."""
    _register_installed()
    return tuple(_REGISTERED)


@cache
def _register_installed() -> None:
    """Register the architectures of installed packages. One that cannot be loaded is left out with a warning."""
    for entry_point in entry_points(group=_ENTRY_POINTS):
        try:
            register_architecture(entry_point.load())
        except Exception as error:  # noqa: BLE001 - another package's code, which must not break genrekit
            text = " ".join(str(error).split())
            warnings.warn(
                f"cannot load the architecture {entry_point.name} ({entry_point.value}): {text}", stacklevel=2
            )


_CHANNELS = {
    "mel": (16, 32, 64, 128, 128),
    "stft": (16, 32, 64, 128, 128),
    "waveform": (16, 32, 32, 64, 64, 64, 64, 64),
}


def _needs_channels(config: Any) -> None:
    if not config.channels:
        raise ValueError(f"channels must name at least one convolution block for {config.arch}, got none")


def _has_two_hidden_layers(config: Any) -> None:
    if len(config.hidden_widths) != 2:
        raise ValueError(f"hidden must be two widths for mlp (three linear layers), got {len(config.hidden_widths)}")


def _fits_batch_norm(config: Any) -> None:
    if config.hidden_widths and config.batch_size == 1:
        raise ValueError("batch_size must be at least 2 for mlp2, whose batch norm compares fragments, got 1")


# The locations are text because this package is imported without torch, and must not import the packages above it.
_MODELS, _FITTING = "genrekit.models", "genrekit.training.classical"

for _built_in in (
    Architecture("mlp", f"{_MODELS}.mlp:build_mlp", hidden=(256, 128), check=_has_two_hidden_layers),
    Architecture("mlp2", f"{_MODELS}.mlp:build_mlp2", hidden=(512, 256), check=_fits_batch_norm),
    *(
        Architecture(name, f"{_MODELS}.cel:build_{name}", hidden=(), channels=_CHANNELS, check=_needs_channels)
        for name in ("cel", "cel2", "cel3")
    ),
    *(
        Architecture(name, f"{_MODELS}.classical:build_linear", f"{_FITTING}:fit_{name}", inputs=("mel",))
        for name in ("logreg", "lda", "svm")
    ),
    Architecture("forest", f"{_MODELS}.classical:build_forest", f"{_FITTING}:fit_forest", inputs=("mel",)),
):
    register_architecture(_built_in)

_BUILT_IN = frozenset(_REGISTERED)
