"""Select the device and the precision of a model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from genrekit.errors import GenrekitError, unknown_name


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the first available one of cuda, mps and cpu.

    Errors: GenrekitError if the device is not available, UsageError for an unknown name.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, usable in available.items() if usable))
    if name not in available:
        raise unknown_name("device", name, ["auto", *available])
    if not available[name]:
        raise GenrekitError(f"no {name} device here: choose --device cpu or auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """Return fp32 or bf16; `auto` is bf16 on a CUDA device that supports it, else fp32."""
    if name != "auto":
        return name
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if native else "fp32"


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Compute in a precision inside the block: bf16 is torch's autocast, with weights in fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def repeatable(device: torch.device) -> AbstractContextManager[Any]:
    """Make a CUDA device select deterministic convolutions inside the block. On a CPU they always are."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a batch to a device. To a CUDA device it is copied while the device computes the previous batch."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the compiled forward pass of a model, which uses the weights of the model.

    Errors: GenrekitError at its first call if it cannot be compiled, for example without a C++ compiler.
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
