"""Where a model runs."""

from __future__ import annotations

import torch

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
