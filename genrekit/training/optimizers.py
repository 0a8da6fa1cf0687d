"""Optimizers and learning rate schedules with their standard settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau

from genrekit.config import TrainConfig
from genrekit.training.uncompiled import uncompiled

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": uncompiled(Adam),  # Kingma and Ba 2015: betas 0.9 and 0.999
    "adamw": uncompiled(AdamW),  # Loshchilov and Hutter 2019: decoupled weight decay 0.01
    "sgd": partial(uncompiled(SGD), momentum=0.9),
}
"""Functions that make an optimizer from parameters and a learning rate."""

LOSS_COSINE_ETA_MIN = 1e-6
"""The lowest learning rate of `loss-cosine`."""


class Schedule:
    """A learning rate schedule. This base class keeps the rate constant."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Update the rate after a step."""

    def after_epoch(self, validation_loss: float) -> None:
        """Update the rate after an epoch."""

    def state(self) -> dict[str, Any]:
        """Return the state that resuming needs, as JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Load a saved state."""


class _Torch(Schedule):
    """A schedule from torch."""

    def __init__(self, optimizer: Optimizer, scheduler: Any) -> None:
        super().__init__(optimizer)
        self._scheduler = scheduler

    def state(self) -> dict[str, Any]:
        return dict(self._scheduler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        self._scheduler.load_state_dict(state)


class Plateau(_Torch):
    """Halve the rate after three epochs without a lower validation loss."""

    def __init__(self, optimizer: Optimizer, _config: TrainConfig, _steps: int) -> None:
        # torch lowers the rate in the epoch after its patience, so 2 means the third epoch.
        super().__init__(optimizer, ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0))

    def after_epoch(self, validation_loss: float) -> None:
        """Lower the rate if the loss has not improved for three epochs."""
        self._scheduler.step(validation_loss)


class Cosine(_Torch):
    """Half a cosine from the initial to the final rate over all epochs (Loshchilov and Hutter 2017).

    The rate is updated after each step or each epoch. With warm-up, it first rises linearly to the initial rate
    (Goyal et al. 2017).
    """

    def __init__(self, optimizer: Optimizer, config: TrainConfig, steps: int) -> None:
        self._by_epoch = config.sched_by == "epoch"
        moves = 1 if self._by_epoch else steps
        total, warmup = config.epochs * moves, config.warmup_epochs * moves
        last = config.eta_min / config.learning_rate

        def share(move: int) -> float:
            if move < warmup:
                return (move + 1) / warmup
            return last + (1 - last) * (1 + math.cos(math.pi * (move - warmup) / (total - warmup))) / 2

        annealing = partial(CosineAnnealingLR, T_max=total, eta_min=config.eta_min)
        super().__init__(optimizer, LambdaLR(optimizer, share) if warmup else annealing(optimizer))

    def after_step(self) -> None:
        """Update the rate after a step, unless the schedule counts epochs."""
        if not self._by_epoch:
            self._scheduler.step()

    def after_epoch(self, _validation_loss: float) -> None:
        """Update the rate after an epoch, if the schedule counts epochs."""
        if self._by_epoch:
            self._scheduler.step()


class LossCosine(Schedule):
    """A cosine schedule that uses the validation loss as the number of the epoch. It reproduces a mistake.

    The `step` method of torch's schedulers takes a number: for ReduceLROnPlateau it is a loss, for a cosine an epoch.
    The rate stays near the initial one while the loss is small compared with the number of epochs, and rises as the
    loss falls.
    """

    def __init__(self, optimizer: Optimizer, config: TrainConfig, _steps: int) -> None:
        super().__init__(optimizer)
        self._first, self._epochs = config.learning_rate, config.epochs

    def after_epoch(self, validation_loss: float) -> None:
        """Set the rate from the loss. Resuming needs no state beside the optimizer's learning rate."""
        height = 1 + math.cos(math.pi * validation_loss / self._epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = LOSS_COSINE_ETA_MIN + (self._first - LOSS_COSINE_ETA_MIN) * height / 2


class OneCycle(_Torch):
    """Rise to the rate in the first 30 % of all steps, then fall to almost 0; momentum is inverse (Smith 2018)."""

    def __init__(self, optimizer: Optimizer, config: TrainConfig, steps: int) -> None:
        total = max(2, config.epochs * steps)
        super().__init__(optimizer, OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total))
        self._left = total - 1

    def after_step(self) -> None:
        """Update the rate. After the last step it is constant."""
        if self._scheduler.last_epoch < self._left:
            self._scheduler.step()


SCHEDULES: dict[str, Callable[[Optimizer, TrainConfig, int], Schedule]] = {
    "none": lambda optimizer, _config, _steps: Schedule(optimizer),
    "plateau": Plateau,
    "cosine": Cosine,
    "onecycle": OneCycle,
    "loss-cosine": LossCosine,
}
"""Functions that make a schedule from an optimizer, a configuration and the steps per epoch."""


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Return the configured optimizer of a model's parameters."""
    options = {"nesterov": True} if config.nesterov else {}
    # A fused step reads the weights once. For a wide MLP it takes a third of the time.
    return OPTIMIZERS[config.opt](model.parameters(), lr=config.learning_rate, fused=True, **options)


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Load a saved state, in the memory layout of the weights, which a fused step needs."""
    optimizer.load_state_dict(saved)
    for weight, slots in optimizer.state.items():
        for name, value in slots.items():
            if value.shape == weight.shape:
                slots[name] = torch.empty_like(weight).copy_(value)


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> Schedule:
    """Return the configured schedule of an optimizer."""
    return SCHEDULES[config.sched](optimizer, config, steps_per_epoch)
