"""How fast this machine trains, about: what its runs will take is foretold from a few small steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.models import build_model
from genrekit.models.layer_sizes import output_sizes
from genrekit.training.optimizers import make_optimizer

_TRIES = 3
_BATCH = 8
_GENRES = 10


@dataclass(frozen=True)
class Pace:
    """Seconds per operation of a convolution's forward pass (1-D and 2-D), and per weight of a dense layer in a step.

    Both are those of whole training steps, backward pass and optimizer included.
    """

    convolution_1d: float
    convolution_2d: float
    dense: float

    def step_seconds(self, model: nn.Module, shape: tuple[int, ...], batch_size: int) -> float:
        """About what a training step takes, of a model that need have no content (on the meta device)."""
        convolution = self.convolution_2d if len(shape) == 2 else self.convolution_1d
        return batch_size * _operations(model, shape) * convolution + _dense_weights(model) * self.dense


def measure_pace(device: torch.device) -> Pace:
    """Time small trainings on a device; about a second on a CPU."""
    front_end = FeatureConfig(sample_rate=8_000, duration_s=2.0, n_fft=512, hop_length=128, n_mels=64, fmin=0)
    timed = {}
    for kind in ("waveform", "mel"):
        config = TrainConfig.of({"arch": "cel", "input": kind, "channels": (32, 32), "dropout": 0.2})
        model, shape = build_model(config, front_end, _GENRES), front_end.shape(config.input)
        timed[kind] = _step(model, config, shape, device) / (_BATCH * _operations(model, shape))
    config = TrainConfig.of({"arch": "mlp2", "input": "waveform", "hidden": (128,), "dropout": 0.2})
    model = build_model(config, front_end, _GENRES)
    dense = _step(model, config, front_end.shape("waveform"), device) / _dense_weights(model)
    return Pace(timed["waveform"], timed["mel"], dense)


def _step(model: nn.Module, config: TrainConfig, shape: tuple[int, ...], device: torch.device) -> float:
    """The least time of a few training steps, after one that does not count."""
    with torch.random.fork_rng([]):
        model.to(device).train()
        optimizer = make_optimizer(model, config)
        inputs, targets = (
            torch.rand(_BATCH, *shape, device=device),
            torch.zeros(_BATCH, dtype=torch.int64, device=device),
        )
        least = math.inf
        for _ in range(1 + _TRIES):
            started = time.perf_counter()
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()  # waits for the device
            least = min(least, time.perf_counter() - started)
    return least


def _operations(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of the convolutions for one fragment, forward, two a multiplication and addition."""
    sizes = ((layer, size) for layer, size in output_sizes(model, shape) if isinstance(layer, (nn.Conv1d, nn.Conv2d)))
    return sum(2 * size // layer.out_channels * layer.weight.numel() for layer, size in sizes)


def _dense_weights(model: nn.Module) -> int:
    return sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
