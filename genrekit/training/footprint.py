"""What a training takes, known before it begins.

The estimate of memory is what the training itself holds at its peak, beside what the process holds anyway (torch alone
takes some 250 MB) and pages of the cache, which the system takes back as it likes: weights, their copy of the best
epoch, gradients and the optimizer's memory, and what a batch leaves for the backward pass. On the CPU the heap comes
upon it: arrays that have been given up are kept there (`genrekit.io.memory`), and others do not fit into all the holes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.models.layer_sizes import output_sizes
from genrekit.training.optimizers import make_optimizer


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes; `batch` is what a step holds of one batch at its peak, `heap` what lies idle between arrays."""

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    batch: int
    heap: int

    @property
    def checkpoint(self) -> int:
        """The file that resuming reads: weights, their best copy, their average and the optimizer's memory."""
        return 2 * self.weights + self.average + self.optimizer

    @property
    def memory(self) -> int:
        """The most that the training holds at once."""
        return self.checkpoint + self.gradients + self.batch + self.heap


@contextmanager
def enough_memory() -> Iterator[None]:
    """Say it in a line where memory runs out within.

    Errors: GenrekitError in place of what torch and NumPy raise then.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or _NO_MEMORY.search(str(error))):
            raise
        raise GenrekitError(
            "there was not enough memory: a smaller batch_size, a smaller model, or fewer trainings at once need less"
        ) from error


_NO_MEMORY = re.compile("can't allocate memory|not enough memory")
"""What torch says of the CPU's, in no class of its own."""


def measure(model: nn.Module, config: TrainConfig, shape: tuple[int, ...], device: torch.device) -> Footprint:
    """Measure the training of a model, that need have no content (on the meta device), with fragments of a shape.

    A classical model is fitted at once, without gradients and batches: of it the weights are measured alone.
    """
    parameters = list(model.parameters())
    gradients = _bytes(parameters)
    batch = config.batch_size * _left_of_a_fragment(model, shape) if config.architecture.trained_by_gradient else 0
    return Footprint(
        parameters=sum(parameter.numel() for parameter in parameters),
        weights=_bytes(model.state_dict().values()),
        gradients=gradients,
        optimizer=round(gradients * _optimizer_share(config)),
        average=gradients if config.ema else 0,
        batch=batch,
        heap=2 * gradients + batch if device.type == "cpu" else 0,
    )


def _left_of_a_fragment(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes that the layers' outputs take until the backward pass, which begins with as much as the largest of them."""
    sizes = [math.prod(shape)]
    for layer, size in output_sizes(model, shape):
        if not isinstance(layer, nn.Flatten):
            sizes.append(size)
        if isinstance(layer, (nn.MaxPool1d, nn.MaxPool2d)):
            sizes.append(2 * size)  # where each maximum was, as int64
    return 4 * (sum(sizes) + max(sizes))


def _optimizer_share(config: TrainConfig) -> float:
    """What an optimizer remembers of each byte of parameters."""
    with torch.device("cpu"), torch.random.fork_rng([]):  # also where the model has no content
        layer = nn.Linear(64, 64)
        optimizer = make_optimizer(layer, config)
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return _bytes(value for slots in optimizer.state.values() for value in slots.values()) / _bytes(layer.parameters())


def free_memory(device: torch.device) -> int | None:
    """Bytes that a device can give, the CPU without swapping; None where it does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1_024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _bytes(tensors: Iterable[object]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, Tensor))
