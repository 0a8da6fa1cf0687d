"""The figures of a training epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; losses without penalties, accuracies per fragment and per track.

    `train_accuracy` is measured while training, with dropout, drawn variants and augmented batches. `gradient_mean` and
    `gradient_max` are of the norms of its steps' gradients, penalties included and before they are clipped, where these
    were asked for.
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
    """Figures of an epoch's model on the training part's original fragments, unaltered, in evaluation mode."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class ValidationFigures:
    """Validation figures of an epoch."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class Step:
    """Where a training stands within an epoch; loss and accuracy are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    lr: float
    fragments_per_s: float
