"""The options that an architecture declares: their base class, and their names in flat configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import model_validator

from genrekit.config.base import Config, split_items

FIELD = "arch_options"
"""The field of `TrainConfig` that has the options of the architecture."""


class ArchitectureOptions(Config):
    """Base class of the options of an architecture. Each field of a subclass is an option; help pages describe it.

    A list can be written as text, as on the command line: "8,16" for (8, 16).

    >>> from pydantic import Field
    >>> class ResNetOptions(ArchitectureOptions):
    ...     depth: int = Field(2, ge=1, description="Number of blocks.")
    >>> ResNetOptions.of({"depth": "4"})
    ResNetOptions(depth=4)
    """

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        lists = {name for name, field in cls.model_fields.items() if _has_tuple(field.annotation)}
        return {name: split_items(value) if name in lists else value for name, value in values.items()}


def _has_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(map(_has_tuple, get_args(annotation)))


def flat_options(values: Any) -> Any:
    """Write the options of the architecture as keys of their own level. Other values are returned unchanged.

    >>> flat_options({"arch": "resnet", "arch_options": {"depth": 4}})
    {'arch': 'resnet', 'arch_options.depth': 4}
    """
    if not isinstance(values, Mapping):
        return values
    return dict(_flat(values))


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == FIELD and isinstance(value, Mapping):
            yield from ((f"{FIELD}.{option}", inner) for option, inner in value.items())
        else:
            yield name, value


def nested_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the keys that `flat_options` writes. They replace the same options in `arch_options`.

    >>> nested_options({"arch": "resnet", "arch_options": {"depth": 4, "width": 8}, "arch_options.depth": 2})
    {'arch': 'resnet', 'arch_options': {'depth': 2, 'width': 8}}
    """
    flat = {name: value for name, value in values.items() if name.startswith(f"{FIELD}.")}
    nested = {name: value for name, value in values.items() if name not in flat}
    if flat:
        given = nested.get(FIELD) or {}
        before = given.model_dump() if isinstance(given, ArchitectureOptions) else given
        nested[FIELD] = {**before, **{name.partition(".")[2]: value for name, value in flat.items()}}
    return nested
