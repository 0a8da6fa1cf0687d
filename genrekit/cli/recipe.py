"""The commands that make a model again, from what its bundle says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from genrekit.config import Config, TrainConfig
from genrekit.models.bundle_metadata import BundleMetadata


def recipe(metadata: BundleMetadata) -> list[str]:
    """Lines that can be typed: the cache is prepared, the model trained, with each option that is not the default."""
    prepare, train = metadata.prepare, metadata.train
    options = [*_options(prepare), *_options(prepare.front_end), *_options(prepare.augmentation)]
    return [
        " ".join(["genrekit prepare", *options]),
        " ".join(["genrekit train", *_options(train)]),
    ]


def _options(config: Config) -> Iterator[str]:
    """Options of the values that would be others if they were left out."""
    always = {"arch", "input"} if isinstance(config, TrainConfig) else set()
    left_out = type(config).of({name: getattr(config, name) for name in always})
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config) or (name not in always and value == getattr(left_out, name)):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield f"--{flag}={shlex.quote(_plain(value))}"


def _plain(value: Any) -> str:
    return ",".join(map(_plain, value)) or "none" if isinstance(value, tuple) else str(value)
