"""Training configurations in files that an earlier version may have written."""

from __future__ import annotations

from typing import Any

from genrekit.config.architectures import architecture, is_registered
from genrekit.config.base import fields_with
from genrekit.config.train import TrainConfig

_BEFORE = {"center": False, "downsample": (1, 1), "pool": "flatten"}
"""What networks did before an option existed, if that is not its default."""


def stored_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a stored configuration as this version reads them.

    A model that is fitted once is stored with the defaults of the options for networks. They have no effect and may
    have changed since, so they are left out. Options of networks that did not exist yet are added.

    >>> stored_values({"arch": "lda", "patience": 10, "seed": 1})
    {'arch': 'lda', 'seed': 1}
    >>> stored_values({"arch": "cel"})
    {'center': False, 'downsample': (1, 1), 'pool': 'flatten', 'arch': 'cel'}
    """
    name = str(values.get("arch"))
    if not is_registered(name):
        return values  # refused by the configuration itself
    model = architecture(name)
    if model.trained_by_gradient:
        return {**(_BEFORE if model.layers else {}), **values}
    unused = fields_with(TrainConfig, lambda option: option.used_by == "networks")
    return {key: value for key, value in values.items() if key not in unused}
