"""The metadata of a bundle: everything that `model.json` holds."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from genrekit.config import (
    CollectionOptions,
    Config,
    PrepareConfig,
    SplitPolicy,
    TrainConfig,
    split_name,
    with_earlier_defaults,
)
from genrekit.config.stored import stored_values
from genrekit.data.genre_names import names_problem
from genrekit.metrics.epochs import Epoch, require_epochs
from genrekit.metrics.intervals import Interval

FORMAT_VERSION = 1


def _share(interval: Interval) -> Interval:
    for name, value in (("value", interval.value), ("low", interval.low), ("high", interval.high)):
        if not 0 <= value <= 1:
            raise ValueError(f"the {name} of an accuracy must be between 0 and 1, got {value}")
    return interval


def _distinct(genres: tuple[str, ...]) -> tuple[str, ...]:
    if (problem := names_problem(genres)) is not None:
        raise ValueError(problem)
    return genres


def _stored(train: object) -> object:
    return stored_values(train) if isinstance(train, dict) else train


Share = Annotated[Interval, AfterValidator(_share)]
"""A share with its 95 % interval."""


class ValidationSummary(Config):
    """The figures of the best epoch on the validation set."""

    loss: float
    fragment_accuracy: Share
    track_accuracy: Share


class FeatureNetwork(Config):
    """The pretrained network that computes the features of a model. `carried` is whether the bundle contains it."""

    name: str
    digest: str
    carried: bool = False


class BundleMetadata(Config):
    """The content of `model.json`.

    `training` and `validation` map the ids of the training and validation tracks to the digests of their audio.
    `history` has the figures of all epochs. `bandwidth_hz` is the usual range of the training tracks' bandwidths; None
    if it is not known. `architecture_module` is the Python module that has the architecture; None for an architecture
    that comes with genrekit. `network` is the pretrained network that computes the features, and `outside_data` says
    what it was trained on; both are None if there is none. `confidence_threshold` is the probability that at least 95 %
    of the validation tracks reach; bundles of earlier versions have none. `temperature` divides the logits of a network
    that is calibrated. `cache` is the path of the cache, and `collection` has the options that it was prepared with,
    with paths as they were given; both are None in older bundles. These seven are not in the file if they are None.
    """

    format_version: int = FORMAT_VERSION
    genrekit_version: str
    versions: dict[str, str]
    created: str
    train: Annotated[TrainConfig, BeforeValidator(_stored)]
    prepare: Annotated[PrepareConfig, BeforeValidator(with_earlier_defaults)]
    genres: Annotated[tuple[str, ...], AfterValidator(_distinct)] = Field(min_length=2)
    split: SplitPolicy
    split_seed: int
    training: dict[str, str]
    validation: dict[str, str]
    epochs: int = Field(ge=1)
    best_epoch: int = Field(ge=1)
    validation_figures: ValidationSummary
    parameters: int = Field(ge=0)
    history: tuple[Epoch, ...] = ()
    bandwidth_hz: tuple[float, float] | None = None
    architecture_module: str | None = None
    network: FeatureNetwork | None = None
    outside_data: str | None = None
    confidence_threshold: float | None = Field(None, ge=0, le=1)
    temperature: float | None = Field(None, gt=0)
    cache: str | None = None
    collection: CollectionOptions | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch must be at most epochs ({self.epochs}), got {self.best_epoch}")
        require_epochs(self.history)
        if self.bandwidth_hz is not None and not 0 <= self.bandwidth_hz[0] <= self.bandwidth_hz[1]:
            raise ValueError(f"bandwidth_hz must be two rising numbers, got {self.bandwidth_hz}")
        return self

    @property
    def split_name(self) -> str:
        """The name of the split in results, with the fold that validates."""
        return split_name(self.split, self.split_seed) + self.train.validated_on

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: better models first, by validation track accuracy and then by loss."""
        return (-self.validation_figures.track_accuracy.value, self.validation_figures.loss)

    @property
    def training_key(self) -> str:
        """What repeated trainings share: configuration, seed, features, split, and the audio of their tracks."""
        values = self.model_dump(mode="json", include={"train", "prepare", "genres", "training", "validation"})
        del values["train"]["device"]
        return hashlib.sha256(json.dumps([self.split_name, values], sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Write the content of `model.json`."""
        exclude = {name for name in _OPTIONAL if getattr(self, name) is None}
        return self.model_dump_json(indent=2, exclude=exclude)


_OPTIONAL = (
    "architecture_module",
    "network",
    "outside_data",
    "confidence_threshold",
    "temperature",
    "cache",
    "collection",
)
