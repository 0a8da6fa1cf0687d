"""The schema of a search file: a base configuration, the search space, and how it is searched.

```toml
format_version = 1
title = "A small network on spectrograms"
question = "Which learning rate, width and optimizer suit CEL2?"
trials = 40
[base]
arch = "cel2"
epochs = 30
[space]
lr = { low = 1e-4, high = 3e-2, log = true }
batch_size = { low = 16, high = 64, step = 16 }
channels = { choices = [[8, 16], [16, 32]] }
opt = { choices = ["adam", "sgd"] }
nesterov = { choices = [true, false] }
[[overrides]]
when = { opt = "adam" }
set = { nesterov = false }
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from genrekit.config import (
    Config,
    TrainConfig,
    fields_with,
    flat_options,
    listed_fields,
    option_annotations,
    option_names,
)
from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import read_toml
from genrekit.studies.schema import RUN_FIELDS, At, Configuration, Override, Study, Values, overridden, require_settings
from genrekit.studies.toml_lines import locate, require_file_name, require_toml

Objective = Literal["track_accuracy", "loss"]

TRIAL_SEED = 1_000
"""The first seed of trials. Finalists are trained with smaller seeds, so the selection does not bias their figures."""

_FREE = fields_with(TrainConfig, lambda option: option.scope == "model")
"""Hyperparameters that a search may vary."""

_SHARED = fields_with(TrainConfig, lambda option: option.scope != "model")
"""Fields that all trials share, so that they can be compared."""

_MOST_CORNERS = 4_096
"""Maximum number of combinations of bounds and choices that are validated when a file is read."""


class Dimension(Config):
    """The values of one hyperparameter in a search: a number between two bounds, or one of several choices."""

    low: float | None = Field(None, description="Lowest value of a number.")
    high: float | None = Field(None, description="Highest value of a number.")
    log: bool = Field(False, description="Whether values are drawn on a logarithmic scale; `low` must be above 0.")
    step: float | None = Field(None, gt=0, description="Distance of the values from each other, counted from `low`.")
    choices: tuple[Any, ...] = Field((), description="Values to choose from, instead of `low` and `high`.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("choices cannot be combined with low, high, log or step")
            return self
        if self.low is None or self.high is None:
            raise ValueError("it must have low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high ({self.high:g}), got {self.low:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 if log is true, got {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step cannot be combined")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step must be at most high - low ({self.high - self.low:g}), got {self.step:g}")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both bounds, or all choices."""
        return self.choices or (self.low, self.high)

    def draw(self, name: str, generator: np.random.Generator) -> Any:
        """Draw a value for a hyperparameter, roughly as a search does."""
        if self.choices:
            return self.choices[generator.integers(len(self.choices))]
        assert self.low is not None
        assert self.high is not None
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        value = float(generator.uniform(low, high))
        value = float(np.exp(value)) if self.log else value
        return round(value) if is_integer(name) else value

    def require_kind(self, name: str) -> None:
        """Refuse bounds that do not fit the type of the hyperparameter.

        Errors: UsageError.
        """
        if self.choices:
            return
        if not _is_number(name):
            raise UsageError("low and high are for numbers; use choices")
        if is_integer(name):
            for what, value in (("low", self.low), ("high", self.high), ("step", self.step)):
                if value is not None and value != int(value):
                    raise UsageError(f"{what} must be a whole number, got {value:g}")


class Search(Config):
    """A search file."""

    format_version: Literal[1] = Field(1, description="Version of the file format.")
    title: str = Field(min_length=1, description="Heading of the report.")
    question: str = Field(min_length=1, description="What the search asks.")
    source: str = Field("", description="Where the question comes from, such as an article.")
    notes: tuple[str, ...] = Field((), description="Remarks for the report.")
    at: At = Field("last", description="Where finalists are ranked: at the last epoch, the best, or after equal steps.")
    trials: int = Field(ge=1, le=100_000, description="Number of configurations to try.")
    trial_seeds: int = Field(1, ge=1, le=100, description="Number of runs of each trial; the objective is their mean.")
    finalists: int = Field(5, ge=1, le=100, description="Number of the best configurations that are trained again.")
    seeds: int = Field(5, ge=1, le=1_000, description="Number of seeds of each finalist: 0, 1, 2, ...")
    objective: Objective = Field(
        "track_accuracy", description="What is optimized, at the best epoch on the validation set."
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe",
        description="How values are drawn: near those of good trials (tree-structured Parzen estimator), or at random.",
    )
    sampler_seed: int = Field(0, ge=0, lt=2**32, description="Seed of the sampler.")
    startup: int = Field(
        10, ge=1, description="Number of trials drawn at random first, before the sampler and the pruner use them."
    )
    pruner: Literal["median", "none"] = Field(
        "median", description="Whether trials are stopped that are worse than the median of the others at an epoch."
    )
    prune_after: int = Field(5, ge=0, description="Number of epochs before a trial may be pruned.")
    base: Values = Field(default_factory=dict, description="Settings that all trials share.")
    space: Annotated[dict[str, dict[str, Any]], BeforeValidator(flat_options)] = Field(
        min_length=1, description="Settings that are searched, each with its range or its choices."
    )
    overrides: tuple[Override, ...] = Field(
        (), description="Changes of the trials that have certain settings, applied one after another."
    )
    name: Annotated[str, Field(exclude=True)] = ""

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The search space, in the order of the file.

        Errors: UsageError with the name of the hyperparameter.
        """
        dimensions = {}
        for name, values in self.space.items():
            try:
                dimensions[name] = Dimension.of(values)
                dimensions[name].require_kind(name)
            except UsageError as error:
                raise UsageError(f"{name!r} of space: {error}") from error
        return dimensions

    @property
    def fingerprint(self) -> str:
        """A digest of what must not change after the first trial; the numbers of trials and finalists may."""
        may_change = {"title", "question", "source", "notes", "at", "trials", "finalists", "seeds"}
        values = self.model_dump(mode="json", exclude=may_change)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def trainings(self, seeds: int) -> int:
        """Return the number of runs of all trials and of the finalists with these seeds each."""
        return self.trials * self.trial_seeds + min(self.finalists, self.trials) * seeds

    def configuration(self, number: int, chosen: Values) -> Configuration:
        """Return the configuration of a trial; it is not validated."""
        return Configuration(f"trial{number}", "", overridden({**self.base, **chosen}, self.overrides), self.name)

    def study(self, finalists: Sequence[Configuration]) -> Study:
        """Return the study that trains the finalists again."""
        return Study.of(
            {
                "title": self.title,
                "question": self.question,
                "source": self.source,
                "notes": self.notes,
                "at": self.at,
                "seeds": self.seeds,
                "axes": {"trial": {configuration.name: configuration.values for configuration in finalists}},
                "name": self.name,
            }
        )


def read_search(path: Path) -> Search:
    """Read a search file.

    Errors: GenrekitError if it cannot be read, UsageError with the line if it is invalid.
    """
    require_toml(path, "search")
    require_file_name(path)
    values = read_toml(path)
    try:
        if "name" in values:
            raise UsageError("'name' cannot be set; it is derived from the file's name")
        for key in values:
            if key in ("axes", "grid", "hypotheses", "include"):
                raise UsageError(f"{key!r} is a key of a study: genrekit study run {path}; a search has [space]")
            if key not in Search.model_fields:
                raise unknown_name("key", key, [name for name in Search.model_fields if name != "name"])
        search = Search.of({**values, "name": path.stem})
        _require_space(search)
        _require_base(search)
        _require_corners(search)
    except UsageError as error:
        raise UsageError(f"{locate(path, str(error))}: {error}") from error
    return search


def is_integer(name: str) -> bool:
    """Return whether a hyperparameter is a whole number.

    >>> is_integer("batch_size"), is_integer("lr")
    (True, False)
    """
    return all(kind is int for kind in _types(name))


def _is_number(name: str) -> bool:
    return all(kind in (int, float, float | None) for kind in _types(name))


def _types(name: str) -> list[Any]:
    """The type of a hyperparameter; of an option of architectures, its type in each that declares it."""
    field = TrainConfig.model_fields.get(name)
    return option_annotations(name) if field is None else [field.annotation]


def _require_space(search: Search) -> None:
    for name in search.space:
        if name in _SHARED:
            where = (
                "with an option of the command" if name in RUN_FIELDS else "in base or with an option of the command"
            )
            raise UsageError(f"{name!r} of space: it must be the same in all trials; set it {where}")
        if name not in (options := option_names()) and name not in _FREE:
            listed = [name for name in listed_fields(TrainConfig) if name in _FREE]
            raise unknown_name("hyperparameter of space", name, [*listed, *options])
        if name in search.base:
            raise UsageError(f"{name!r} is in space and in base; remove one of them")


def _require_base(search: Search) -> None:
    for name in search.base:
        if name in RUN_FIELDS:
            raise UsageError(
                f"{name!r} of base: a search sets its seeds and has no folds; --device is an option of the command"
            )
        require_settings("hyperparameter of base", [name])
    for override in search.overrides:
        for name in (*override.set, *override.when):
            if name in _SHARED and name in override.set:
                raise UsageError(f"overrides cannot set {name!r}: it must be the same in all trials")
            require_settings("hyperparameter of overrides", [name])


def _require_corners(search: Search) -> None:
    """Refuse a bound or a choice that is invalid in all combinations with the others."""
    dimensions = search.dimensions
    refused: dict[tuple[str, str], UsageError] = {}
    accepted: set[tuple[str, str]] = set()
    for corner in islice(product(*(dimension.ends for dimension in dimensions.values())), _MOST_CORNERS):
        chosen = {name: typed(name, value) for name, value in zip(dimensions, corner, strict=True)}
        values = {(name, repr(value)) for name, value in chosen.items()}
        if values <= accepted:
            continue
        try:
            search.configuration(0, chosen).train_config(0)
            accepted |= values
        except UsageError as error:
            refused |= dict.fromkeys(values, error)
    for (name, value), reason in refused.items():
        if (name, value) not in accepted:
            raise UsageError(f"{name!r} of space: {value} is invalid: {reason}")


def typed(name: str, value: Any) -> Any:
    """Convert a number to the type of the hyperparameter; return other values unchanged."""
    return int(value) if isinstance(value, float) and is_integer(name) else value


def describe(dimensions: Mapping[str, Dimension]) -> dict[str, str]:
    """Describe the values of each hyperparameter of a search.

    >>> describe({"lr": Dimension(low=1e-4, high=0.1, log=True), "opt": Dimension(choices=("adam", "sgd"))})
    {'lr': '0.0001 to 0.1, logarithmic', 'opt': 'adam | sgd'}
    """
    texts = {}
    for name, dimension in dimensions.items():
        if dimension.choices:
            texts[name] = " | ".join(map(value_text, dimension.choices))
            continue
        step = "" if dimension.step is None else f", in steps of {dimension.step:g}"
        scale = ", logarithmic" if dimension.log else step
        texts[name] = f"{dimension.low:g} to {dimension.high:g}{scale}"
    return texts


def value_text(value: Any) -> str:
    """Format one value, with at most three significant digits.

    >>> value_text([16, 32]), value_text(0.00123456), value_text(True)
    ('16,32', '0.00123', 'true')
    """
    if isinstance(value, (list, tuple)):
        return ",".join(map(value_text, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
