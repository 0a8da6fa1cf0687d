"""The processes of one training run, as torchrun starts them.

Each process is a rank. It computes its share of every batch, and all ranks take the same steps with the same weights as
one process would.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genrekit.errors import GenrekitError

T = TypeVar("T")

WAIT = timedelta(minutes=30)
"""How long a rank waits for the others, for example while the first one writes a checkpoint."""

REACHABLE_S = 60
"""How long the host of another rank may be unreachable, in seconds."""

_NOTHING = object()


@dataclass(frozen=True)
class Ranks:
    """The rank of this process, counted from 0, and the number of ranks.

    If another rank has ended, the methods raise torch's RuntimeError. Inside `joined` it becomes one line.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of `count` fragments belong to this rank; shares differ by at most one.

        >>> [Ranks(rank, 3).share(10) for rank in range(3)]
        [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def from_first(self, value: T | None) -> T:
        """Return the value of the first rank in all ranks."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, 0)
        result: Any = values[0]
        return result

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def interleave(self, values: Sequence[T]) -> list[T]:
        """Join lists of which rank r has the items r, r + size, r + 2 * size and so on."""
        rows: Iterator[tuple[Any, ...]] = zip_longest(*self.gather(list(values)), fillvalue=_NOTHING)
        return [item for row in rows for item in row if item is not _NOTHING]

    def stack(self, values: Tensor) -> Tensor:
        """Stack the tensors of several ranks, [ranks, ...]. gloo does this faster than all-reduce if they are small."""
        rows = values.new_empty(self.size, *values.shape)
        dist.all_gather(list(rows), values)
        return rows

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first rank finish the block before the others start it, so that they find the files it writes."""
        if not self.is_first:
            self.from_first(None)
        yield
        if self.is_first:
            self.from_first(None)

    def parallel(self, model: nn.Module, example: Tensor) -> nn.Module:
        """Wrap a model so that its gradients are averaged over all ranks; all start with the weights of the first.

        `example` is a batch of two fragments, which shows whether each parameter has a gradient.
        """
        if self.size == 1:
            return model
        devices = [example.device] if example.device.type == "cuda" else None
        parallel = nn.parallel.DistributedDataParallel(
            model,
            device_ids=devices,
            find_unused_parameters=_has_unused_parameters(model, example),
        )
        parallel.broadcast_buffers = has_other_buffers(model)
        return parallel


ALONE = Ranks()
"""A training in one process."""


@contextmanager
def joined(rank: int, size: int, backend: str) -> Iterator[Ranks]:
    """Connect this process with the other ranks, whose address is in torchrun's environment variables.

    `backend` is gloo for a CPU and nccl for CUDA devices.
    Errors: GenrekitError if the others do not answer, or if one of them ends or is cut off inside the block.
    """
    before = _descriptors()
    try:
        dist.init_process_group(backend, rank=rank, world_size=size, timeout=WAIT)
    except (RuntimeError, ValueError) as error:
        raise GenrekitError(f"process {rank} of {size} cannot reach the others: {_first_line(error)}") from error
    for descriptor in _descriptors() - before:
        _close_if_unreachable(descriptor)
    try:
        with warnings.catch_warnings():
            # torch compares strides of axes of length 1, which do not matter, in the weights of the first convolution.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
            yield Ranks(rank, size)
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise GenrekitError(
            f"another process of this run has ended, or its host has not answered for {REACHABLE_S} s, so this one "
            "stops too; read the message of that process"
        ) from error
    finally:
        dist.destroy_process_group()


def _descriptors() -> set[int]:
    """Return the descriptors of the files and connections that this process has open."""
    with suppress(OSError):
        return {int(entry.name) for entry in Path("/dev/fd").iterdir()}
    return set()


def _close_if_unreachable(descriptor: int) -> None:
    """Let the kernel end a connection whose other host cannot be reached; other files stay as they are.

    gloo itself would wait for a host that is cut off as long as for one that computes.
    """
    options = {
        "TCP_KEEPIDLE": REACHABLE_S // 6,  # seconds without data before the other host is asked whether it is there
        "TCP_KEEPALIVE": REACHABLE_S // 6,  # its name on macOS
        "TCP_KEEPINTVL": REACHABLE_S // 6,
        "TCP_KEEPCNT": 5,
        "TCP_USER_TIMEOUT": REACHABLE_S * 1_000,  # milliseconds, for data that is not acknowledged
    }
    with suppress(OSError):
        connection = socket.socket(fileno=descriptor)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in options.items():
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        finally:
            connection.detach()  # gloo keeps it


class CurrentBatch:
    """Which fragments of the current batch belong to this rank: those in `own`, of `count`.

    `count` is 0 between batches.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks, self.count = ranks, 0

    @property
    def own(self) -> slice:
        """The fragments of this rank."""
        return self._ranks.share(self.count)

    def start(self, count: int) -> None:
        """Begin a batch of `count` fragments."""
        self.count = count


def share_layers(model: nn.Module, batch: CurrentBatch, ranks: Ranks) -> None:
    """Replace batch norm and dropout layers by ones that compute as if this rank had the whole batch.

    Parameters, buffers and names stay the same, and so does evaluation. Other layers with random numbers draw the same
    ones in each rank.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, _SharedBatchNorm.of(layer, ranks))
            elif type(layer) in _DROPOUTS:
                setattr(parent, name, _SharedDropout(layer, batch))


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm with the mean and variance of the whole batch. torch's SyncBatchNorm needs a GPU."""

    ranks: Ranks

    @classmethod
    def of(cls, layer: nn.modules.batchnorm._BatchNorm, ranks: Ranks) -> _SharedBatchNorm:
        shared = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        shared._parameters, shared._buffers = layer._parameters, layer._buffers
        shared.ranks = ranks
        return shared.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the name that torch uses
        if input.dim() < 2:
            raise ValueError(f"expected an input of at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch uses
        """Normalize a batch [B, C, ...]."""
        if not self.training:
            return super().forward(input)
        output, mean, variance, count = _Normalize.apply(input, self.weight, self.bias, self.eps, self.ranks)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            with torch.no_grad():
                self.num_batches_tracked += 1
                rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance * (count / (count - 1)), rate)
        normalized: Tensor = output
        return normalized


class _Normalize(torch.autograd.Function):
    """Normalize values with the mean and variance over all ranks.

    Gradients are sums over ranks, because each rank's output depends on the values of all.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = values.numel() // values.shape[1]
        own = torch.zeros(2 * values.shape[1] + 1, dtype=torch.float64, device=values.device)
        if count:
            mean, variance = torch.batch_norm_update_stats(values.float(), None, None, 0.0)
            own = torch.cat([mean.new_tensor([count]).double(), mean.double(), variance.double()])
        rows = ranks.stack(own)
        counts, means, variances = rows[:, :1], *rows[:, 1:].chunk(2, dim=1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / total
        mean, variance = mean.float(), variance.float()
        output = torch.batch_norm(values, weight, bias, mean, variance, False, 0.0, eps, False)
        ctx.save_for_backward(values, weight, mean, variance, total)
        ctx.eps, ctx.ranks, ctx.biased = eps, ranks, bias is not None
        count_of_all = total.float()
        ctx.mark_non_differentiable(mean, variance, count_of_all)
        return output, mean, variance, count_of_all

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, variance, total = ctx.saved_tensors
        if not values.numel():  # this rank has no fragment of the batch
            none = mean.new_zeros(2, len(mean))
            ctx.ranks.stack(none)
            of_parameters = (None, None) if weight is None else (none[0], none[1] if ctx.biased else None)
            return torch.zeros_like(values), *of_parameters, None, None
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], values, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        of_mean, of_scale = ctx.ranks.stack(torch.stack([of_bias, of_weight]).float()).sum(0) / total.float()
        factor = torch.rsqrt(variance + ctx.eps)
        factor = factor if weight is None else factor * weight
        # With normalized values n, the gradient is factor * (gradients[0] - of_mean - n * of_scale).
        gradient = torch.batch_norm(
            values, -factor * of_scale, -factor * of_mean, mean, variance, False, 0.0, ctx.eps, False
        )
        gradient.addcmul_(gradients[0], factor.view(-1, *[1] * (values.dim() - 2)))
        of_parameters = (None, None) if weight is None else (of_weight, of_bias if ctx.biased else None)
        return gradient, *of_parameters, None, None


_DROPOUTS: dict[type[nn.Module], Callable[[Tensor, float], Tensor]] = {
    nn.Dropout: nn.functional.dropout,
    nn.Dropout1d: nn.functional.dropout1d,
    nn.Dropout2d: nn.functional.dropout2d,
    nn.Dropout3d: nn.functional.dropout3d,
}
"""Layers that multiply their input by random numbers, and the functions that draw them."""


class _SharedDropout(nn.Module):
    """Dropout that draws for the whole batch and uses the numbers of its own fragments."""

    def __init__(self, layer: nn.Module, batch: CurrentBatch) -> None:
        super().__init__()
        self._draw, self._batch = _DROPOUTS[type(layer)], batch
        self._per_value = type(layer) is nn.Dropout
        self.p: float = layer.p  # type: ignore[assignment]
        self.train(layer.training)

    def forward(self, values: Tensor) -> Tensor:
        """Drop values, or whole channels, of a batch [B, ...]."""
        if not self.training:
            return values
        own = self._batch.own
        if len(values) != own.stop - own.start:  # the first axis is not that of fragments
            return self._draw(values, self.p)
        rest = values.shape[1:] if self._per_value else (values.shape[1], *[1] * (values.dim() - 2))
        return values * self._draw(values.new_ones(self._batch.count, *rest), self.p)[own]


def _has_unused_parameters(model: nn.Module, example: Tensor) -> bool:
    """Whether a parameter gets no gradient. Weights and their gradients do not change."""
    was_training = model.training
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    outputs = model.eval()(example)
    gradients = torch.autograd.grad(outputs.float().sum(), weights, allow_unused=True)
    model.train(was_training)
    return any(gradient is None for gradient in gradients)


def has_other_buffers(model: nn.Module) -> bool:
    """Whether buffers must be sent to all ranks: if a layer has any that may differ. genrekit's own layers do not."""
    others = (layer for layer in model.modules() if not type(layer).__module__.startswith("genrekit."))
    return any(layer._buffers for layer in others)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
