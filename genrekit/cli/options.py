"""Options that several commands share, and options generated from the fields of configurations."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from genrekit.cli.completion import choice, completes
from genrekit.config import Config, option_of

Command = TypeVar("Command", bound=Callable[..., None])

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]
StrictFlag = Annotated[bool, typer.Option("--strict", help="Fail if a manifest's split separates tracks of an artist.")]
BestModelsOption = Annotated[Path, typer.Option(help="Folder that keeps the five best bundles of each split.")]
DeviceOption = Annotated[str, typer.Option(**choice("auto", "cpu", "cuda", "mps"), help="Device to compute on.")]
WandbOption = Annotated[
    str | None,
    typer.Option(
        **choice("auto", "online", "offline", "off"),
        help="Mode of Weights & Biases. Default: WANDB_MODE, or auto: online if a key is found, otherwise offline.",
        show_default=False,
        rich_help_panel="Tracking",
    ),
]
StudyWandbOption = Annotated[
    str | None,
    typer.Option(
        **choice("auto", "online", "offline", "off"),
        help="Mode of Weights & Biases for each run. Default: WANDB_MODE, or off.",
        show_default=False,
        rich_help_panel="Tracking",
    ),
]
WandbProjectOption = Annotated[
    str | None,
    typer.Option(
        help="Project in Weights & Biases. [dim]\\[default: genrekit][/dim]",
        show_default=False,
        rich_help_panel="Tracking",
    ),
]


def takes(*schemas: type[Config]) -> Callable[[Command], Command]:
    """Give a command one option for every field of some configurations.

    The command's argument `values` receives the options that were given, by field name.
    """

    def decorate(command: Command) -> Command:
        fields = {
            name: field
            for schema in schemas
            for name, field in schema.model_fields.items()
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Config))
        }

        def wrapper(**arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in fields}
            command(**arguments, values={name: value for name, value in given.items() if value is not None})

        explicit = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "values"]
        options = [_option(name, field) for name, field in fields.items()]
        wrapper.__signature__ = inspect.Signature([*explicit, *options])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [*explicit, *options]}
        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        return wrapper  # type: ignore[return-value]

    return decorate


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    flag, metadata = f"--{name.replace('_', '-')}", option_of(field)
    # The configuration parses the text, so that its error messages are used. Only a flag has no text.
    kind: Any = bool if bool in _members(field.annotation) else str
    choices = listed_choices(field)
    option = typer.Option(
        *((flag,) if kind is not bool else (f"{flag}/--no-{flag[2:]}",)),
        help=f"{field.description}{_default_text(field.get_default(call_default_factory=True))}",
        show_default=False,
        metavar=("|".join(choices) or _metavar(field.annotation)) if kind is str else None,
        autocompletion=(completes(choices) if choices else _completion(field.annotation)) if kind is str else None,
        rich_help_panel=None if metadata is None else metadata.panel,
        hidden=metadata is not None and metadata.hidden,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def listed_choices(field: FieldInfo) -> list[str]:
    """Return the names that help and completion list for an option; empty if its type decides."""
    metadata = option_of(field)
    if metadata is None or not (metadata.choices or metadata.hidden_choices):
        return []
    names = _choices(field.annotation) if metadata.choices is None else metadata.choices()
    return [name for name in names if name not in metadata.hidden_choices]


def _metavar(annotation: Any) -> str | None:
    """The placeholder of an option's value on a help page."""
    members = _members(annotation)
    shapes = [_shape(annotation), *(name for kind, name in _NUMBERS.items() if kind in members)]
    return "|".join(_choices(annotation)) or next((shape for shape in shapes if shape), None)


_NUMBERS = {int: "<int>", float: "<float>"}


def _completion(annotation: Any) -> Callable[[str], list[str]] | None:
    """The shell completion of an option's value; None if the value is not a name."""
    if names := _names(annotation):
        return completes(names)
    items = [item for member in _members(annotation) if get_origin(member) is tuple for item in get_args(member)]
    names = [name for item in items for name in _names(item)]
    return completes(names, several=True) if names else None


def _choices(annotation: Any) -> list[str]:
    names = _names(annotation)
    return [*names, "N"] if names and int in _members(annotation) else names


def _names(annotation: Any) -> list[str]:
    return [str(name) for member in _members(annotation) if get_origin(member) is Literal for name in get_args(member)]


def _shape(annotation: Any) -> str | None:
    """The placeholder of a tuple: a range, or a list of any length; None for other types."""
    items = [get_args(member) for member in _members(annotation) if get_origin(member) is tuple]
    if not items:
        return None
    if Ellipsis not in items[0]:
        return "LOW,HIGH"
    return "NAME,NAME,..." if get_origin(items[0][0]) is Literal else "N,N,..."


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _default_text(default: Any) -> str:
    """The default, for the end of a help text."""
    if default is None or isinstance(default, bool):
        return ""
    text = ",".join(map(_plain, default)) if isinstance(default, tuple) else str(default)
    return f" [dim]\\[default: {text}][/dim]"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
