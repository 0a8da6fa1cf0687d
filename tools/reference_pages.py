"""Generate the reference pages of the documentation from the code: commands, configurations and the Python API.

`docs/conf.py` calls these functions while the site is built, so the pages always match the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

import typer
from rich.text import Text
from typer.main import get_command

import genrekit
from genrekit.cli.app import COMMANDS, app
from genrekit.config import ArchitectureOptions, Config, FeatureConfig, PrepareConfig, TrainConfig, option_of
from genrekit.config.predict import PredictConfig
from genrekit.config.prepare import Augmentation
from genrekit.studies.schema import Comparison, Hypothesis, Override, Study, WinnerHypothesis
from genrekit.studies.search_schema import Dimension, Search

CONFIGURATIONS: tuple[type[Config], ...] = (PrepareConfig, FeatureConfig, Augmentation, TrainConfig, PredictConfig)
"""The configurations that users write, in the order of the page."""

STUDY_TABLES: dict[str, type[Config]] = {
    "Keys of a study file": Study,
    "Keys of [[overrides]]": Override,
    "Keys of [[hypotheses]]": Hypothesis,
    "Keys of a comparison": Comparison,
    "Keys of a winner": WinnerHypothesis,
}
"""The tables of a study file, with the headings of the page."""

SEARCH_TABLES: dict[str, type[Config]] = {"Keys of a search file": Search, "Keys of a range": Dimension}
"""The tables of a search file."""

GENERAL = "General"
"""The heading of options without a panel."""


def commands() -> str:
    """Return a Markdown section for each command: its help text, usage, arguments and options."""
    root: Any = get_command(app)
    context = typer.Context(root, info_name="genrekit")
    sections = (_command(root.get_command(context, name), name, context) for name in COMMANDS)
    return "\n\n".join(section for group in sections for section in group)


def _command(command: Any, name: str, parent: typer.Context) -> Iterator[str]:
    context = typer.Context(command, info_name=name, parent=parent)
    below = getattr(command, "commands", {})
    section = f"## {context.command_path}\n\n{_plain(command.help)}"
    if not below:
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        section += f"\n\n```text\n{usage}\n```\n\n{_options(command, context)}"
    yield section
    for sub_name, sub_command in below.items():
        yield from _command(sub_command, sub_name, context)


def _options(command: Any, context: typer.Context) -> str:
    panels: dict[str, list[list[str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or parameter.name == "help":
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = "Arguments" if is_argument else parameter.rich_help_panel or GENERAL
        panels.setdefault(panel, []).append([f"`{record[0]}`", _plain(record[1])])
    return "\n\n".join(f"**{panel}**\n\n{_table(['option', 'meaning'], rows)}" for panel, rows in panels.items())


def configurations() -> str:
    """Return a Markdown section for each configuration, with a table of its fields."""
    return "\n\n".join(f"## {schema.__name__}\n\n{_fields(schema)}" for schema in CONFIGURATIONS)


def study_keys() -> str:
    """Return a Markdown section for each table of a study file, with its keys."""
    return _sections(STUDY_TABLES)


def search_keys() -> str:
    """Return a Markdown section for each table of a search file, with its keys."""
    return _sections(SEARCH_TABLES)


def _sections(tables: Mapping[str, type[Config]]) -> str:
    return "\n\n".join(f"### {heading}\n\n{_fields(schema, 'key')}" for heading, schema in tables.items())


def _fields(schema: type[Config], kind: str = "field") -> str:
    rows = []
    properties = schema.model_json_schema()["properties"]
    for name, field in schema.model_fields.items():
        if field.exclude:
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, ArchitectureOptions):
            rows.append([f"`{name}`", "names with values", "none", field.description or ""])
            continue
        if isinstance(default, Config):
            link = type(default).__name__
            rows.append([f"`{name}`", "", "", f"The fields of [{link}](#{link.lower()})."])
            continue
        option = option_of(field)
        models = option.used_by if schema is TrainConfig and option is not None else "all models"
        note = "" if models == "all models" else f"{models.capitalize()} only."
        meaning = " ".join([field.description or "", note]).strip()
        shown_default = "required" if field.is_required() else f"`{_value(default)}`"
        rows.append([f"`{name}`", allowed(properties[name]), shown_default, meaning])
    return _table([kind, "value", "default", "meaning"], rows)


def allowed(schema: dict[str, Any]) -> str:
    """Describe the values that a JSON schema allows, such as "integer, at least 1"."""
    if "anyOf" in schema:
        return " or ".join(allowed(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "type" not in schema:  # another table, or a value of any type
        return "table" if "$ref" in schema else "value"
    kind = schema["type"]
    if kind == "array":
        return "two numbers" if "prefixItems" in schema else f"list of: {allowed(schema['items'])}"
    limits = [f"{words} {schema[key]:,}" for key, words in _LIMITS.items() if schema.get(key, _HUGE) < _HUGE]
    return ", ".join([_KINDS.get(kind, kind), *limits])


_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_HUGE = 2**53
"""Limits from here on are those of the number's type, and are not shown."""
_KINDS = {"boolean": "true or false", "null": "none", "object": "table", "string": "text"}


def _value(default: object) -> str:
    return "none" if default is None else json.dumps(default)


def python_api() -> str:
    """Return reStructuredText that documents all public names, and the types that their functions return."""
    public = [getattr(genrekit, name) for name in genrekit.__all__ if not name.startswith("_")]
    functions = [value for value in public if inspect.isfunction(value)]
    classes = [value for value in public if inspect.isclass(value)]
    results = [value for value in _result_types(functions) if value not in classes]
    return "\n".join(
        [
            *_rst_section("Functions", [f".. autofunction:: genrekit.{value.__name__}\n" for value in functions]),
            *_rst_section("Classes", [_autoclass(f"genrekit.{value.__name__}", value) for value in classes]),
            *_rst_section("Results", [_autoclass(f"{value.__module__}.{value.__name__}", value) for value in results]),
        ]
    )


def _rst_section(title: str, entries: list[str]) -> list[str]:
    return [title, "-" * len(title), "", *entries]


def _autoclass(name: str, value: type) -> str:
    if issubclass(value, Config):  # the page of configurations has their fields
        return f".. autoclass:: {name}()\n\n   .. automethod:: of\n"
    if dataclasses.is_dataclass(value):
        return f".. autoclass:: {name}()\n   :members:\n   :undoc-members:\n"
    return f".. autoclass:: {name}\n   :members:\n"


def _result_types(functions: Sequence[Callable[..., Any]]) -> list[type]:
    """The dataclasses of genrekit that functions return, and those of their fields."""
    remaining = [get_type_hints(function)["return"] for function in functions]
    results: list[type] = []
    while remaining:
        annotation = remaining.pop(0)
        remaining += get_args(annotation)
        if not inspect.isclass(annotation) or not dataclasses.is_dataclass(annotation) or annotation in results:
            continue
        results.append(annotation)
        remaining += get_type_hints(annotation).values()
    return results


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _plain(text: str) -> str:
    """Remove rich's markup, such as [dim]."""
    return Text.from_markup(text).plain
