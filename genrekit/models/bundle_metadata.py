"""The metadata of a bundle: everything that `model.json` holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from genrekit.config import Config, PrepareConfig, SplitPolicy, TrainConfig, split_name
from genrekit.metrics.epochs import Epoch

FORMAT_VERSION = 1

Share = Annotated[float, Field(ge=0, le=1)]


class Figure(Config):
    """A share with its 95 % interval."""

    value: Share
    low: Share
    high: Share


class ValidationSummary(Config):
    """Validation figures of the best epoch."""

    loss: float
    fragment_accuracy: Figure
    track_accuracy: Figure


class BundleMetadata(Config):
    """What `model.json` says.

    `training` and `validation` map the ids of the tracks that the model has seen to the digests of their audio;
    `history` has the figures of its epochs.
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

    @property
    def split_name(self) -> str:
        """The split and what of it validated, as results name it."""
        return split_name(self.split, self.split_seed) + self.train.validated_on

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: better models first, by validation track accuracy and then by loss."""
        return (-self.validation_figures.track_accuracy.value, self.validation_figures.loss)
