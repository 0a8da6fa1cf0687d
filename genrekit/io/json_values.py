"""Convert records to JSON: paths, tuples, and numbers that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any


def to_json(record: Any) -> dict[str, Any]:
    """Convert a dataclass instance to a JSON object, with field names as keys."""
    converted = json_value(asdict(record))
    assert isinstance(converted, dict)
    return converted


def json_value(value: Any) -> Any:
    """Convert a value to JSON types: paths to text, tuples and sets to lists, NaN and infinity to null."""
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
