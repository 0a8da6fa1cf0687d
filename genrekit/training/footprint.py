"""Estimate the memory of a training run before it starts.

The estimate is the peak memory of the training itself: weights, their copy of the best epoch, gradients, the state of
the optimizer, and what the forward pass of a batch keeps for the backward pass. It does not include what the process
uses anyway (torch alone takes about 250 MB) or pages of the cache. On the CPU, an allowance for the heap is added,
because freed arrays are kept there (`genrekit.io.memory`) and new ones do not fit into all of the gaps.

What a batch keeps is measured by a forward pass of two fragments through the model itself, so the estimate holds for
any `nn.Module`. On the meta device, where tensors have no values, that pass takes no memory and little time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.errors import GenrekitError, is_out_of_memory
from genrekit.models import build_model, device_of
from genrekit.models.ensemble import repeat_for
from genrekit.training.optimizers import make_optimizer

_FRAGMENTS = 2
"""Fragments of the measured forward pass. Batch norm needs more than one."""


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes; `parameters` is a count. `batch` is the peak of one batch, `heap` the allowance for the heap."""

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    batch: int
    heap: int

    @property
    def checkpoint(self) -> int:
        """Size of a checkpoint: weights, their best copy, their average and the state of the optimizer."""
        return 2 * self.weights + self.average + self.optimizer

    @property
    def memory(self) -> int:
        """Peak memory of the training."""
        return self.checkpoint + self.gradients + self.batch + self.heap


@contextmanager
def enough_memory() -> Iterator[None]:
    """Turn errors of torch and NumPy that mean "out of memory" into a GenrekitError of one line."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise GenrekitError(
            "there was not enough memory: choose a smaller --batch-size or a smaller model, "
            "or train fewer models at once"
        ) from (error if isinstance(error, MemoryError) else MemoryError(str(error)))


def measure_weights(model: nn.Module, config: TrainConfig, device: torch.device) -> Footprint:
    """Measure everything that does not depend on the batch. The model may be on the meta device."""
    parameters = list(model.parameters())
    gradients = _bytes(parameters)
    return Footprint(
        parameters=sum(parameter.numel() for parameter in parameters),
        weights=_bytes(model.state_dict().values()),
        gradients=gradients,
        optimizer=round(gradients * _optimizer_share(config)),
        average=gradients if config.ema else 0,
        batch=0,
        heap=2 * gradients if device.type == "cpu" else 0,
    )


def measure(model: nn.Module, config: TrainConfig, shape: tuple[int, ...], device: torch.device) -> Footprint:
    """Measure the training of a model on `device` with fragments of a shape. The model may be on the meta device.

    A model that is fitted once has no batches. The model's buffers and the random state do not change.
    """
    footprint = measure_weights(model, config, device)
    if not config.architecture.trained_by_gradient:
        return footprint
    batch = config.batch_size * _bytes_per_fragment(model, shape)
    return replace(footprint, batch=batch, heap=footprint.heap + (batch if device.type == "cpu" else 0))


def model_to_measure(config: TrainConfig, features: FeatureConfig, n_genres: int) -> nn.Module:
    """Build a model on the meta device, without values, if its forward pass works there; otherwise on the CPU.

    The first forward pass on the meta device imports torch's compiler, which takes about 1.6 s.
    """
    with torch.device("meta"):
        model = build_model(config, features, n_genres)
        if not config.architecture.trained_by_gradient:
            return model
        try:
            with torch.no_grad():
                model.eval()(torch.empty(_FRAGMENTS, *features.shape(config.input)))
        except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError):
            pass  # for example a layer that reads values, or computes in NumPy
        else:
            return model
    return build_model(config, features, n_genres)


def _bytes_per_fragment(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Measure what the forward pass keeps of a fragment; the backward pass starts with a copy of the largest array."""
    device = device_of(model)
    owned = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # the storages, so that no other one gets the same address

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            kept[storage._cdata] = storage
        return tensor

    inputs = torch.zeros(_FRAGMENTS, *shape, device=device)
    targets = torch.zeros(_FRAGMENTS, dtype=torch.int64, device=device)
    keep(inputs)
    with _unchanged(model, device), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model.train()(inputs)
        cross_entropy(logits, repeat_for(logits, targets))
    sizes = [storage.nbytes() for storage in kept.values()]
    return (sum(sizes) + max(sizes)) // _FRAGMENTS


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Restore the buffers, the mode and the random state after the block."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    training = model.training
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        model.train(training)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _optimizer_share(config: TrainConfig) -> float:
    """Return the size of an optimizer's state as a share of the size of the parameters."""
    with torch.device("cpu"), torch.random.fork_rng([]):  # also inside a block of the meta device
        layer = nn.Linear(64, 64)
        optimizer = make_optimizer(layer, config)
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return _bytes(value for slots in optimizer.state.values() for value in slots.values()) / _bytes(layer.parameters())


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device, for the CPU without swapping; None if it is unknown."""
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
