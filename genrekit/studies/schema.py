"""The schema of a study file: a base, axes along which configurations differ, and hypotheses about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from genrekit.config import Config, TrainConfig, fields_with
from genrekit.errors import UsageError, unknown_name

Statistic = Literal["accuracy", "loss", "overfitting", "training_accuracy", "dead_channels"]
At = Literal["last", "best", "equal steps"]
"""Where a run is evaluated: at its last epoch, at its best epoch, or after as many optimizer steps as the others."""

Values = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]*")

RUN_FIELDS = frozenset(fields_with(TrainConfig, lambda option: option.scope in ("run", "repetition")))
"""Fields of `TrainConfig` that are set when a study runs, and not in its file."""


class Comparison(Config):
    """One difference in a hypothesis: the statistic of `higher` is above that of `lower`.

    A pattern such as `waveform-*` on one side stands for every other configuration that matches. With `matched`, both
    sides are patterns: configurations whose names differ only in the fixed text of the patterns form pairs, and the
    mean difference over the pairs is tested.
    """

    statistic: Statistic
    higher: str
    lower: str
    by: float = Field(
        0.0,
        ge=-10,
        le=10,
        description="Added to the difference. Above 0, `higher` may be worse by this much; below 0, it must be better.",
    )
    credits: Literal["higher", "lower"] | None = Field(
        None,
        description="The side that the hypothesis favours, which must beat the majority-class baseline. By default the "
        "more accurate side, or the one with the lower loss or overfitting.",
    )
    matched: bool = False

    @property
    def favoured(self) -> Literal["higher", "lower"]:
        """The side that the hypothesis favours."""
        return self.credits or ("higher" if self.statistic in ("accuracy", "training_accuracy") else "lower")


class WinnerHypothesis(Config):
    """A hypothesis about the best configuration: its settings, or an accuracy in its confidence interval."""

    has: Values = Field(default_factory=dict)
    contains: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _require_one_kind(self) -> Self:
        if bool(self.has) == (self.contains is not None):
            raise ValueError("winner must have either has or contains")
        if unknown := [name for name in self.has if name not in TrainConfig.model_fields]:
            raise unknown_name("value of a configuration", unknown[0], TrainConfig.model_fields)
        return self


class Hypothesis(Config):
    """A hypothesis about comparisons, which must all hold, or about the winner."""

    text: str = Field(min_length=1)
    comparisons: tuple[Comparison, ...] = Field((), serialization_alias="parts")
    winner: WinnerHypothesis | None = None
    planned_text: str = Field("", description="The text in the plan, if `text` was reworded after the first run.")

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, values: Any) -> Any:
        return _renamed(values, {"parts": "comparisons"})

    @model_validator(mode="after")
    def _require_one_kind(self) -> Self:
        if bool(self.comparisons) == (self.winner is not None):
            raise ValueError(f"the hypothesis {self.text!r} must have either comparisons or a winner")
        return self

    @property
    def as_planned(self) -> Hypothesis:
        """The hypothesis with the text that it had when the study was planned."""
        return self.model_copy(update={"text": self.planned_text or self.text, "planned_text": ""})


class Override(Config):
    """Values (`set`) for the configurations that have all values of `when`."""

    when: Values
    set: Values


@dataclass(frozen=True)
class Configuration:
    """One configuration of a study, without its seed."""

    name: str
    group: str
    values: Values
    study: str

    def train_config(self, seed: int, **changed: Any) -> TrainConfig:
        """Return the settings of the run with this seed.

        Errors: UsageError if a value is invalid.
        """
        return TrainConfig.of({**self.values, **changed, "seed": seed})

    @property
    def epochs(self) -> int:
        """The number of epochs that the study plans for it."""
        return self.train_config(0).epochs


class Study(Config):
    """A study file. Its configurations are all combinations of the values of its axes, on top of `base`."""

    format_version: Literal[1] = 1
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: str = ""
    notes: tuple[str, ...] = ()
    listed: bool = Field(True, description="Whether `genrekit study list` shows it without --all.")
    at: At = Field(
        "last", description="Where hypotheses are tested: at the last epoch, the best, or after equal steps."
    )
    seeds: int = Field(5, ge=1, le=1_000, description="Number of seeds of each configuration: 0, 1, 2, ...")
    folds: int = Field(0, ge=0, le=1_000, description="Number of cross-validation folds of each seed; 0 for none.")
    base: Values = Field(default_factory=dict)
    axes: dict[str, dict[str, Values]] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    include: tuple[str, ...] = ()
    best: int = Field(0, ge=0, description="Show only this many configurations, the best ones; 0 shows all.")
    hypotheses: tuple[Hypothesis, ...] = Field((), serialization_alias="claims")
    name: Annotated[str, Field(exclude=True)] = ""
    file: Annotated[Path, Field(exclude=True)] = Path()

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, values: Any) -> Any:
        return _renamed(values, {"claims": "hypotheses"})

    @model_validator(mode="after")
    def _has_configurations(self) -> Self:
        if not (self.base or self.axes or self.grid or self.include):
            raise ValueError("a study needs a base, axes, a grid or other studies to include")
        for axis, values in self.axes.items():
            for name in (axis, *values):
                if not _NAME.fullmatch(name):
                    raise ValueError(f"axes: {name!r} cannot be used in a run's name; use letters, digits, - and _")
            if not values:
                raise ValueError(f"axes.{axis} has no values")
        for name, choices in self.grid.items():
            if not choices:
                raise ValueError(f"grid.{name} has no values")
        settings = [self.base, *(value for values in self.axes.values() for value in values.values())]
        settings += [self.grid, *(override.set for override in self.overrides)]
        if fixed := sorted(RUN_FIELDS & set().union(*settings)):
            raise ValueError(f"{fixed[0]!r} cannot be set for a configuration; use seeds, folds or a command option")
        conditions = [name for override in self.overrides for name in override.when]
        if unknown := [name for name in conditions if name not in TrainConfig.model_fields]:
            raise unknown_name("key of when", unknown[0], TrainConfig.model_fields)
        return self

    def own_configurations(self) -> list[Configuration]:
        """Return the configurations of the study's own axes, in the order of the file.

        Errors: UsageError that names a configuration with invalid values.
        """
        if not (self.base or self.axes or self.grid):
            return []
        axes = [list(values.items()) for values in self.axes.values()]
        axes += [
            [(f"{name}={_value_label(value)}", {name: value}) for value in choices]
            for name, choices in self.grid.items()
        ]
        configurations = []
        for combination in product(*axes):
            values = dict(self.base)
            for _, axis_values in combination:
                values |= axis_values
            values = overridden(values, self.overrides)
            labels = [label for label, _ in combination]
            group = labels[0] if len(labels) > 1 else ""
            configuration = Configuration("-".join(labels) or self.name, group, values, self.name)
            try:
                configuration.train_config(0)
            except UsageError as error:
                raise UsageError(f"configuration {configuration.name}: {error}") from error
            configurations.append(configuration)
        require_unique_names(configurations, "two configurations are named {}; rename a value of an axis")
        return configurations


def overridden(values: Values, overrides: Sequence[Override]) -> Values:
    """Return the values after the overrides whose conditions they meet, applied one after another."""
    changed = dict(values)
    for override in overrides:
        if all(changed.get(key) == wanted for key, wanted in override.when.items()):
            changed |= override.set
    return changed


def require_unique_names(configurations: Sequence[Configuration], message: str) -> None:
    """Refuse two configurations with one name, which replaces {} in the message.

    Errors: UsageError.
    """
    counts = Counter(configuration.name for configuration in configurations)
    if duplicates := [name for name, count in counts.items() if count > 1]:
        raise UsageError(message.format(duplicates[0]))


def _renamed(values: Any, names: Mapping[str, str]) -> Any:
    """Replace old names of keys by new ones, if the new one is not there too."""
    if not isinstance(values, Mapping):
        return values
    return {names[key] if names.get(key, key) not in values else key: value for key, value in values.items()}


def _value_label(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_value_label, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
