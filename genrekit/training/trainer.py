"""One training run's model, optimizer and schedule, and how they train and validate an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit.config import TrainConfig
from genrekit.data.loader import Select
from genrekit.errors import GenrekitError, few
from genrekit.io.tensors import first_not_finite
from genrekit.metrics.epochs import Epoch, EpochFigures, Step
from genrekit.metrics.scores import Predictions
from genrekit.models.standardize import find_standardize
from genrekit.training.augment import BatchAugmentation, MixedBatch
from genrekit.training.batch_prediction import Batches, predict_batches, training_figures
from genrekit.training.checkpoint import State
from genrekit.training.devices import choose_precision, compiled, computing_in, move
from genrekit.training.ema import WeightAverage
from genrekit.training.losses import balanced_weights, trained_loss
from genrekit.training.optimizers import make_optimizer, make_schedule
from genrekit.training.ranks import ALONE, CurrentBatch, Ranks, share_layers
from genrekit.training.regularizers import configured_penalty

REPORT_EVERY_S = 0.2
"""Minimum time between reports of steps. Reading the loss waits for the device."""


class TrainingData(Protocol):
    """The batches that a training run reads."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    @property
    def track_ids(self) -> Sequence[str]:
        """Ids of the tracks that track indices refer to."""

    @property
    def genre_counts(self) -> Tensor:
        """Training fragments of each genre, int64 [G]."""

    @property
    def example(self) -> Tensor:
        """The inputs of two training fragments."""

    def train_batches(self, epoch: int, select: Select | None = None) -> Batches:
        """Yield the shuffled batches of an epoch, or what `select` selects of them.

        The same epoch gives the same batches.
        """

    def training_batches_in_order(self, first: int = 0, step: int = 1) -> Batches:
        """Yield the original fragments of the training set, unaltered: every `step`-th batch, from batch `first`."""

    def validation_batches(self, first: int = 0, step: int = 1) -> Batches:
        """Yield the original fragments of the validation set: every `step`-th batch, from batch `first`."""


class Trainer:
    """Trains a model one epoch at a time."""

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        config: TrainConfig,
        device: torch.device,
        on_step: Callable[[Step], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model, self.data, self.config, self.device, self.on_step = model, data, config, device, on_step
        self.ranks, self.batch = ranks, CurrentBatch(ranks)
        self.optimizer = make_optimizer(model, config)
        self.schedule = make_schedule(self.optimizer, config, data.steps_per_epoch)
        self.penalty = configured_penalty(model, config)
        parallel = model
        if ranks.size > 1:
            share_layers(model, self.batch, ranks)
            parallel = ranks.parallel(model, data.example.to(device))
        self.forward = compiled(parallel) if config.compile else parallel
        self.precision = choose_precision(config.precision, device)
        self.average = WeightAverage(model, config.ema) if config.ema else None
        balanced = config.class_weights == "balanced"
        self.genre_weights = balanced_weights(data.genre_counts).to(device) if balanced else None
        self.gradient_norms = torch.zeros(2, device=device)
        """Sum and maximum of the gradient norms of an epoch."""

    def epoch(self, number: int) -> tuple[Epoch, Predictions]:
        """Train one epoch and validate.

        Errors: GenrekitError if the loss is not finite.
        """
        started, lr = time.monotonic(), self.schedule.lr
        loss, accuracy = self._train(number)
        with self.averaged_weights():
            predictions = self.validate()
        if not math.isfinite(predictions.loss):
            raise self._diverged(number, "validation set")
        self.schedule.after_epoch(predictions.loss)
        epoch = Epoch(
            epoch=number,
            lr=lr,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=predictions.loss,
            validation_fragment_accuracy=predictions.fragment_accuracy,
            validation_track_accuracy=predictions.track_accuracy,
            seconds=time.monotonic() - started,
            **self._gradient_figures(),
        )
        return epoch, predictions

    def validate(self) -> Predictions:
        """Predict the validation set with the model's current weights."""
        batches = self.data.validation_batches(self.ranks.rank, self.ranks.size)
        return predict_batches(self.model, batches, self.device, self.ranks)

    def training_figures(self, epoch: int) -> EpochFigures:
        """Measure the current weights, which are those of `epoch`, on the training set.

        Errors: GenrekitError if the loss is not finite.
        """
        figures = training_figures(
            self.model,
            self.data.training_batches_in_order(self.ranks.rank, self.ranks.size),
            self.device,
            n_tracks=len(self.data.track_ids),
            n_genres=len(self.data.genre_counts),
            ranks=self.ranks,
        )
        if not math.isfinite(figures.loss):
            raise self._diverged(epoch, "training set")
        return figures

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Use the averaged weights inside the block. Without averaging, this changes nothing."""
        return nullcontext() if self.average is None else self.average.applied()

    def copy_validated_state(self, target: State, epoch: int) -> State:
        """Copy the model's state after an epoch, with the averaged weights if there are any, to the CPU.

        A `target` that is not empty is overwritten and returned: a large model has no room for a second copy.
        Errors: GenrekitError if a value is not finite. The loss can still be finite then.
        """
        state = {**self.model.state_dict(), **({} if self.average is None else self.average.state)}
        if name := first_not_finite(state):
            raise self._diverged(epoch, name, what="a value of the model")
        if target:
            return {name: target[name].copy_(tensor) for name, tensor in state.items()}
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def _train(self, epoch: int) -> tuple[float, float]:
        """Train one epoch; return the mean loss and the accuracy over its fragments."""
        torch.manual_seed(int(np.random.SeedSequence((self.config.seed, epoch)).generate_state(1, np.uint64)[0] >> 1))
        self.model.train()
        self.gradient_norms.zero_()
        total = torch.zeros((), device=self.device)  # float32: MPS has no float64
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        count, answered, started, reported = 0, 0, time.monotonic(), 0.0
        augment = self._augmentation(epoch)
        unread: list[tuple[Tensor, Tensor]] = []
        for step, (inputs, targets, tracks) in enumerate(self.data.train_batches(epoch, self._select(augment)), 1):
            lr = self.schedule.lr
            batch = augment(move(inputs, self.device), move(targets, self.device))
            loss, correct_in_batch = self._step(batch)
            total = total + loss * len(batch.targets)
            unread.append((total, tracks))
            correct += correct_in_batch
            answered += len(batch.targets) * self.config.members
            count += len(batch.targets)
            now = time.monotonic()
            if now - reported < REPORT_EVERY_S and step < self.data.steps_per_epoch:
                continue
            reported = now
            mean = float(total) / count
            if not math.isfinite(mean):
                raise self._diverged(epoch, self._first_not_finite(unread, step))
            unread.clear()
            if self.on_step is not None:
                speed = count / max(now - started, 1e-9)
                position = (epoch, self.config.epochs, step, self.data.steps_per_epoch)
                self.on_step(Step(*position, mean, float(correct) / answered, lr, speed))
        sums = np.sum(self.ranks.gather((float(total), float(correct), count, answered)), axis=0)
        return float(sums[0] / sums[2]), float(sums[1] / sums[3])

    def _augmentation(self, epoch: int) -> Callable[[Tensor, Tensor], MixedBatch]:
        if not self.config.augments_batches:
            return MixedBatch
        layer = find_standardize(self.model)
        neutral = torch.zeros(1, device=self.device) if layer is None else layer.mean
        return BatchAugmentation(self.config, neutral, epoch)

    def _select(self, augment: Callable[[Tensor, Tensor], MixedBatch]) -> Select | None:
        """Return what selects the fragments of each batch that this rank reads; None if it reads all."""
        if self.ranks.size == 1:
            return None

        def select(count: int) -> npt.NDArray[np.int64]:
            self.batch.start(count)
            own = self.batch.own
            return augment.select(count, own) if isinstance(augment, BatchAugmentation) else np.arange(count)[own]

        return select

    def _step(self, batch: MixedBatch) -> tuple[Tensor, Tensor]:
        """Train on a batch; return its loss without penalties and the number of correct answers of all networks.

        With several ranks, the batch is this rank's share of it.
        """
        fragments = len(batch.targets)
        with computing_in(self.precision, self.device):
            logits = self.forward(batch.inputs)
        logits = logits.float()
        if not fragments:  # a mean over nothing is NaN; the other ranks have the batch
            self._update_weights(logits.sum())
            return logits.new_zeros(()), logits.new_zeros((), dtype=torch.int64)
        batch = batch.repeated_for(logits)
        loss = trained = batch.loss(partial(cross_entropy, logits))
        if self.config.label_smoothing or self.genre_weights is not None:
            smoothing, weights = self.config.label_smoothing, self.genre_weights
            trained = batch.loss(lambda targets: trained_loss(logits, targets, smoothing, weights))
        if self.ranks.size > 1:  # gradients are averaged over ranks, so a larger share counts more
            trained = trained * (fragments * self.ranks.size / self.batch.count)
        self._update_weights(trained)
        return loss.detach(), (logits.detach().argmax(dim=1) == batch.targets).sum()

    def _update_weights(self, loss: Tensor) -> None:
        """Take one optimizer step on a loss plus the penalties."""
        penalty = self.penalty()
        self.optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        parameters = list(self.model.parameters())
        if self.config.log_gradients:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
            self.gradient_norms[0] += norm
            torch.maximum(self.gradient_norms[1], norm, out=self.gradient_norms[1])
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        self.optimizer.step()
        self.schedule.after_step()
        if self.average is not None:
            self.average.update()

    def _gradient_figures(self) -> dict[str, float]:
        """Mean and maximum of the epoch's gradient norms; empty if they are not logged."""
        if not self.config.log_gradients:
            return {}
        total, maximum = self.gradient_norms.tolist()
        return {"gradient_mean": total / self.data.steps_per_epoch, "gradient_max": maximum}

    def _first_not_finite(self, unread: list[tuple[Tensor, Tensor]], step: int) -> str:
        """Name the first step whose loss sum is not finite, and its tracks; `step` is the last one in `unread`."""
        totals = torch.stack([total for total, _ in unread]).cpu()
        first = int(totals.isfinite().logical_not().nonzero()[0])
        ids = [self.data.track_ids[index] for index in unread[first][1].unique().tolist()]
        return f"step {step - len(unread) + first + 1} (tracks {few(ids, 5)})"

    def _diverged(self, epoch: int, where: str, what: str = "the loss") -> GenrekitError:
        return GenrekitError(
            f"{what} is NaN or infinite in epoch {epoch}, {where}: lower the learning rate "
            f"({self.config.learning_rate:g}) or the penalties, or set clip_norm"
        )
