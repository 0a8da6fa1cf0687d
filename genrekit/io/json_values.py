"""Convert records to JSON: paths, tuples, and numbers that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

_KEY = "json_key"
_INNER_KEYS = "json_inner_keys"


def to_json(record: Any) -> dict[str, Any]:
    """A record as a JSON object, with field names as keys."""
    converted = json_value(record)
    assert isinstance(converted, dict)
    return converted


def stored_as(key: str) -> dict[str, str]:
    """Return the metadata of a dataclass field whose key in JSON is not its name."""
    return {_KEY: key}


def stored_with_keys(**keys: str) -> dict[str, dict[str, str]]:
    """Return the metadata of a dataclass field whose value is a record with other keys in JSON than its field names."""
    return {_INNER_KEYS: keys}


def json_value(value: Any) -> Any:
    """A value as JSON knows it: paths as text, tuples and sets as lists, and null where a number is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.metadata.get(_KEY, item.name): _field_value(value, item) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def _field_value(record: Any, item: Field[Any]) -> Any:
    value, keys = json_value(getattr(record, item.name)), item.metadata.get(_INNER_KEYS)
    return value if keys is None else {keys.get(key, key): inner for key, inner in value.items()}
