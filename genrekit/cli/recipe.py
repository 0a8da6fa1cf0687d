"""The commands that train a model again, from the metadata of its bundle."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from genrekit.config import Config, TrainConfig
from genrekit.models.bundle_metadata import BundleMetadata


def commands_for(metadata: BundleMetadata) -> list[str]:
    """Return the shell commands that prepare the cache and train the model, with the options that are not defaults."""
    prepare, train = metadata.prepare, metadata.train
    options = [*_options(prepare), *_options(prepare.front_end), *_options(prepare.augmentation)]
    return [
        " ".join(["genrekit prepare", *options]),
        " ".join(["genrekit train", *_options(train)]),
    ]


def _options(config: Config) -> Iterator[str]:
    """The options whose values would differ if they were left out."""
    always = {"arch", "input"} if isinstance(config, TrainConfig) else set()
    defaults = type(config).of({name: getattr(config, name) for name in always})
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config) or (name not in always and value == getattr(defaults, name)):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield f"--{flag}={shlex.quote(_plain(value))}"


def _plain(value: Any) -> str:
    return ",".join(map(_plain, value)) or "none" if isinstance(value, tuple) else str(value)
