"""What a training takes, known before it begins.

The estimate of memory is what the training itself holds at its peak, beside what the process holds anyway (torch alone
takes some 250 MB) and pages of the cache, which the system takes back as it likes: weights, their copy of the best
epoch, gradients and the optimizer's memory, and what a batch leaves for the backward pass. Workspaces of convolutions
are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit.config import TrainConfig
from genrekit.training.optimizers import make_optimizer


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes; `batch` is what a training step holds of one batch at its peak."""

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    batch: int

    @property
    def checkpoint(self) -> int:
        """The file that resuming reads: weights, their best copy, their average and the optimizer's memory."""
        return 2 * self.weights + self.average + self.optimizer

    @property
    def memory(self) -> int:
        """The most that the training holds at once."""
        return self.checkpoint + self.gradients + self.batch


def measure_model(model: nn.Module, config: TrainConfig) -> Footprint:
    """Measure all but the batch, of a model that need have no content (on the meta device)."""
    parameters = list(model.parameters())
    return Footprint(
        parameters=sum(parameter.numel() for parameter in parameters),
        weights=_bytes(model.state_dict().values()),
        gradients=_bytes(parameters),
        optimizer=round(_bytes(parameters) * _optimizer_share(config)),
        average=_bytes(parameters) if config.ema else 0,
        batch=0,
    )


def measure_batch(model: nn.Module, shape: tuple[int, ...], batch_size: int) -> int:
    """Bytes that a batch of fragments of that shape takes: what the layers keep of two fragments, as many times.

    The model and the caller's random state are left as they were.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    own = {_storage(tensor) for tensor in model.state_dict().values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    inputs = torch.zeros(2, *shape)
    keep(inputs)
    with torch.random.fork_rng([]), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        cross_entropy(model.train()(inputs), torch.zeros(2, dtype=torch.int64))
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    sizes = [storage.nbytes() for storage in kept.values()]
    return (sum(sizes) + max(sizes)) * batch_size // 2  # backward begins with the gradient of a layer's output


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


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes(tensors: Iterable[object]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, Tensor))
