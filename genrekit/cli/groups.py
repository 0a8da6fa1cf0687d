"""Groups of commands that suggest the closest names if a command is unknown."""

from __future__ import annotations

import shlex
from typing import Any

from typer.core import TyperCommand, TyperGroup

from genrekit.errors import UsageError, unknown_name


class CommandGroup(TyperGroup):
    """A group that names the closest commands if a command is unknown."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command.

        Errors: UsageError for an unknown name, except while the shell completes a line.
        """
        command = super().get_command(ctx, cmd_name)
        if command is None:
            if ctx.resilient_parsing:
                return TyperCommand(name=cmd_name)
            if ctx.info_name == "study" and cmd_name.endswith(".toml"):
                raise UsageError(f"{cmd_name} is a file: genrekit study run {shlex.quote(cmd_name)}")
            raise unknown_name("command", cmd_name, self.list_commands(ctx))
        join_lines_of_paragraphs(command)
        return command


def join_lines_of_paragraphs(command: Any) -> None:
    """Make each paragraph of a command's docstring one line, so that the help page wraps it at the terminal's width."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
