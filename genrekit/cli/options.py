"""Options made from the configurations' schema, so that names, defaults and help texts stand in one place."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from genrekit.config import Config

Command = TypeVar("Command", bound=Callable[..., None])

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notes.")]


def takes(*schemas: type[Config]) -> Callable[[Command], Command]:
    """Give a command one option for every field of some configurations.

    The command's keyword argument `values` receives, flat, those that were given on the command line.
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

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "values"]
        options = [_option(name, field, _panel(name, schemas)) for name, field in fields.items()]
        wrapper.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *options]}
        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        return wrapper  # type: ignore[return-value]

    return decorate


def _panel(name: str, schemas: tuple[type[Config], ...]) -> str | None:
    owner = next(schema for schema in schemas if name in schema.model_fields)
    return None if len(schemas) == 1 else _PANELS.get(owner.__name__)


_PANELS = {"FrontEnd": "Waveform and mel spectrogram", "Augmentation": "Augmentation"}


def _option(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    choices = _choices(field.annotation)
    flag = f"--{name.replace('_', '-')}"
    kind: Any = _plain_type(field.annotation)
    option = typer.Option(
        *((flag,) if kind is not bool else (f"{flag}/--no-{flag[2:]}",)),
        help=f"{field.description}{_shown(field.get_default(call_default_factory=True))}",
        show_default=False,
        metavar="|".join(choices) if choices and kind is str else None,
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _plain_type(annotation: Any) -> type:
    """The type that the command line reads; what a number or a flag is not, the configuration reads from text."""
    members = [member for member in _members(annotation) if member is not type(None)]
    return members[0] if len(members) == 1 and members[0] in (int, float, bool) else str


def _choices(annotation: Any) -> list[str]:
    members = _members(annotation)
    choices = [str(choice) for member in members if get_origin(member) is Literal for choice in get_args(member)]
    return [*choices, "N"] if choices and int in members else choices


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _shown(default: Any) -> str:
    """The default as the help text ends with it."""
    if default is None or isinstance(default, bool):
        return ""
    text = ",".join(f"{value:g}" for value in default) if isinstance(default, tuple) else str(default)
    return f" [dim]\\[default: {text}][/dim]"
