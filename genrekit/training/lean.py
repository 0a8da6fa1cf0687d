"""Optimizers that do without torch's compiler: importing it takes longer than everything else before the first step.

Optimizers of torch mark some of their methods as nothing to compile, and import the compiler to do so, and once more to
break its graph around each step. Where a training does not compile its optimizer, both change nothing. What is not
found as expected, as in another version of torch, stays as it is and is only slower to begin.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable

import torch
from torch.optim import Optimizer

_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def lean(make: Callable[[], Optimizer]) -> Optimizer:
    """Return the optimizer that `make` makes; its steps compute the same."""
    for name in _MARKED:
        plain = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            plain.__dynamo_disable = plain
    optimizer = make()
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]
    return optimizer
