"""The settings of a network for features, in a JSON file beside it: `net.onnx.json` for `net.onnx`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from genrekit.config import Config
from genrekit.config.features import is_network_file
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import is_file, read_json


class NetworkSettings(Config):
    """The content of the file: the sample rate of the network's input in Hz, and its window in seconds."""

    format_version: Literal[1]
    rate: int | None = Field(None, ge=1_000, le=1_000_000)
    window: float | None = Field(None, gt=0)


def with_network_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a training configuration, completed by the file beside the network in `features`.

    Values that are given override the file. Without a network or a file, nothing is added.
    Errors: GenrekitError with the path if the file cannot be read or has another content.
    """
    features = str(values.get("features") or "")
    path = Path(f"{features}.json")
    if not is_network_file(features) or not is_file(path):
        return dict(values)
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise GenrekitError(f'{path} must be a JSON object, such as {{"format_version": 1, "rate": 16000}}')
    try:
        settings = NetworkSettings.of(stored)
    except UsageError as error:
        raise GenrekitError(f"{path}: {error}") from error
    completed = {"features_rate": settings.rate, "features_window": settings.window}
    given = {name: value for name, value in values.items() if name not in completed or value is not None}
    return {**{name: value for name, value in completed.items() if value is not None}, **given}
