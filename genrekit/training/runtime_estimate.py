"""Estimate how long training takes on this machine.

A step of the model itself would be the best measurement. But one step of the largest models in the shipped studies
takes half a minute and gigabytes on a CPU, and a plan has dozens of models. So a few small steps are timed once, and
scaled by the operations that torch counts in a forward pass of each model. This works for any `nn.Module`, and is quick
on the meta device.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.models import build_model, count_parameters, device_of
from genrekit.training.optimizers import make_optimizer

_TRIES = 3
_BATCH = 8
_GENRES = 10


@dataclass(frozen=True)
class Pace:
    """Seconds of whole training steps, backward pass and optimizer included, for each unit of work.

    `convolution_1d` and `convolution_2d` are per operation of the forward pass of convolutions on waveforms and on
    spectrograms. `weight` is per parameter, and includes one product of each weight and each fragment's input.
    """

    convolution_1d: float
    convolution_2d: float
    weight: float

    def step_seconds(self, model: nn.Module, shape: tuple[int, ...], batch_size: int) -> float:
        """Estimate the time of a training step. The model may be on the meta device."""
        convolutions, products = count_operations(model, shape)
        weights = count_parameters(model)
        convolution = self.convolution_2d if len(shape) == 2 else self.convolution_1d
        # Layers that use their weights many times per fragment, such as attention, need more than `weight` includes.
        repeated = max(0, products - 2 * weights)
        return batch_size * (convolutions * convolution + repeated * self.convolution_2d) + weights * self.weight


def count_operations(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Count the floating-point operations of one fragment's forward pass, in convolutions and in matrix products.

    A multiplication and an addition are two operations.
    """
    device = device_of(model)
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.random.fork_rng([]):
        model.eval()(torch.zeros(1, *shape, device=device))
    model.train(training)
    counts = counter.get_flop_counts().get("Global", {})
    convolutions = sum(count for operation, count in counts.items() if "convolution" in str(operation))
    return convolutions, sum(counts.values()) - convolutions


def measure_pace(device: torch.device) -> Pace:
    """Time a few steps of three small models on a device. This takes about a second on a CPU."""
    features = FeatureConfig(sample_rate=8_000, duration_s=2.0, n_fft=512, hop_length=128, n_mels=64, fmin=0)
    seconds = {}
    for kind in ("waveform", "mel"):
        config = TrainConfig.of({"arch": "cel", "input": kind, "channels": (32, 32), "dropout": 0.2})
        model, shape = build_model(config, features, _GENRES), features.shape(config.input)
        convolutions, _ = count_operations(model, shape)
        seconds[kind] = _step_seconds(model, config, shape, device) / (_BATCH * convolutions)
    config = TrainConfig.of({"arch": "mlp2", "input": "waveform", "hidden": (128,), "dropout": 0.2})
    model = build_model(config, features, _GENRES)
    weight = _step_seconds(model, config, features.shape("waveform"), device) / count_parameters(model)
    return Pace(seconds["waveform"], seconds["mel"], weight)


def _step_seconds(model: nn.Module, config: TrainConfig, shape: tuple[int, ...], device: torch.device) -> float:
    """Time a few training steps after a first one, and return the shortest."""
    with torch.random.fork_rng([]):
        model.to(device).train()
        optimizer = make_optimizer(model, config)
        inputs = torch.rand(_BATCH, *shape, device=device)
        targets = torch.zeros(_BATCH, dtype=torch.int64, device=device)
        shortest = math.inf
        for _ in range(1 + _TRIES):
            started = time.perf_counter()
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()  # waits for the device
            shortest = min(shortest, time.perf_counter() - started)
    return shortest
