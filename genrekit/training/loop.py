"""Train a network: epochs with validation, early stopping, checkpoints and resuming."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genrekit._types import FloatArray
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import Epoch, EpochFigures, Step, require_epochs
from genrekit.metrics.scores import Predictions
from genrekit.training.batch_prediction import track_results
from genrekit.training.checkpoint import Checkpoint, State, load_checkpoint, save_checkpoint
from genrekit.training.dead_units import dead_channels
from genrekit.training.devices import repeatable
from genrekit.training.optimizers import restore_optimizer
from genrekit.training.ranks import ALONE, Ranks
from genrekit.training.trainer import Trainer, TrainingData


@dataclass(frozen=True)
class FitResult:
    """The result of training a model, which then has the weights of `best_epoch`.

    `predictions` are those of the best epoch for the validation set. `right` is whether each validation track is
    predicted correctly after each epoch, and `loss` its mean loss, in the order of `predictions.per_track()`.
    `training` has the figures of the "best" and the "last" epoch on the training set, and `predicted` the genre that
    each validation track is predicted as after them. `dead_channels` is measured after the last epoch. `temperature`
    calibrates the predictions of a network, and is None for other models.
    Shapes: right bool [E, T], loss float32 [E, T], predicted int64 [T].
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    predictions: Predictions
    right: npt.NDArray[np.bool_]
    loss: FloatArray
    training: dict[str, EpochFigures]
    predicted: dict[str, npt.NDArray[np.int64]]
    dead_channels: float | None
    steps_per_epoch: int
    temperature: float | None = None


@dataclass
class _Progress:
    """The state of a training run after an epoch."""

    history: list[Epoch] = field(default_factory=list)
    right: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    loss: list[FloatArray] = field(default_factory=list)
    best: State = field(default_factory=dict)
    best_epoch: int = 0

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best_epoch


def fit(
    model: nn.Module,
    data: TrainingData,
    config: TrainConfig,
    *,
    device: torch.device,
    on_epoch: Callable[[Epoch, bool], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
    on_resume: Callable[[Sequence[Epoch]], None] | None = None,
    saving: Callable[[], AbstractContextManager[None]] = nullcontext,
    checkpoint: Path | None = None,
    resume: bool = False,
    ranks: Ranks = ALONE,
) -> FitResult:
    """Train until the last epoch, or until `patience` epochs bring no improvement; then restore the best epoch.

    The reported loss is the cross-entropy without penalties, label smoothing and genre weights. With mixed fragments it
    is weighted by their shares, and the accuracy counts the genre with the larger share. With weight averaging, the
    averaged weights are validated and restored.

    With `checkpoint`, the state is saved there after each epoch, inside a `saving()` block. With `resume`, training
    continues from that file and `on_resume` receives its epochs. On a CPU the weights are then bit for bit those of an
    uninterrupted run, because the randomness of an epoch depends only on the seed and its number. The caller's random
    state does not change. With several `ranks`, each computes its share of every batch, all return the same, and only
    the first one saves.
    Errors: GenrekitError if the loss or the model's values are not finite.
    """
    model.to(device)
    trainer = Trainer(model, data, config, device, on_step, ranks)
    progress = _Progress()
    if resume and checkpoint is not None:
        progress = _restore(checkpoint, trainer)
        if on_resume is not None:
            on_resume(progress.history)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), repeatable(device):
        _run(trainer, progress, checkpoint, saving, on_epoch)
    return _finish(trainer, progress)


def _run(
    trainer: Trainer,
    progress: _Progress,
    checkpoint: Path | None,
    saving: Callable[[], AbstractContextManager[None]],
    on_epoch: Callable[[Epoch, bool], None] | None,
) -> None:
    """Train the remaining epochs."""
    config = trainer.config
    while len(progress.history) < config.epochs and not 0 < config.patience <= progress.stale:
        epoch, predictions = trainer.epoch(len(progress.history) + 1)
        right, loss = track_results(predictions)
        progress.history.append(epoch)
        progress.right.append(right)
        progress.loss.append(loss)
        better = _better(epoch, progress, config)
        if better:
            progress.best_epoch = epoch.epoch
            progress.best = trainer.copy_validated_state(progress.best, epoch.epoch)
        if checkpoint is not None and trainer.ranks.is_first:
            with saving():
                save_checkpoint(checkpoint, _snapshot(progress, trainer))
        if on_epoch is not None:
            on_epoch(epoch, better)


def _finish(trainer: Trainer, progress: _Progress) -> FitResult:
    """Measure the last epoch, restore the best one and measure it too."""
    with trainer.averaged_weights():
        last = trainer.training_figures(len(progress.history))
        dead = dead_channels(trainer.model, trainer.data.validation_batches(), trainer.device, trainer.ranks)
        at_the_end = trainer.validate() if progress.stale else None
    trainer.model.load_state_dict(progress.best)
    best = last if progress.stale == 0 else trainer.training_figures(progress.best_epoch)
    predictions = trainer.validate()
    return FitResult(
        history=tuple(progress.history),
        best_epoch=progress.best_epoch,
        predictions=predictions,
        right=np.stack(progress.right),
        loss=np.stack(progress.loss),
        training={"best": best, "last": last},
        predicted={"best": predictions.per_track()[2], "last": (at_the_end or predictions).per_track()[2]},
        dead_channels=dead,
        steps_per_epoch=trainer.data.steps_per_epoch,
    )


def _better(epoch: Epoch, progress: _Progress, config: TrainConfig) -> bool:
    if not progress.best_epoch or config.monitor == "last":
        return True
    best = progress.history[progress.best_epoch - 1]
    if config.monitor == "loss" or epoch.validation_track_accuracy == best.validation_track_accuracy:
        return epoch.validation_loss < best.validation_loss
    return epoch.validation_track_accuracy > best.validation_track_accuracy


def _snapshot(progress: _Progress, trainer: Trainer) -> Checkpoint:
    return Checkpoint(
        model=trainer.model.state_dict(),
        best=progress.best,
        optimizer=trainer.optimizer.state_dict(),
        progress={
            "history": [asdict(epoch) for epoch in progress.history],
            "best_epoch": progress.best_epoch,
            "schedule": trainer.schedule.state(),
        },
        average={} if trainer.average is None else trainer.average.state,
        answers={
            "right": torch.from_numpy(np.stack(progress.right)),
            "loss": torch.from_numpy(np.stack(progress.loss)),
        },
    )


def _restore(path: Path, trainer: Trainer) -> _Progress:
    """Load a checkpoint into a trainer.

    Errors: GenrekitError if the checkpoint does not fit the model or the configuration.
    """
    saved = load_checkpoint(path)
    try:
        trainer.model.load_state_dict(saved.best)  # used after the last epoch; loaded here to fail early if it is wrong
        trainer.model.load_state_dict(saved.model)
        restore_optimizer(trainer.optimizer, saved.optimizer)
        if not isinstance(schedule := saved.progress["schedule"], dict):
            raise TypeError("the state of the schedule is not an object")
        trainer.schedule.restore(schedule)
        if trainer.average is not None:
            trainer.average.restore(saved.average)
        history = [Epoch(**values) for values in saved.progress["history"]]
        require_epochs(history)
        right, loss, best_epoch = saved.answers["right"], saved.answers["loss"], saved.progress["best_epoch"]
        shape = (len(history), len(right[0]))
        if not right.shape == loss.shape == shape or (right.dtype, loss.dtype) != (torch.bool, torch.float32):
            raise ValueError(f"answers {list(right.shape)} and losses {list(loss.shape)} for {len(history)} epochs")
        if type(best_epoch) is not int or not 1 <= best_epoch <= len(history):
            raise ValueError(f"best epoch {best_epoch!r} is not one of {len(history)}")
        return _Progress(history, list(right.numpy()), list(loss.numpy()), saved.best, best_epoch)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise GenrekitError(
            f"{path} does not match the configuration: resume with that of the run, or "
            "start a new run with another --out"
        ) from error
