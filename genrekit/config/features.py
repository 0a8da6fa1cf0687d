"""The features that a classical model can use, and the checks of the fields that describe them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic_core import PydanticKnownError

DESCRIPTORS, MUSICNN = "descriptors", "musicnn"

FEATURES = (DESCRIPTORS, MUSICNN)
"""The names of features. Any other value is the path of a network."""

NETWORK_SUFFIXES = (".onnx", ".pt", ".ts")
"""Endings of the files of networks: ONNX, and TorchScript."""


def known_features(value: Any) -> Any:
    """Return a name of features or the path of a network; text that is neither gives the error of an unknown name."""
    text = str(value) if isinstance(value, Path) else value
    if isinstance(text, str) and (text in FEATURES or is_network_file(text)):
        return text
    choices = (*FEATURES, *(f"a file that ends in {suffix}" for suffix in NETWORK_SUFFIXES))
    raise PydanticKnownError("literal_error", {"expected": " or ".join(f"'{choice}'" for choice in choices)})


def is_network_file(features: str) -> bool:
    """Return whether features are the path of a network, by its ending.

    >>> is_network_file("nets/openl3.onnx"), is_network_file("musicnn")
    (True, False)
    """
    return Path(features).suffix.lower() in NETWORK_SUFFIXES


def is_onnx(features: str) -> bool:
    """Return whether the path of a network is that of an ONNX file."""
    return Path(features).suffix.lower() == ".onnx"


def features_label(features: str) -> str:
    """Return a short name of features, for file names.

    >>> features_label("musicnn"), features_label("nets/my net.onnx")
    ('musicnn', 'my-net')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", Path(features).stem).strip("-") or "network"


def check_features(config: Any) -> None:
    """Refuse values of a `TrainConfig` that do not suit its features.

    Errors: ValueError.
    """
    if config.architecture.trained_by_gradient:
        _require_defaults(config)
        return
    if config.features != DESCRIPTORS and config.input != "waveform":
        raise ValueError(f"input must be waveform for features {config.features}, got {config.input}")
    if is_network_file(config.features):
        if config.features_rate is None:
            raise ValueError(
                f"features_rate must be the sample rate of the input of {config.features}, got none: give it, or write "
                f"it to {config.features}.json"
            )
        if config.carry_network and not is_onnx(config.features):
            raise ValueError(f"carry_network needs an ONNX file: TorchScript can run code, got {config.features}")
        return
    for name in ("features_rate", "features_window", "carry_network"):
        if value := getattr(config, name):
            raise ValueError(f"{name} needs features that are a file, got {value} with {config.features}")


def _require_defaults(config: Any) -> None:
    """Refuse values that a network would ignore."""
    for name in ("features", "features_rate", "features_window", "carry_network", "c"):
        value = getattr(config, name)
        if value not in (DESCRIPTORS, None, False):
            raise ValueError(
                f"{name} is for classical models: leave it out for {config.arch}, or choose logreg, got {value}"
            )
