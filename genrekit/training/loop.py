"""Fitting a model: epochs of steps, validation after each, early stopping, and resuming where it was interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit._types import FloatArray
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError, few
from genrekit.io.memory import kept
from genrekit.metrics.epochs import Epoch, Step, TrainingFigures
from genrekit.metrics.scores import Predictions
from genrekit.training.augment import BatchAugmentation, MixedBatch
from genrekit.training.checkpoint import Checkpoint, State, load_checkpoint, save_checkpoint
from genrekit.training.dead_units import dead_channels
from genrekit.training.devices import choose_precision, compiled, computing_in, move, repeatable
from genrekit.training.ema import WeightAverage
from genrekit.training.losses import balanced_weights, trained_loss
from genrekit.training.optimizers import make_optimizer, make_schedule, restore_optimizer
from genrekit.training.regularizers import configured_penalty

REPORT_EVERY_S = 0.2
"""How often steps are reported; reading a loss waits for the device."""


class TrainingData(Protocol):
    """What a training reads."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    @property
    def track_ids(self) -> Sequence[str]:
        """Ids of the tracks that track indices point into."""

    @property
    def genre_counts(self) -> Tensor:
        """Training fragments of each genre, int64 [G]."""

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B]; the same for the same epoch."""

    def training_batches_in_order(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B] of the unaltered fragments that are trained on."""

    def validation_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B]."""


@dataclass(frozen=True)
class FitResult:
    """A finished training; the model has the weights of `best_epoch`, whose validation answers are `predictions`.

    `right` and `loss` are what the model answered to each validation track after each epoch, in the order of
    `predictions.per_track()`; `training` has the figures of the "best" and the "last" epoch, `dead_channels` the last
    epoch's.
    Shapes: right bool [E, T], loss float32 [E, T].
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    predictions: Predictions
    right: npt.NDArray[np.bool_]
    loss: FloatArray
    training: dict[str, TrainingFigures]
    dead_channels: float | None
    steps_per_epoch: int


@dataclass
class _Progress:
    """Where a training stands after an epoch."""

    history: list[Epoch] = field(default_factory=list)
    right: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    loss: list[FloatArray] = field(default_factory=list)
    best: State = field(default_factory=dict)
    best_epoch: int = 0

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best_epoch


@kept()
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
) -> FitResult:
    """Train until the last epoch or until `patience` epochs brought no improvement, then restore the best epoch.

    The loss that is reported is the cross-entropy, without penalties, smoothing and weights of genres; where fragments
    are mixed it has the same shares, and the accuracy counts the genre of the larger one. Where weights are averaged,
    the average is what is validated and restored. With `checkpoint`, the state is saved there after each epoch, in a
    block that `saving` makes; with `resume` it is read from there, `on_resume` hears of its epochs, and on a CPU the
    weights end bit for bit as those of an uninterrupted training: each epoch's randomness depends on the seed and its
    number alone. The caller's random state is left as it was.
    Errors: GenrekitError where the loss is no longer a number.
    """
    model.to(device)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, data.steps_per_epoch)
    trainer = _Trainer(model, data, config, device, optimizer, schedule, on_step)
    progress = _Progress()
    if resume and checkpoint is not None:
        progress = _restore(checkpoint, trainer)
        if on_resume is not None:
            on_resume(progress.history)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), repeatable(device):
        _run(trainer, progress, checkpoint, saving, on_epoch)
    with trainer.evaluated():
        last = trainer.training_figures(len(progress.history))
        dead = dead_channels(model, data.validation_batches(), device)
    model.load_state_dict(progress.best)
    best = last if progress.stale == 0 else trainer.training_figures(progress.best_epoch)
    return FitResult(
        history=tuple(progress.history),
        best_epoch=progress.best_epoch,
        predictions=predict_batches(model, data.validation_batches(), device),
        right=np.stack(progress.right),
        loss=np.stack(progress.loss),
        training={"best": best, "last": last},
        dead_channels=dead,
        steps_per_epoch=data.steps_per_epoch,
    )


def _run(
    trainer: _Trainer,
    progress: _Progress,
    checkpoint: Path | None,
    saving: Callable[[], AbstractContextManager[None]],
    on_epoch: Callable[[Epoch, bool], None] | None,
) -> None:
    """Train from where the progress stands to the end."""
    config = trainer.config
    while len(progress.history) < config.epochs and not 0 < config.patience <= progress.stale:
        epoch, found = trainer.epoch(len(progress.history) + 1)
        right, loss = track_answers(found)
        progress.history.append(epoch)
        progress.right.append(right)
        progress.loss.append(loss)
        better = _better(epoch, progress, config)
        if better:
            progress.best_epoch = epoch.epoch
            progress.best = trainer.validated(progress.best)
        if checkpoint is not None:
            with saving():
                save_checkpoint(checkpoint, _snapshot(progress, trainer))
        if on_epoch is not None:
            on_epoch(epoch, better)


def predict_batches(
    model: nn.Module, batches: Iterator[tuple[Tensor, Tensor, Tensor]], device: torch.device
) -> Predictions:
    """Apply a model to batches of inputs, genre indices and track indices, in evaluation mode."""
    model.eval()
    # As numbers: a small tensor kept of each batch would keep the batch's large block of memory from being used again.
    logits: list[list[float]] = []
    truth: list[int] = []
    tracks: list[int] = []
    with torch.inference_mode():
        for inputs, targets, track in batches:
            logits += model(inputs.to(device)).tolist()
            truth += targets.tolist()
            tracks += track.tolist()
    every, genres = torch.tensor(logits, dtype=torch.float64), torch.tensor(truth)
    loss = float(cross_entropy(every, genres))
    return Predictions(every.softmax(dim=1).numpy(), genres.numpy(), np.array(tracks), loss)


def track_answers(found: Predictions) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Which tracks are right, bool [T], and their mean losses, float32 [T]."""
    _, truth, called = found.per_track()
    return called == truth, found.track_losses().astype(np.float32)


def _training_figures(model: nn.Module, data: TrainingData, device: torch.device) -> TrainingFigures:
    """A model's figures on the training part; what is held of it grows with its tracks, not with its fragments."""
    model.eval()
    sums = torch.zeros(len(data.track_ids), len(data.genre_counts), dtype=torch.float64)
    truth = torch.full((len(data.track_ids),), -1)
    loss, right, count = 0.0, 0, 0
    with torch.inference_mode():
        for inputs, targets, tracks in data.training_batches_in_order():
            logits = model(inputs.to(device)).double().cpu()
            loss += float(cross_entropy(logits, targets, reduction="sum"))
            right += int((logits.argmax(dim=1) == targets).sum())
            count += len(targets)
            sums.index_add_(0, tracks, logits.softmax(dim=1))
            truth[tracks] = targets
    seen = truth >= 0
    by_track = (sums[seen].argmax(dim=1) == truth[seen]).double().mean()
    return TrainingFigures(loss / count, right / count, float(by_track))


class _Trainer:
    """One training's moving parts."""

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        config: TrainConfig,
        device: torch.device,
        optimizer: torch.optim.Optimizer,
        schedule: Any,
        on_step: Callable[[Step], None] | None,
    ) -> None:
        self.model, self.data, self.config, self.device = model, data, config, device
        self.optimizer, self.schedule, self.on_step = optimizer, schedule, on_step
        self.penalty = configured_penalty(model, config)
        self.forward = compiled(model) if config.compile else model
        self.precision = choose_precision(config.precision, device)
        self.average = WeightAverage(model, config.ema) if config.ema else None
        balanced = config.class_weights == "balanced"
        self.genre_weights = balanced_weights(data.genre_counts).to(device) if balanced else None
        self.norms = torch.zeros(2, device=device)
        """Sum and largest of the norms of an epoch's gradients."""

    def epoch(self, number: int) -> tuple[Epoch, Predictions]:
        """Train one epoch and validate."""
        started, lr = time.monotonic(), self.schedule.lr
        loss, accuracy = self._train(number)
        with self.evaluated():
            found = predict_batches(self.model, self.data.validation_batches(), self.device)
        if not math.isfinite(found.loss):
            raise self._diverged(number, "validation")
        self.schedule.after_epoch(found.loss)
        epoch = Epoch(
            epoch=number,
            lr=lr,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=found.loss,
            validation_fragment_accuracy=found.fragment_accuracy,
            validation_track_accuracy=found.track_accuracy,
            seconds=time.monotonic() - started,
            **self._gradients(),
        )
        return epoch, found

    def training_figures(self, number: int) -> TrainingFigures:
        """The figures on the training part of the model as it is, whose weights are those of an epoch."""
        found = _training_figures(self.model, self.data, self.device)
        if not math.isfinite(found.loss):
            raise self._diverged(number, "training part")
        return found

    def evaluated(self) -> AbstractContextManager[None]:
        """Let the model be what validation sees: with the averaged weights if there are any."""
        return nullcontext() if self.average is None else self.average.applied()

    def validated(self, last: State) -> State:
        """A copy of what validation sees: the model's state, with the averaged weights if there are any.

        It is written over the `last` copy, where there is one: a large model has no room for two.
        """
        state = {**self.model.state_dict(), **({} if self.average is None else self.average.state)}
        if last:
            return {name: last[name].copy_(tensor) for name, tensor in state.items()}
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def _train(self, number: int) -> tuple[float, float]:
        torch.manual_seed(int(np.random.SeedSequence((self.config.seed, number)).generate_state(1, np.uint64)[0] >> 1))
        self.model.train()
        self.norms.zero_()
        total = torch.zeros((), device=self.device)  # MPS has no doubles
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        count, started, reported = 0, time.monotonic(), 0.0
        augment = self._augmentation(number)
        unread: list[tuple[Tensor, Tensor]] = []
        for step, (inputs, targets, tracks) in enumerate(self.data.train_batches(number), 1):
            lr = self.schedule.lr
            loss, correct = self._step(augment(move(inputs, self.device), move(targets, self.device)))
            total = total + loss * len(targets)
            unread.append((total, tracks))
            right += correct
            count += len(targets)
            now = time.monotonic()
            if now - reported < REPORT_EVERY_S and step < self.data.steps_per_epoch:
                continue
            reported = now
            mean = float(total) / count
            if not math.isfinite(mean):
                raise self._diverged(number, self._first_bad(unread, step))
            unread.clear()
            if self.on_step is not None:
                speed = count / max(now - started, 1e-9)
                place = (number, self.config.epochs, step, self.data.steps_per_epoch)
                self.on_step(Step(*place, mean, float(right) / count, lr, speed))
        return float(total) / count, float(right) / count

    def _augmentation(self, epoch: int) -> Callable[[Tensor, Tensor], MixedBatch]:
        if not self.config.augments_batches:
            return MixedBatch
        return BatchAugmentation(self.config, self.model.get_buffer("standardize.mean"), epoch)

    def _step(self, batch: MixedBatch) -> tuple[Tensor, Tensor]:
        with computing_in(self.precision, self.device):
            logits = self.forward(batch.inputs)
        logits = logits.float()
        loss = trained = batch.loss(partial(cross_entropy, logits))
        if self.config.label_smoothing or self.genre_weights is not None:
            smoothing, weights = self.config.label_smoothing, self.genre_weights
            trained = batch.loss(lambda targets: trained_loss(logits, targets, smoothing, weights))
        self._learn(trained)
        return loss.detach(), (logits.detach().argmax(dim=1) == batch.targets).sum()

    def _learn(self, loss: Tensor) -> None:
        """Change the weights by the gradient of a loss and of the penalties."""
        extra = self.penalty()
        self.optimizer.zero_grad()
        (loss if extra is None else loss + extra).backward()
        parameters = list(self.model.parameters())
        if self.config.log_gradients:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
            self.norms[0] += norm
            torch.maximum(self.norms[1], norm, out=self.norms[1])
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        self.optimizer.step()
        self.schedule.after_step()
        if self.average is not None:
            self.average.update()

    def _gradients(self) -> dict[str, float]:
        """Mean and largest norm of the epoch's gradients, if they were to be measured."""
        if not self.config.log_gradients:
            return {}
        total, highest = self.norms.tolist()
        return {"gradient_mean": total / self.data.steps_per_epoch, "gradient_max": highest}

    def _first_bad(self, unread: list[tuple[Tensor, Tensor]], step: int) -> str:
        """Name the first step whose sum of losses is no number, the last of them being `step`, and its tracks."""
        totals = torch.stack([total for total, _ in unread]).cpu()
        first = int(totals.isfinite().logical_not().nonzero()[0])
        ids = [self.data.track_ids[index] for index in unread[first][1].unique().tolist()]
        return f"step {step - len(unread) + first + 1} (of {few(ids, 5)})"

    def _diverged(self, epoch: int, where: str) -> GenrekitError:
        return GenrekitError(
            f"the loss is no longer a number in epoch {epoch}, {where}: lower the learning rate "
            f"({self.config.learning_rate:g}) or the penalties, or set clip_norm"
        )


def _better(epoch: Epoch, progress: _Progress, config: TrainConfig) -> bool:
    if not progress.best_epoch or config.monitor == "last":
        return True
    best = progress.history[progress.best_epoch - 1]
    if config.monitor == "loss" or epoch.validation_track_accuracy == best.validation_track_accuracy:
        return epoch.validation_loss < best.validation_loss
    return epoch.validation_track_accuracy > best.validation_track_accuracy


def _snapshot(progress: _Progress, trainer: _Trainer) -> Checkpoint:
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


def _restore(path: Path, trainer: _Trainer) -> _Progress:
    saved = load_checkpoint(path)
    try:
        trainer.model.load_state_dict(saved.best)  # it is needed only at the end, and refused now if it does not fit
        trainer.model.load_state_dict(saved.model)
        restore_optimizer(trainer.optimizer, saved.optimizer)
        trainer.schedule.restore(saved.progress["schedule"])
        if trainer.average is not None:
            trainer.average.restore(saved.average)
        history = [Epoch(**values) for values in saved.progress["history"]]
        right, loss = (list(saved.answers[name].numpy()) for name in ("right", "loss"))
        if not len(right) == len(loss) == len(history):
            raise ValueError(f"{len(right)} answers and {len(loss)} losses for {len(history)} epochs")
        return _Progress(history, right, loss, saved.best, saved.progress["best_epoch"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise GenrekitError(
            f"{path} is of another training: resume with the run's own configuration, or train anew"
        ) from error
