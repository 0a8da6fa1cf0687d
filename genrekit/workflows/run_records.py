"""The JSON files in the folder of a run: the model of each, and what to do if one is damaged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genrekit.config import Config
from genrekit.training.validation_log import Share, StoredFigures

RUN_FORMAT_VERSION = 1

TRAIN_AGAIN = "train the run again with another --out"

Count = Annotated[int, Field(ge=0)]


class RunStart(Config):
    """What `config.json` has beside the fields of a `TrainConfig`.

    `data` has the fingerprints of the cache and the split, `recipe` the name of the recipe that the run started from,
    and `tracking` the mode of its tracker.
    """

    format_version: Literal[1]
    data: dict[str, str]
    recipe: str | None = None
    tracking: str | None = None


class BestFigures(StoredFigures):
    """The figures of the best epoch on the validation set, which are finite."""

    loss: float


class RunResult(Config):
    """The content of `result.json`. Fields that have a default may be missing."""

    format_version: Literal[1]
    run: str
    bundle: str
    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=1)]
    parameters: Count
    seconds: Annotated[float, Field(ge=0)]
    split: str
    validation: BestFigures
    kept: str | None = None
    last: StoredFigures | None = None
    training: dict[Literal["best", "last"], StoredFigures] | None = None
    dead_channels: Share | None = None
    monitor: str | None = None
    notes: tuple[str, ...] = ()
    diverged: bool = False

    @model_validator(mode="after")
    def _epochs(self) -> RunResult:
        if self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch must be at most epochs ({self.epochs}), got {self.best_epoch}")
        return self


class TrialMark(Config):
    """The content of `trial.json`, which marks a run as a trial of a search."""

    format_version: Literal[1]
    search: str
    trial: Count


class PruningMark(TrialMark):
    """The content of `pruned.json`, which marks a run that a search stopped after an epoch."""

    epoch: Annotated[int, Field(ge=1)]
