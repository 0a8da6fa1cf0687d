"""The statistics of one run, or of the folds of one seed, that configurations are compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from genrekit.studies.schema import At, Statistic
from genrekit.training.validation_log import Answers

Values = np.ndarray | None
"""One value per validation track, or one value for the whole run; None if the run does not have the statistic."""


def total_steps(folds: Sequence[Answers]) -> int:
    """Return the optimizer steps of the shortest fold."""
    return min(len(answers.right) * answers.steps_per_epoch for answers in folds)


def epoch_indices(folds: Sequence[Answers], at: At, steps: int) -> list[int]:
    """Return the index of the epoch at which each fold is evaluated; `steps` counts for "equal steps" only."""
    if at == "best":
        return [answers.best_epoch - 1 for answers in folds]
    if at == "last":
        return [len(answers.right) - 1 for answers in folds]
    return [max(steps // answers.steps_per_epoch, 1) - 1 for answers in folds]


def _accuracy(folds: Sequence[Answers], epochs: Sequence[int], _at: At) -> Values:
    return np.concatenate([answers.right[epoch] for answers, epoch in zip(folds, epochs, strict=True)]).astype(float)


def _loss(folds: Sequence[Answers], epochs: Sequence[int], _at: At) -> Values:
    return np.concatenate([answers.loss[epoch] for answers, epoch in zip(folds, epochs, strict=True)]).astype(float)


def _training_accuracy(folds: Sequence[Answers], _epochs: Sequence[int], at: At) -> Values:
    known = [answers.training[at].track_accuracy for answers in folds if at in answers.training]
    return np.array([np.mean(known)]) if len(known) == len(folds) else None


def _overfitting(folds: Sequence[Answers], epochs: Sequence[int], at: At) -> Values:
    training = _training_accuracy(folds, epochs, at)
    return None if training is None else training - _accuracy(folds, epochs, at)


def _dead_channels(folds: Sequence[Answers], _epochs: Sequence[int], at: At) -> Values:
    known = [answers.dead_channels for answers in folds if answers.dead_channels is not None]
    return np.array([np.mean(known)]) if at == "last" and len(known) == len(folds) else None


STATISTICS: dict[Statistic, Callable[[Sequence[Answers], Sequence[int], At], Values]] = {
    "accuracy": _accuracy,
    "loss": _loss,
    "overfitting": _overfitting,
    "training_accuracy": _training_accuracy,
    "dead_channels": _dead_channels,
}
"""A function for each statistic of the folds of a seed at their epoch indices."""
