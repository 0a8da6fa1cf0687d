"""Optimizers that do not import torch's compiler.

torch marks some methods of its optimizers as not to be compiled, and imports the compiler for that. The import takes
longer than everything else before the first step of a run, and has no effect if the optimizer is not compiled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.optim import Optimizer

_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


@cache
def uncompiled(optimizer: type[Optimizer]) -> Callable[..., Optimizer]:
    """Return a subclass of an optimizer whose methods are the original ones, without the compiler's wrappers.

    Its steps compute the same. A method that another version of torch wraps differently stays as it is.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(optimizer, name)) for name in _MARKED}
    step: Any = torch.no_grad()(inspect.unwrap(optimizer.step))
    step.hooked = True  # otherwise torch wraps it once more, for its profiler
    return type(optimizer.__name__, (optimizer,), {**methods, "step": step})
