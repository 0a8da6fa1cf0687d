"""Where a model runs, and in which numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from genrekit.errors import GenrekitError, unknown_name


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the first of cuda, mps and cpu that there is.

    Errors: GenrekitError where the device is not there, UsageError where there is no such name.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, available in there.items() if available))
    if name not in there:
        raise unknown_name("device", name, ["auto", *there])
    if not there[name]:
        raise GenrekitError(f"no {name} device here: choose cpu or auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """Return fp32 or bf16; `auto` is bf16 on a CUDA device that computes in it, else fp32."""
    if name != "auto":
        return name
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if native else "fp32"


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Compute in that precision within the block: bf16 where it does no harm (autocast), weights stay fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def repeatable(device: torch.device) -> AbstractContextManager[Any]:
    """Let a CUDA device choose convolutions that repeat themselves; a CPU does so anyway."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring a batch to a device; to a CUDA device it is copied while the device still works on the one before."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a model's compiled forward pass; the weights stay the model's own, under their plain names.

    Errors: GenrekitError at its first use where there is nothing to compile with.
    """
    fast = torch.compile(model)

    def forward(inputs: Tensor) -> Tensor:
        try:
            outputs: Tensor = fast(inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            first = str(error).strip().splitlines()[0]
            raise GenrekitError(f"the model cannot be compiled here ({first}): train without compile") from error
        return outputs

    return forward
