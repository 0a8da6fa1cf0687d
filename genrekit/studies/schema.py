"""The schema of a study file: a base, axes along which configurations differ, and hypotheses about them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from genrekit.config import Config, TrainConfig, fields_with, flat_options, listed_fields, option_names
from genrekit.errors import UsageError, unknown_name
from genrekit.io.network_settings import with_network_settings

Statistic = Literal["accuracy", "loss", "overfitting", "training_accuracy", "dead_channels"]
At = Literal["last", "best", "equal steps"]
"""Where a run is evaluated: at its last epoch, at its best epoch, or after as many optimizer steps as the others."""

MOST_CONFIGURATIONS = 10_000
"""Most configurations of a study, with those of the studies that it includes."""

Values = Annotated[dict[str, Any], BeforeValidator(flat_options)]
"""Values of settings. The options of the architecture are keys such as "arch_options.depth"."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]*")

RUN_FIELDS = frozenset(fields_with(TrainConfig, lambda option: option.scope in ("run", "repetition")))
"""Fields of `TrainConfig` that are set when a study runs, and not in its file."""


def require_settings(kind: str, names: Iterable[str]) -> None:
    """Refuse names that are neither fields of `TrainConfig` nor options of an architecture.

    Errors: UsageError for the first unknown name; `kind` says what the names are.
    """
    options = option_names()
    for name in names:
        if name not in TrainConfig.model_fields and name not in options:
            raise unknown_name(kind, name, [*listed_fields(TrainConfig), *options])


class Comparison(Config):
    """One difference in a hypothesis: the statistic of `higher` is above that of `lower`.

    A pattern such as `waveform-*` on one side stands for every other configuration that matches. With patterns on both
    sides, configurations whose names differ only in the fixed text of the patterns form pairs. If `matched`, the mean
    difference over the pairs is tested.
    """

    statistic: Statistic = Field(
        description="What is compared: the accuracy or the loss on the validation set, how much higher the accuracy on "
        "the training set is, that accuracy, or the share of dead channels."
    )
    higher: str = Field(
        description="The configuration whose statistic is higher: its name, or a pattern with `*` for several."
    )
    lower: str = Field(description="The configuration whose statistic is lower, or a pattern.")
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
    matched: bool | None = Field(
        None,
        description="Whether the mean over matched pairs is tested, for example of `elu-*` and `relu-*`, or each "
        "difference alone. By default true if both sides are patterns and all their configurations form pairs.",
    )

    @property
    def favoured(self) -> Literal["higher", "lower"]:
        """The side that the hypothesis favours."""
        return self.credits or ("higher" if self.statistic in ("accuracy", "training_accuracy") else "lower")


class WinnerHypothesis(Config):
    """A hypothesis about the best configuration: its settings, or an accuracy in its confidence interval."""

    has: Values = Field(
        default_factory=dict,
        description="Settings of the best configuration, and of all configurations that are tied with it.",
    )
    contains: float | None = Field(
        None, ge=0, le=1, description="An accuracy that the 95 % interval of the best configuration contains."
    )

    @model_validator(mode="after")
    def _require_one_kind(self) -> Self:
        if bool(self.has) == (self.contains is not None):
            raise ValueError("winner must have either has or contains")
        require_settings("value of a configuration", self.has)
        return self


class Hypothesis(Config):
    """A hypothesis about comparisons, which must all hold, or about the winner."""

    text: str = Field(min_length=1, description="The hypothesis in words, as reports show it.")
    comparisons: tuple[Comparison, ...] = Field(
        (), serialization_alias="parts", description="Differences that must all be there. Either these, or `winner`."
    )
    winner: WinnerHypothesis | None = Field(None, description="What the best configuration is like.")
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

    when: Values = Field(description="Values that a configuration must have.")
    set: Values = Field(description="Values that it gets instead of its own.")


@dataclass(frozen=True)
class Configuration:
    """One configuration of a study, without its seed."""

    name: str
    group: str
    values: Values
    study: str

    def train_config(self, seed: int, **changed: Any) -> TrainConfig:
        """Return the settings of the run with this seed.

        Errors: UsageError if a value is invalid; those of `with_network_settings`.
        """
        return TrainConfig.of(with_network_settings({**self.values, **changed, "seed": seed}))

    @property
    def epochs(self) -> int:
        """The number of epochs that the study plans for it."""
        return self.train_config(0).epochs


class Study(Config):
    """A study file. Its configurations are all combinations of the values of its axes, on top of `base`."""

    format_version: Literal[1] = Field(1, description="Version of the file format.")
    title: str = Field(min_length=1, description="Heading of the report.")
    question: str = Field(min_length=1, description="What the study asks; `genrekit study list` shows it.")
    source: str = Field("", description="Where the question comes from, such as an article.")
    notes: tuple[str, ...] = Field((), description="Remarks for the report.")
    listed: bool = Field(True, description="Whether `genrekit study list` shows it without --all.")
    at: At = Field(
        "last", description="Where hypotheses are tested: at the last epoch, the best, or after equal steps."
    )
    seeds: int = Field(5, ge=1, le=1_000, description="Number of seeds of each configuration: 0, 1, 2, ...")
    folds: int = Field(0, ge=0, le=1_000, description="Number of cross-validation folds of each seed; 0 for none.")
    base: Values = Field(default_factory=dict, description="Settings that all configurations share.")
    axes: dict[str, dict[str, Values]] = Field(
        default_factory=dict,
        description="Axes, each with named groups of settings. Every combination of one group of each axis is a "
        "configuration, named after the groups.",
    )
    grid: Annotated[dict[str, list[Any]], BeforeValidator(flat_options)] = Field(
        default_factory=dict, description="Settings, each with a list of values. They are combined like axes."
    )
    overrides: tuple[Override, ...] = Field(
        (), description="Changes of the configurations that have certain settings, applied one after another."
    )
    include: tuple[str, ...] = Field(
        (), description="Studies whose configurations are added as `STUDY/NAME`: names of included studies, or files."
    )
    best: int = Field(0, ge=0, description="Show only this many configurations, the best ones; 0 shows all.")
    hypotheses: tuple[Hypothesis, ...] = Field(
        (), serialization_alias="claims", description="Hypotheses, which are written before the first run."
    )
    name: Annotated[str, Field(exclude=True)] = ""
    file: Annotated[Path, Field(exclude=True)] = Path()

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, values: Any) -> Any:
        return _renamed(values, {"claims": "hypotheses"})

    @field_validator("axes", mode="before")
    @classmethod
    def _name_the_values(cls, axes: Any) -> Any:
        for axis, groups in axes.items() if isinstance(axes, Mapping) else ():
            if isinstance(groups, list):
                raise ValueError(f"axes.{axis} must name its values; a list of values of a setting belongs in [grid]")
        return axes

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
        require_settings("key of when", [name for override in self.overrides for name in override.when])
        return self

    def own_configurations(self) -> list[Configuration]:
        """Return the configurations of the study's own axes, in the order of the file.

        Errors: UsageError that names a configuration with invalid values.
        """
        if not (self.base or self.axes or self.grid):
            return []
        count = math.prod(len(values) for values in (*self.axes.values(), *self.grid.values()))
        if count > MOST_CONFIGURATIONS:
            raise UsageError(
                f"the axes and the grid have {count:,} combinations, but a study can have at most "
                f"{MOST_CONFIGURATIONS:,}; search with genrekit search instead, or leave out values"
            )
        axes = [list(values.items()) for values in self.axes.values()]
        axes += [
            [(f"{name.rpartition('.')[2]}={_value_label(value)}", {name: value}) for value in choices]
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
