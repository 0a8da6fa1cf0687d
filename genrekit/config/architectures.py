"""The registry of architectures: the models that `arch` can name, and the options that each of them uses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, get_args

from genrekit.config.architecture_options import FIELD, ArchitectureOptions
from genrekit.config.prepare import FeatureConfig, Input
from genrekit.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from torch import nn


class Estimator(Protocol):
    """A model in the style of scikit-learn, which is fitted once."""

    def fit(self, statistics: Any, genres: Any, /) -> object:
        """Fit the model to standardized statistics, float32 [F, D], and genre indices, int64 [F]."""

    def predict_proba(self, statistics: Any, /) -> Any:
        """Return probabilities, [B, n_genres], from standardized statistics, [B, D]."""


class FittedModule(Protocol):
    """A torch module that is fitted once."""

    def fit(self, statistics: Any, genres: Any, /) -> object:
        """Fit the module in place to standardized statistics, float32 [F, D], and genre indices, int64 [F]."""

    def forward(self, statistics: Any, /) -> Any:
        """Return logits, [B, n_genres], from standardized statistics, [B, D]."""


Builder = Callable[[Any, FeatureConfig, int], "nn.Module | Estimator | FittedModule"]
"""Makes an untrained model from a `TrainConfig`, the features' configuration and the number of genres.

A model that is trained by gradient maps a batch of fragments, [B, *features.shape(config.input)], to logits
[B, n_genres].
"""

Fit = Callable[["nn.Module", Any, Any, Any], None]
"""Fits a model in place to standardized statistics [F, D] and genre indices [F], with a `TrainConfig`."""

OWN_METHOD = "fit"
"""The value of `fit` for a model that has a method with this name."""
LAYERS = ("center", "downsample", "pool")
"""Options of convolutional networks whose defaults depend on the architecture and the input."""

ALL_INPUTS: tuple[Input, ...] = get_args(Input)


@dataclass(frozen=True)
class Architecture:
    """A kind of model that genrekit can train.

    - `name`: the value of `arch` and of `--arch`.
    - `builder`: a `Builder`, or its location as "module:function", which is imported when the first model is built.
    - `fit`: None if the model is trained by gradient, in epochs. Otherwise it is fitted once to the statistics of the
      mel spectrograms: "fit" if the builder returns an `Estimator` or a `FittedModule`; or a `Fit` (or its location)
      for a `genrekit.models.classical.Classifier`.
    - `inputs`: the inputs that the model can read: by default all, or mel for a model that is fitted once.
    - `options`: a subclass of `ArchitectureOptions`, whose fields are the options of the architecture, with defaults.
      The builder finds their values in `config.arch_options`.
    - `hidden`: default widths of the hidden dense layers; None if the model does not use the option.
    - `channels`: default channels of the convolution blocks for each input; None if the model does not use the option.
    - `halving`: whether each of these blocks halves its input. Then the default leaves out blocks that short fragments
      have no room for.
    - `layers`: default values of the options in `LAYERS` for each input; None if the model does not use them.
    - `check`: raises ValueError for a `TrainConfig` that the architecture cannot use.

    Shapes: the model maps float32 [B, n_mels, n_frames] or [B, n_samples] to logits [B, n_genres].
    """

    name: str
    builder: Builder | str
    fit: Fit | str | None = None
    inputs: tuple[Input, ...] = ALL_INPUTS
    hidden: tuple[int, ...] | None = None
    channels: Mapping[str, tuple[int, ...]] | None = field(default=None, hash=False)
    halving: bool = False
    layers: Mapping[str, Mapping[str, Any]] | None = field(default=None, hash=False)
    check: Callable[[Any], None] | None = None
    options: type[ArchitectureOptions] = ArchitectureOptions

    def __post_init__(self) -> None:
        if not self.trained_by_gradient and self.inputs == ALL_INPUTS:
            object.__setattr__(self, "inputs", ("mel",))

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

    def read_options(self, values: Any) -> ArchitectureOptions:
        """Validate the values of the architecture's options; those that are left out take their defaults.

        Errors: UsageError for an unknown option or an invalid value.
        """
        given = values.model_dump() if isinstance(values, ArchitectureOptions) else values or {}
        if not isinstance(given, Mapping):
            raise UsageError(f"{FIELD} must be names with values, such as depth = 4, got {given!r}")
        known = self.options.model_fields
        for name in given:
            if not known:
                raise UsageError(f"{self.name} declares no options: leave out {name}")
            if name not in known:
                raise unknown_name(f"option of {self.name}", str(name), known)
        try:
            return self.options.of(given)
        except UsageError as error:
            raise UsageError(f"options of {self.name}: {error}") from None

    def build(self, config: Any, features: FeatureConfig, n_genres: int) -> nn.Module | Estimator | FittedModule:
        """Make an untrained model."""
        builder: Builder = _load(self.builder)
        return builder(config, features, n_genres)

    def fit_model(self, model: nn.Module, statistics: Any, genres: Any, config: Any) -> None:
        """Fit a model that is not trained by gradient."""
        if self.fit == OWN_METHOD:
            model.fit(statistics, genres)  # type: ignore[operator] # build_model has checked that it has this method
        else:
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

    The command line also registers the architectures of installed packages: such a package declares an entry point of
    the group "genrekit.architectures" that refers to an `Architecture`.

    Registering the same name again replaces the architecture, except for the ones that come with genrekit.
    Errors: ValueError for the name of a built-in architecture, or a field with an invalid value.

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
    if not architecture.trained_by_gradient and architecture.inputs != ("mel",):
        raise ValueError(f"inputs must be mel for a model that is fitted once, got {architecture.inputs}")
    fit, options = architecture.fit, architecture.options
    if isinstance(fit, str) and fit != OWN_METHOD and ":" not in fit:
        raise ValueError(f'fit must be a function, its location ("module:function"), or "{OWN_METHOD}", got {fit!r}')
    if not (isinstance(options, type) and issubclass(options, ArchitectureOptions)):
        raise ValueError(f"options must be a subclass of ArchitectureOptions, got {options!r}")
    if required := [name for name, declared in options.model_fields.items() if declared.is_required()]:
        raise ValueError(f"the option {required[0]} of {architecture.name} needs a default")
    if mutable := [name for name, value in options() if not isinstance(value, Hashable)]:
        raise ValueError(f"the option {mutable[0]} of {architecture.name} must be a tuple, or another immutable type")
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


def option_annotations(name: str) -> list[Any]:
    """Return the types of an option such as "arch_options.depth", one for each architecture that declares it."""
    fields = [architecture(arch).options.model_fields for arch in architecture_names()]
    option = name.removeprefix(f"{FIELD}.")
    return [declared[option].annotation for declared in fields if option in declared]


def option_names() -> list[str]:
    """Return the names of the options of all registered architectures, such as "arch_options.depth"."""
    names = (name for arch in architecture_names() for name in architecture(arch).options.model_fields)
    return [f"{FIELD}.{name}" for name in dict.fromkeys(names)]


def outside_architectures() -> list[Architecture]:
    """Return the registered architectures that do not come with genrekit."""
    _register_installed()
    return [item for name, item in _REGISTERED.items() if name not in _BUILT_IN]


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
    "mel": (32, 64),
    "stft": (16, 32, 64, 128, 128),
    "waveform": (16, 32, 32, 64, 64, 64, 64, 64),
}

_LAYERS = {
    "mel": {"center": True, "downsample": (2, 4), "pool": "mean-max"},
    **{kind: {"center": False, "downsample": (1, 1), "pool": "flatten"} for kind in ("stft", "waveform")},
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


def _has_no_penalty(config: Any) -> None:
    if config.c is not None:
        raise ValueError(f"c is for logreg and svm: leave it out for {config.arch}, got {config.c:g}")


# The locations are text because this package is imported without torch, and must not import the packages above it.
_MODELS, _FITTING = "genrekit.models", "genrekit.training.classical"

for _built_in in (
    Architecture("mlp", f"{_MODELS}.mlp:build_mlp", hidden=(256, 128), check=_has_two_hidden_layers),
    Architecture("mlp2", f"{_MODELS}.mlp:build_mlp2", hidden=(512, 256), check=_fits_batch_norm),
    *(
        Architecture(
            name,
            f"{_MODELS}.cel:build_{name}",
            hidden=(),
            channels=_CHANNELS,
            layers=_LAYERS,
            halving=True,
            check=_needs_channels,
        )
        for name in ("cel", "cel2", "cel3")
    ),
    *(
        Architecture(name, f"{_MODELS}.classical:build_linear", f"{_FITTING}:fit_{name}", inputs=("mel",), check=check)
        for name, check in (("logreg", None), ("lda", _has_no_penalty), ("svm", None))
    ),
    Architecture(
        "forest",
        f"{_MODELS}.classical:build_forest",
        f"{_FITTING}:fit_forest",
        inputs=("mel",),
        check=_has_no_penalty,
    ),
):
    register_architecture(_built_in)

_BUILT_IN = frozenset(_REGISTERED)
