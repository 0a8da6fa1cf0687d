"""Placeholders of values on help pages: FILE and NUMBER instead of the types of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLACEHOLDERS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", Path: "FILE"}
"""The placeholder of each type; of other types it is TEXT."""


def show_placeholders(command: Any, context: Any) -> None:
    """Show placeholders on the help pages of a command and of the commands below it. Flags and arguments have none."""
    for param in command.get_params(context):
        word = _placeholder(param)
        param.display_type_rich = lambda ctx, word=word: word  # noqa: ARG005 - typer passes it by name
    for subcommand in getattr(command, "commands", {}).values():
        show_placeholders(subcommand, context)


def _placeholder(param: Any) -> str | None:
    """The placeholder of an option's value. None for a flag, and for an argument, whose name is the placeholder."""
    if param.param_type_name == "argument" or param.is_flag:
        return None
    return param.metavar or PLACEHOLDERS.get(param.type_descriptor.annotation, "TEXT")
