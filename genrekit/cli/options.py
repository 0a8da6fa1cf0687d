"""Options that several commands share, and options generated from the fields of configurations."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from itertools import starmap
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.markup import escape

from genrekit.cli.completion import choice, choices_metavar, choices_text, completes
from genrekit.cli.placeholders import PLACEHOLDERS
from genrekit.config import ArchitectureOptions, Config, EngineConfig, architecture, architecture_names, option_of
from genrekit.config.architecture_options import FIELD
from genrekit.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., None])
Engine = TypeVar("Engine", bound=EngineConfig)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]
StrictFlag = Annotated[bool, typer.Option("--strict", help="Fail if a manifest's split separates tracks of an artist.")]
BestModelsOption = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder that keeps the five best bundles of each split.")
]
NetworkOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Network that computes the features of a model, if its bundle does not carry it. Reading TorchScript can "
        "run code: name only files that you trust.",
    ),
]
DeviceOption = Annotated[str, typer.Option(**choice("auto", "cpu", "cuda", "mps", help="Device to compute on."))]
WANDB_MODES = ("auto", "online", "offline", "off")
WandbOption = Annotated[
    str | None,
    typer.Option(
        **choice(
            *WANDB_MODES,
            help="Mode of Weights & Biases. Default: WANDB_MODE, or auto: online if a key is found, otherwise offline.",
        ),
        show_default=False,
        rich_help_panel="Tracking",
    ),
]
StudyWandbOption = Annotated[
    str | None,
    typer.Option(
        **choice(*WANDB_MODES, help="Mode of Weights & Biases for each run. Default: WANDB_MODE, or off."),
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
            if not _is_config(field) or field.annotation is ArchitectureOptions
        }

        def wrapper(**arguments: Any) -> None:
            given = {
                name: _in_the_case_of_a_choice(value, fields[name])
                for name in fields
                if (value := arguments.pop(name)) is not None
            }
            if FIELD in given:
                given |= _read_options(given.pop(FIELD))
            command(**arguments, values=given)

        explicit = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "values"]
        options = [_option(name, field) for name, field in fields.items()]
        wrapper.__signature__ = inspect.Signature([*explicit, *options])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [*explicit, *options]}
        wrapper.__doc__, wrapper.__name__ = command.__doc__, command.__name__
        return wrapper  # type: ignore[return-value]

    return decorate


def engine_of(schema: type[Engine], values: dict[str, Any]) -> Engine:
    """Remove the options of an engine's configuration from `values`, and return them."""
    return schema.of({name: values.pop(name) for name in schema.model_fields if name in values})


def _in_the_case_of_a_choice(value: Any, field: FieldInfo) -> Any:
    """Return a name as the choices of an option spell it: CEL3 is cel3. Other values are returned unchanged."""
    metadata = option_of(field)
    if not isinstance(value, str) or metadata is None:
        return value
    names = _choices(field.annotation) if metadata.choices is None else metadata.choices()
    return value if value in names else next((name for name in names if name.lower() == value.lower()), value)


def _is_config(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Config)


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    if name == FIELD:
        return _architecture_option(field)
    flag, metadata = f"--{name.replace('_', '-')}", option_of(field)
    # The configuration parses the text, so that its error messages are used. Only a flag has no text.
    kind: Any = bool if bool in _members(field.annotation) else str
    choices = listed_choices(field) or _choices(field.annotation)
    option = typer.Option(
        *((flag,) if kind is not bool else (f"{flag}/--no-{flag[2:]}",)),
        help=f"{field.description}{choices_text(choices)}{_default_text(field.get_default(call_default_factory=True))}",
        show_default=False,
        metavar=(choices_metavar(choices) if choices else _metavar(field.annotation)) if kind is str else None,
        autocompletion=_completion(field) if kind is str else None,
        rich_help_panel=None if metadata is None else metadata.panel,
        hidden=metadata is not None and metadata.hidden,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _architecture_option(field: FieldInfo) -> inspect.Parameter:
    """The option that sets the options of an architecture. Its help text lists them."""
    declared = [(name, architecture(name).options.model_fields) for name in architecture_names()]
    listed = "".join(
        f" {name}: {'; '.join(starmap(_described, fields.items()))}." for name, fields in declared if fields
    )
    names = dict.fromkeys(f"{option}=" for _, fields in declared for option in fields)
    option = typer.Option(
        "--arch-option",
        help=f"{field.description}{escape(listed)}",
        show_default=False,
        metavar="NAME=VALUE",
        autocompletion=completes([*names]),
        rich_help_panel="Model",
    )
    return inspect.Parameter(
        FIELD, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[list[str] | None, option]
    )


def _described(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    parts = [(field.description or "").rstrip("."), "" if default is None else f"default {_plain_default(default)}"]
    return f"{name} ({', '.join(part for part in parts if part)})"


def _read_options(given: Sequence[str]) -> dict[str, str]:
    """Read the values of --arch-option as keys of a configuration.

    >>> _read_options(["depth=4"])
    {'arch_options.depth': '4'}
    """
    for text in given:
        if "=" not in text:
            raise UsageError(f"--arch-option must be NAME=VALUE, such as depth=4, got {text!r}")
    pairs = (text.split("=", 1) for text in given)
    return {f"{FIELD}.{name.strip().replace('-', '_')}": value.strip() for name, value in pairs}


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
    return _shape(annotation) or next((word for kind, word in PLACEHOLDERS.items() if kind in members), None)


def _completion(field: FieldInfo) -> Callable[[str], list[str]] | None:
    """The shell completion of an option's value; None if the value is not a name."""
    annotation = field.annotation
    if names := listed_choices(field) or _names(annotation):
        return completes(names)
    items = [item for member in _members(annotation) if get_origin(member) is tuple for item in get_args(member)]
    names = [name for item in items for name in _names(item)]
    return completes(names, several=True) if names else None


def _choices(annotation: Any) -> list[str]:
    names = _names(annotation)
    return [*names, "N"] if names and {int, float} & {*_members(annotation)} else names


def _names(annotation: Any) -> list[str]:
    return [str(name) for member in _members(annotation) if get_origin(member) is Literal for name in get_args(member)]


def _shape(annotation: Any) -> str | None:
    """The placeholder of names with numbers, or of a tuple: a range, or a list of any length; None for other types."""
    if any(get_origin(member) is dict for member in _members(annotation)):
        return "NAME=NUMBER,..."
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
    return f" [dim]\\[default: {_plain_default(default)}][/dim]"


def _plain_default(default: Any) -> str:
    if not isinstance(default, tuple):
        return str(default)
    # A help page cannot break a line in a list of names without spaces.
    return (", " if isinstance(default[0], str) else ",").join(map(_plain, default))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
