"""The metadata of a bundle: everything that `model.json` holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from genrekit.config import Config, PrepareConfig, SplitPolicy, TrainConfig, split_name
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.intervals import Interval

FORMAT_VERSION = 1


def _share(interval: Interval) -> Interval:
    for name, value in (("value", interval.value), ("low", interval.low), ("high", interval.high)):
        if not 0 <= value <= 1:
            raise ValueError(f"the {name} of an accuracy must be between 0 and 1, got {value}")
    return interval


Share = Annotated[Interval, AfterValidator(_share)]
"""A share with its 95 % interval."""


class ValidationSummary(Config):
    """The figures of the best epoch on the validation set."""

    loss: float
    fragment_accuracy: Share
    track_accuracy: Share


class BundleMetadata(Config):
    """The content of `model.json`.

    `training` and `validation` map the ids of the training and validation tracks to the digests of their audio.
    `history` has the figures of all epochs. `architecture_module` is the Python module that has the architecture; None,
    and not in the file, for an architecture that comes with genrekit.
    """

    format_version: int = FORMAT_VERSION
    genrekit_version: str
    versions: dict[str, str]
    created: str
    train: TrainConfig
    prepare: PrepareConfig
    genres: tuple[str, ...] = Field(min_length=2)
    split: SplitPolicy
    split_seed: int
    training: dict[str, str]
    validation: dict[str, str]
    epochs: int
    best_epoch: int
    validation_figures: ValidationSummary
    parameters: int
    history: tuple[Epoch, ...] = ()
    architecture_module: str | None = None

    @property
    def split_name(self) -> str:
        """The name of the split in results, with the fold that validates."""
        return split_name(self.split, self.split_seed) + self.train.validated_on

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: better models first, by validation track accuracy and then by loss."""
        return (-self.validation_figures.track_accuracy.value, self.validation_figures.loss)

    def to_json(self) -> str:
        """Write the content of `model.json`."""
        exclude = {"architecture_module"} if self.architecture_module is None else None
        return self.model_dump_json(indent=2, exclude=exclude)
