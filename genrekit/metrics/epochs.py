"""Losses and accuracies of training epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass


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


def require_epochs(history: Sequence[Epoch]) -> None:
    """Check that stored epochs are counted from 1, and that their figures are finite and in range.

    Errors: ValueError with the epoch.
    """
    for number, epoch in enumerate(history, 1):
        values = astuple(epoch)[1:8]  # gradients may overflow
        shares = (epoch.train_accuracy, epoch.validation_fragment_accuracy, epoch.validation_track_accuracy)
        if type(epoch.epoch) is not int or epoch.epoch != number:
            raise ValueError(f"epoch {epoch.epoch!r} is stored as number {number}")
        if not all(value is None or (type(value) in (int, float) and math.isfinite(value)) for value in values):
            raise ValueError(f"epoch {number} has figures that are not finite")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"epoch {number} has an accuracy that is not between 0 and 1")


@dataclass(frozen=True)
class EpochFigures:
    """Results of an epoch's model on the training or the validation set, in evaluation mode and without augmentation.

    The accuracies are numbers, because no interval is computed in each epoch. Results with an interval are an
    `Interval`: those of bundles, evaluations and rankings.
    """

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
