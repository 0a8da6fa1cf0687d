"""Losses and accuracies of training epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch; losses exclude penalties.

    `train_accuracy` is per fragment and measured while training, with dropout and augmentation. `gradient_mean` and
    `gradient_max` are over the gradient norms of its steps, with penalties and before clipping; None if they were not
    recorded.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_fragment_accuracy: float
    validation_track_accuracy: float
    seconds: float
    gradient_mean: float | None = None
    gradient_max: float | None = None


@dataclass(frozen=True)
class TrainingFigures:
    """Results of an epoch's model on the training set, in evaluation mode and without augmentation."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class ValidationFigures:
    """Results of an epoch's model on the validation set."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class Step:
    """Progress within an epoch; loss and accuracy are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    lr: float
    fragments_per_s: float
