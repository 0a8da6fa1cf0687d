"""What a search file says: a base configuration, the space around it, and how it is searched.

```toml
format_version = 1
title = "A small network on spectrograms"
question = "Which rate, width and optimizer suit CEL2?"
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
from pydantic import Field, model_validator

from genrekit.config import Config, TrainConfig, fields_with
from genrekit.errors import UsageError, unknown_name
from genrekit.io.files import read_toml
from genrekit.studies.schema import (
    RUN_FIELDS,
    Arm,
    At,
    Override,
    Study,
    Values,
    overridden,
    place_in,
    require_file_name,
)

Objective = Literal["track_accuracy", "loss"]

TRIAL_SEED = 1_000
"""The first seed of trials: above all seeds of finalists, whose figures owe nothing to the luck that chose them."""

_FREE = fields_with(TrainConfig, lambda option: option.scope == "model")
"""Hyperparameters that a trial may choose."""

_SHARED = fields_with(TrainConfig, lambda option: option.scope != "model")
"""Fields that all trials share, so that they can be compared."""

_MOST_CORNERS = 4_096
"""Combinations of the space's ends that are tried when a file is read."""


class Dimension(Config):
    """What a search may choose for one hyperparameter: a number between two ends, or one of some values."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(None, gt=0)
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("choices stand alone: leave out low, high, log and step")
            return self
        if self.low is None or self.high is None:
            raise ValueError("it must have low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high ({self.high:g}), got {self.low:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 where log is true, got {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step must be at most high - low ({self.high - self.low:g}), got {self.step:g}")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both ends, or all choices."""
        return self.choices or (self.low, self.high)

    def draw(self, name: str, generator: np.random.Generator) -> Any:
        """Draw a value for a hyperparameter, about as a search does."""
        if self.choices:
            return self.choices[generator.integers(len(self.choices))]
        assert self.low is not None
        assert self.high is not None
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        value = float(generator.uniform(low, high))
        value = float(np.exp(value)) if self.log else value
        return round(value) if is_integer(name) else value

    def require_kind(self, name: str) -> None:
        """Refuse ends that the hyperparameter cannot have.

        Errors: UsageError.
        """
        if self.choices:
            return
        if not _is_number(name):
            raise UsageError("low and high are for numbers: list its choices")
        if is_integer(name):
            for what, value in (("low", self.low), ("high", self.high), ("step", self.step)):
                if value is not None and value != int(value):
                    raise UsageError(f"{what} must be a whole number, got {value:g}")


class Search(Config):
    """A search file."""

    format_version: Literal[1] = 1
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: str = ""
    notes: tuple[str, ...] = ()
    at: At = Field("last", description="Where finalists are ranked: the last epoch, the best, or at equal steps.")
    trials: int = Field(ge=1, le=100_000, description="Configurations to try.")
    trial_seeds: int = Field(1, ge=1, le=100, description="Trainings of each trial, whose figures are averaged.")
    finalists: int = Field(5, ge=1, le=100, description="The best configurations, which are repeated.")
    seeds: int = Field(5, ge=1, le=1_000, description="Seeds of each finalist: 0, 1, 2, ...")
    objective: Objective = Field("track_accuracy", description="Figure of each trial's best epoch on validation.")
    sampler: Literal["tpe", "random"] = "tpe"
    sampler_seed: int = Field(0, ge=0, lt=2**32)
    startup: int = Field(10, ge=1, description="Trials drawn at random before sampler and pruner learn from them.")
    pruner: Literal["median", "none"] = "median"
    prune_after: int = Field(5, ge=0, description="Epochs in which no trial is pruned.")
    base: Values = Field(default_factory=dict)
    space: dict[str, Values] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    name: Annotated[str, Field(exclude=True)] = ""

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The space, in the order of the file.

        Errors: UsageError that names the hyperparameter.
        """
        found = {}
        for name, values in self.space.items():
            try:
                found[name] = Dimension.of(values)
                found[name].require_kind(name)
            except UsageError as error:
                raise UsageError(f"{name!r} of space: {error}") from error
        return found

    @property
    def fingerprint(self) -> str:
        """What must not change once trials are there; there may be more of them, or of finalists."""
        free = {"title", "question", "source", "notes", "at", "trials", "finalists", "seeds"}
        values = self.model_dump(mode="json", exclude=free)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def arm(self, number: int, chosen: Values) -> Arm:
        """The configuration of a trial, which need not be one that training accepts."""
        return Arm(f"trial{number}", "", overridden({**self.base, **chosen}, self.overrides), self.name)

    def study(self, finalists: Sequence[Arm]) -> Study:
        """The study in which finalists are repeated."""
        return Study.of(
            {
                "title": self.title,
                "question": self.question,
                "source": self.source,
                "notes": self.notes,
                "at": self.at,
                "seeds": self.seeds,
                "axes": {"trial": {arm.name: arm.values for arm in finalists}},
                "name": self.name,
            }
        )


def read_search(path: Path) -> Search:
    """Read a search file.

    Errors: GenrekitError where it cannot be read, UsageError where it says what no search can; both name the file.
    """
    require_file_name(path)
    values = read_toml(path)
    try:
        if "name" in values:
            raise UsageError("'name' is not set in the file: it follows from it")
        for key in values:
            if key not in Search.model_fields:
                raise unknown_name("key", key, [name for name in Search.model_fields if name != "name"])
        search = Search.of({**values, "name": path.stem})
        _require_space(search)
        _require_base(search)
        _require_corners(search)
    except UsageError as error:
        raise UsageError(f"{place_in(path, str(error))}: {error}") from error
    return search


def is_integer(name: str) -> bool:
    """Whether a hyperparameter is a whole number.

    >>> is_integer("batch_size"), is_integer("lr")
    (True, False)
    """
    return TrainConfig.model_fields[name].annotation is int


def _is_number(name: str) -> bool:
    return TrainConfig.model_fields[name].annotation in (int, float, float | None)


def _require_space(search: Search) -> None:
    for name in search.space:
        if name in _SHARED:
            place = "when the search runs" if name in RUN_FIELDS else "in base, or when the search runs"
            raise UsageError(f"{name!r} of space: all trials have the same, so set it {place}")
        if name not in _FREE:
            raise unknown_name("hyperparameter of space", name, _FREE)
        if name in search.base:
            raise UsageError(f"{name!r} is in space and in base: leave it out of one of them")


def _require_base(search: Search) -> None:
    for name in search.base:
        if name in RUN_FIELDS:
            raise UsageError(f"{name!r} of base: a search has no folds, seeds of its own, and its device is an option")
        if name not in TrainConfig.model_fields:
            raise unknown_name("hyperparameter of base", name, TrainConfig.model_fields)
    for override in search.overrides:
        for name in (*override.set, *override.when):
            if name in _SHARED and name in override.set:
                raise UsageError(f"{name!r} of overrides: all trials have the same")
            if name not in TrainConfig.model_fields:
                raise unknown_name("hyperparameter of overrides", name, _FREE)


def _require_corners(search: Search) -> None:
    """Refuse an end or a choice that training accepts in no corner of the space."""
    dimensions = search.dimensions
    refused: dict[tuple[str, str], UsageError] = {}
    accepted: set[tuple[str, str]] = set()
    for corner in islice(product(*(dimension.ends for dimension in dimensions.values())), _MOST_CORNERS):
        chosen = {name: typed(name, value) for name, value in zip(dimensions, corner, strict=True)}
        its = {(name, repr(value)) for name, value in chosen.items()}
        if its <= accepted:
            continue
        try:
            search.arm(0, chosen).config(0)
            accepted |= its
        except UsageError as error:
            refused |= dict.fromkeys(its, error)
    for (name, value), reason in refused.items():
        if (name, value) not in accepted:
            raise UsageError(f"{name!r} of space: no training accepts {value}: {reason}")


def typed(name: str, value: Any) -> Any:
    """A number as the hyperparameter has it; anything else as it is."""
    return int(value) if isinstance(value, float) and is_integer(name) else value


def describe(dimensions: Mapping[str, Dimension]) -> dict[str, str]:
    """What a search may choose, in words.

    >>> describe({"lr": Dimension(low=1e-4, high=0.1, log=True), "opt": Dimension(choices=("adam", "sgd"))})
    {'lr': '0.0001 to 0.1, logarithmic', 'opt': 'adam | sgd'}
    """
    texts = {}
    for name, its in dimensions.items():
        if its.choices:
            texts[name] = " | ".join(map(value_text, its.choices))
            continue
        how = ", logarithmic" if its.log else "" if its.step is None else f", in steps of {its.step:g}"
        texts[name] = f"{its.low:g} to {its.high:g}{how}"
    return texts


def value_text(value: Any) -> str:
    """One value, as short as it is told from others.

    >>> value_text([16, 32]), value_text(0.00123456), value_text(True)
    ('16,32', '0.00123', 'true')
    """
    if isinstance(value, (list, tuple)):
        return ",".join(map(value_text, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
