"""Fitting a model: epochs of steps, validation after each, early stopping, and resuming where it was interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.evaluation.scores import Predictions
from genrekit.records import Epoch, Step
from genrekit.training.checkpoint import Checkpoint, State, load_checkpoint, save_checkpoint
from genrekit.training.devices import choose_precision, compiled, computing_in, move, repeatable
from genrekit.training.optimizers import make_optimizer, make_schedule
from genrekit.training.regularizers import penalized_weights, penalty

REPORT_EVERY_S = 0.2
"""How often steps are reported; reading a loss waits for the device."""


class TrainingData(Protocol):
    """What a training reads."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and genre indices [B]; the same for the same epoch."""

    def validation_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B]."""


@dataclass(frozen=True)
class FitResult:
    """A finished training; the model has the weights of `best_epoch`, whose validation answers are `predictions`."""

    history: tuple[Epoch, ...]
    best_epoch: int
    predictions: Predictions


@dataclass
class _Progress:
    """Where a training stands after an epoch."""

    history: list[Epoch] = field(default_factory=list)
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
    checkpoint: Path | None = None,
    resume: bool = False,
) -> FitResult:
    """Train until the last epoch or until `patience` epochs brought no improvement, then restore the best epoch.

    The loss that is reported is the cross-entropy, without penalties. With `checkpoint`, the state is saved there
    after each epoch; with `resume` it is read from there, `on_resume` hears of its epochs, and on a CPU the weights
    end bit for bit as those of an uninterrupted training: each epoch's randomness depends on the seed and its number
    alone. The caller's random state is left as it was.
    Errors: GenrekitError where the loss is no longer a number.
    """
    model.to(device)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, data.steps_per_epoch)
    progress = _Progress()
    if resume and checkpoint is not None:
        progress = _restore(checkpoint, model, optimizer, schedule)
        if on_resume is not None:
            on_resume(progress.history)
    trainer = _Trainer(model, data, config, device, optimizer, schedule, on_step)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), repeatable(device):
        _run(trainer, progress, checkpoint, on_epoch)
    model.load_state_dict(progress.best)
    return FitResult(
        tuple(progress.history), progress.best_epoch, predict_batches(model, data.validation_batches(), device)
    )


def _run(
    trainer: _Trainer,
    progress: _Progress,
    checkpoint: Path | None,
    on_epoch: Callable[[Epoch, bool], None] | None,
) -> None:
    """Train from where the progress stands to the end."""
    model, config = trainer.model, trainer.config
    while len(progress.history) < config.epochs and not 0 < config.patience <= progress.stale:
        epoch = trainer.epoch(len(progress.history) + 1)
        progress.history.append(epoch)
        better = _better(epoch, progress, config)
        if better:
            progress.best_epoch = epoch.epoch
            progress.best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        if checkpoint is not None:
            save_checkpoint(checkpoint, _snapshot(progress, model, trainer.optimizer, trainer.schedule))
        if on_epoch is not None:
            on_epoch(epoch, better)


def predict_batches(
    model: nn.Module, batches: Iterator[tuple[Tensor, Tensor, Tensor]], device: torch.device
) -> Predictions:
    """Apply a model to batches of inputs, genre indices and track indices, in evaluation mode."""
    model.eval()
    logits, truth, tracks = [], [], []
    with torch.inference_mode():
        for inputs, targets, track in batches:
            logits.append(model(inputs.to(device)).cpu())
            truth.append(targets)
            tracks.append(track)
    every, targets = torch.cat(logits).double(), torch.cat(truth)
    loss = float(cross_entropy(every, targets))
    return Predictions(every.softmax(dim=1).numpy(), targets.numpy(), torch.cat(tracks).numpy(), loss)


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
        self.weights = penalized_weights(model)
        self.forward = compiled(model) if config.compile else model
        self.precision = choose_precision(config.precision, device)

    def epoch(self, number: int) -> Epoch:
        """Train one epoch and validate."""
        started, lr = time.monotonic(), self.schedule.lr
        loss, accuracy = self._train(number)
        found = predict_batches(self.model, self.data.validation_batches(), self.device)
        if not math.isfinite(found.loss):
            raise self._diverged(number, "validation")
        self.schedule.after_epoch(found.loss)
        return Epoch(
            epoch=number,
            lr=lr,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=found.loss,
            validation_fragment_accuracy=found.fragment_accuracy,
            validation_track_accuracy=found.track_accuracy,
            seconds=time.monotonic() - started,
        )

    def _train(self, number: int) -> tuple[float, float]:
        torch.manual_seed(int(np.random.SeedSequence((self.config.seed, number)).generate_state(1, np.uint64)[0] >> 1))
        self.model.train()
        total = torch.zeros((), device=self.device)  # MPS has no doubles
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        count, started, reported = 0, time.monotonic(), 0.0
        for step, (inputs, targets) in enumerate(self.data.train_batches(number), 1):
            lr = self.schedule.lr
            loss, correct = self._step(move(inputs, self.device), move(targets, self.device))
            total += loss * len(targets)
            right += correct
            count += len(targets)
            now = time.monotonic()
            if now - reported < REPORT_EVERY_S and step < self.data.steps_per_epoch:
                continue
            reported = now
            mean = float(total) / count
            if not math.isfinite(mean):
                raise self._diverged(number, f"by step {step}")
            if self.on_step is not None:
                speed = count / max(now - started, 1e-9)
                place = (number, self.config.epochs, step, self.data.steps_per_epoch)
                self.on_step(Step(*place, mean, float(right) / count, lr, speed))
        return float(total) / count, float(right) / count

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with computing_in(self.precision, self.device):
            logits = self.forward(inputs)
        logits = logits.float()
        loss = cross_entropy(logits, targets)
        extra = penalty(self.weights, self.config.l1, self.config.l2)
        self.optimizer.zero_grad()
        (loss if extra is None else loss + extra).backward()
        self.optimizer.step()
        self.schedule.after_step()
        return loss.detach(), (logits.detach().argmax(dim=1) == targets).sum()

    def _diverged(self, epoch: int, where: str) -> GenrekitError:
        return GenrekitError(
            f"the loss is no longer a number in epoch {epoch}, {where}: lower the learning rate "
            f"({self.config.learning_rate:g}) or the penalties"
        )


def _better(epoch: Epoch, progress: _Progress, config: TrainConfig) -> bool:
    if not progress.best_epoch:
        return True
    best = progress.history[progress.best_epoch - 1]
    if config.monitor == "loss" or epoch.validation_track_accuracy == best.validation_track_accuracy:
        return epoch.validation_loss < best.validation_loss
    return epoch.validation_track_accuracy > best.validation_track_accuracy


def _snapshot(progress: _Progress, model: nn.Module, optimizer: Any, schedule: Any) -> Checkpoint:
    return Checkpoint(
        model=model.state_dict(),
        best=progress.best,
        optimizer=optimizer.state_dict(),
        progress={
            "history": [asdict(epoch) for epoch in progress.history],
            "best_epoch": progress.best_epoch,
            "schedule": schedule.state(),
        },
    )


def _restore(path: Path, model: nn.Module, optimizer: Any, schedule: Any) -> _Progress:
    saved = load_checkpoint(path)
    try:
        model.load_state_dict(saved.best)  # it is needed only at the end, and refused now if it does not fit
        model.load_state_dict(saved.model)
        optimizer.load_state_dict(saved.optimizer)
        schedule.restore(saved.progress["schedule"])
        history = [Epoch(**values) for values in saved.progress["history"]]
        return _Progress(history, saved.best, saved.progress["best_epoch"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise GenrekitError(
            f"{path} is of another training: resume with the run's own configuration, or train anew"
        ) from error
