"""Results that are short as text, and a table with a plot in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

_RENDERER = "genrekit.workflows.notebook"
"""The module that draws results. It is imported when a notebook shows one, because matplotlib is slow to import."""

_LONGEST = 60
"""Most characters of a value in the text of a result."""


class ShownResult:
    """Base class of the results of the Python API, which are dataclasses with `repr=False`."""

    def __repr__(self) -> str:
        """Name the fields; of a long value, only its size."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        shown = ", ".join(f"{name}={_short(value)}" for name, value in values.items() if value not in (None, (), {}))
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        return str(import_module(_RENDERER).html_of(self))


def _short(value: Any) -> str:
    """Return a value as text, or its size if that is long.

    >>> _short(Path("cache.h5")), _short({"blues": 100}), _short(tuple(range(100)))
    ("'cache.h5'", "{'blues': 100}", '<100 items>')
    """
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, float):
        return f"{value:.4g}"
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    sized = isinstance(value, (Mapping, Sequence)) and not isinstance(value, str)
    return f"<{len(value)} item{'s' if len(value) != 1 else ''}>" if sized else f"<{type(value).__name__}>"
