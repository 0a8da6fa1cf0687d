"""Recipes: named configurations to start from, with what they reached and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from genrekit.config import Config, TrainConfig
from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import read_toml
from genrekit.io.network_settings import with_network_settings

_FOLDER = Path(__file__).parents[1] / "recipes"


class Measured(Config):
    """The result of a recipe on the validation set of `data`.

    `seconds` is the time of `genrekit train` with stored features, on one core the CPU time; `first_seconds` is that of
    the first run on a cache, which computes them. `machine` says on what.
    """

    data: str
    track_accuracy: float = Field(ge=0, le=1)
    fragment_accuracy: float | None = Field(None, ge=0, le=1)
    seconds: float = Field(gt=0)
    first_seconds: float | None = Field(None, gt=0)
    machine: str
    note: str = ""


class Recipe(Config):
    """A file in `genrekit/recipes/`. `train` has the fields of a `TrainConfig` that are not defaults."""

    format_version: Literal[1]
    name: str
    title: str
    train: dict[str, Any]
    measured: Measured


def recipe_names() -> list[str]:
    """Return the names of all recipes, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Errors: UsageError that lists the names, for an unknown one.

    >>> read_recipe("pretrained").train["features"]
    'musicnn'
    """
    if name not in recipe_names() and (Path(name).suffix or Path(name).exists()):
        raise UsageError(f"{name} is not a recipe ({', '.join(recipe_names())}): read a file with --config")
    if name not in recipe_names():
        raise unknown_name("recipe", name, recipe_names())
    recipe = Recipe.of({"name": name, **read_toml(_FOLDER / f"{name}.toml")})
    TrainConfig.of(recipe.train)
    return recipe


def with_recipe(name: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration that starts from a recipe, with the settings of its network file.

    Errors: those of `read_recipe` and of `with_network_settings`.
    """
    base = {} if name is None else read_recipe(name).train
    return with_network_settings({**base, **values})


def all_recipes() -> list[Recipe]:
    """Read all recipes, the most accurate first."""
    return sorted(map(read_recipe, recipe_names()), key=lambda recipe: -recipe.measured.track_accuracy)
