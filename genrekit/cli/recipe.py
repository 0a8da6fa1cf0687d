"""The commands that make a model again, from the metadata of its bundle."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genrekit.config import ArchitectureOptions, Config, TrainConfig
from genrekit.models.bundle_metadata import BundleMetadata


def commands_for(metadata: BundleMetadata, bundle: Path, source: str) -> list[str]:
    """Return the shell commands that prepare the cache, train the model and evaluate it.

    They have the options that are not defaults. Relative paths are as they were given. The new run has the name of the
    bundle. `source` are the options of `evaluate` that select the tracks. The data folder and the cache are left out if
    the bundle does not know them, as those of older versions.
    """
    prepare, train, collection = metadata.prepare, metadata.train, metadata.collection
    options = [*_options(prepare), *_options(prepare.front_end)]
    if prepare.augmentation.augment:
        options += _options(prepare.augmentation)
    out, cache, data = [], [], []
    if metadata.cache is not None:
        out, cache = ([f"--{flag}={shlex.quote(metadata.cache)}"] for flag in ("out", "cache"))
    if collection is not None:
        data = [] if collection.data is None else [_argument(collection.data)]
        options = [*_options(collection.model_copy(update={"data": None})), *options]
    name = bundle.resolve().parent.name if bundle.name == "best" else bundle.resolve().name
    run = shlex.quote(f"runs/{name}")
    return [
        " ".join(["genrekit prepare", *data, *out, *options]),
        " ".join(["genrekit train", *cache, f"--out={run}", *_options(train)]),
        f"genrekit evaluate {shlex.quote(f'runs/{name}/best')} {source}",
    ]


def _argument(path: str) -> str:
    """A path as an argument of the shell that is not read as an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _options(config: Config) -> Iterator[str]:
    """The options whose values would differ if they were left out."""
    always = {"arch", "input"} if isinstance(config, TrainConfig) else set()
    features = {"features", "features_rate"} if isinstance(config, TrainConfig) else set()
    defaults = type(config).of({name: getattr(config, name) for name in (*always, *features)})
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, ArchitectureOptions):
            yield from (f"--arch-option={option.removeprefix('--')}" for option in _options(value))
        default = field.default if name in features else getattr(defaults, name)
        if isinstance(value, Config) or (name not in always and value == default):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool) and not isinstance(config, ArchitectureOptions):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield f"--{flag}={shlex.quote(_plain(value))}"


def _plain(value: Any) -> str:
    return ",".join(map(_plain, value)) or "none" if isinstance(value, tuple) else str(value)
