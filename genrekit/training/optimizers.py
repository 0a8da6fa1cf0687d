"""Optimizers and learning rate schedules: two literal tables, with their standard settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau

from genrekit.config import TrainConfig
from genrekit.training.lean import lean

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,  # Kingma and Ba 2015: betas 0.9 and 0.999
    "adamw": AdamW,  # Loshchilov and Hutter 2019: decoupled weight decay 0.01
    "sgd": lambda parameters, lr, **options: SGD(parameters, lr, momentum=0.9, **options),
}
"""Each makes an optimizer from parameters and a learning rate."""


class Schedule:
    """A learning rate schedule, told of every step and of every epoch's validation loss; this one changes nothing."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_step(self) -> None:
        """A step has ended."""

    def after_epoch(self, validation_loss: float) -> None:
        """An epoch has ended."""

    def state(self) -> dict[str, Any]:
        """Everything that resuming needs, as JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""


class _Torch(Schedule):
    """A schedule of torch's."""

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
        # torch's patience is the epochs that are let pass before the one that lowers the rate.
        super().__init__(optimizer, ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0))

    def after_epoch(self, validation_loss: float) -> None:
        """Compare the loss with the best so far."""
        self._scheduler.step(validation_loss)


class Cosine(_Torch):
    """From the initial rate to zero along half a cosine over all epochs, step by step (Loshchilov and Hutter 2017).

    The steps of the warm-up, if there is one, come before: in equal parts up to the initial rate (Goyal et al. 2017).
    """

    def __init__(self, optimizer: Optimizer, config: TrainConfig, steps: int) -> None:
        total, warmup = config.epochs * steps, config.warmup_epochs * steps

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2

        scheduler = LambdaLR(optimizer, share) if warmup else CosineAnnealingLR(optimizer, T_max=total)
        super().__init__(optimizer, scheduler)

    def after_step(self) -> None:
        """Move along the curve."""
        self._scheduler.step()


class OneCycle(_Torch):
    """Up to the rate in the first 30 % of all steps and down to nothing, momentum the other way (Smith 2018)."""

    def __init__(self, optimizer: Optimizer, config: TrainConfig, steps: int) -> None:
        total = max(2, config.epochs * steps)
        super().__init__(optimizer, OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total))
        self._left = total - 1

    def after_step(self) -> None:
        """Move along the curve; after its last point the rate stays."""
        if self._scheduler.last_epoch < self._left:
            self._scheduler.step()


SCHEDULES: dict[str, Callable[[Optimizer, TrainConfig, int], Schedule]] = {
    "none": lambda optimizer, _config, _steps: Schedule(optimizer),
    "plateau": Plateau,
    "cosine": Cosine,
    "onecycle": OneCycle,
}
"""Each makes a schedule from an optimizer, a configuration and the steps per epoch."""


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Return the configured optimizer of a model's parameters."""
    options = {"nesterov": True} if config.nesterov else {}
    return lean(lambda: OPTIMIZERS[config.opt](model.parameters(), lr=config.learning_rate, **options))


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> Schedule:
    """Return the configured schedule of an optimizer."""
    return SCHEDULES[config.sched](optimizer, config, steps_per_epoch)
