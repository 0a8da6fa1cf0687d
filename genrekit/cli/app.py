"""The command line as a whole: which commands there are, and how their errors become text and exit codes."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from genrekit._version import __version__
from genrekit.cli.completion import adapt_to_shell, add_completion_options
from genrekit.cli.groups import CommandGroup, join_lines_of_paragraphs
from genrekit.cli.libraries import configure_libraries
from genrekit.cli.signals import Terminated, listen
from genrekit.cli.threads import limit_spinning
from genrekit.errors import GenrekitError, UsageError, system_problem
from genrekit.io.memory import all_arrays_kept, keep_small_arrays

_SUMMARIES = {
    "prepare": "Turn a folder of genre folders, or a manifest, into a cache of fragments.",
    "train": "Train one model from the cache.",
    "compare": "Rank finished runs by validation accuracy, then loss.",
    "study": "List studies, run one, or write its report again.",
    "search": "Search hyperparameters, and train the best configurations with several seeds.",
    "evaluate": "Score a bundle, or a folder of bundles, on the test part.",
    "predict": "Name the genre of audio files.",
    "export": "Write a bundle as ONNX, from the waveform to probabilities.",
    "info": "Describe a cache, a run or a bundle.",
    "demo": "Show everything on a small synthetic collection, in under two minutes.",
}

COMMANDS = {name: summary for name, summary in _SUMMARIES.items() if find_spec(f"genrekit.cli.{name}") is not None}
"""The commands and their summaries. Each command is a module with a Typer app, which is imported when it is used.

A command without a module is not listed, so genrekit also works without studies.
"""


_COMMANDS_WITH_NETWORKS = {"train", "study", "search", "evaluate", "predict", "export", "demo"}
"""The commands that keep the memory of large arrays, because the activations of networks are such arrays."""


class LazyGroup(CommandGroup):
    """A group that imports the module of a command only if that command runs, so that --help is fast."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class passes it
        """Names of the commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load a command. While commands are listed, only its summary is needed."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        if self._listing:
            return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name])
        command = typer.main.get_command(import_module(f"genrekit.cli.{cmd_name}").app)
        command.name = cmd_name
        add_completion_options(command, hidden=True)
        _open_paths_later(command)
        join_lines_of_paragraphs(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        self._listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """List the commands and options that a shell offers."""
        self._listing = True
        return super().shell_complete(ctx, incomplete)


def _open_paths_later(command: Any) -> None:
    """Let commands find out which paths may be read: they say more, and go on with the others.

    By itself, typer calls a path that may not be read wrong usage.
    """
    for param in command.params:
        param.type_descriptor.parameter_info.readable = False
    for below in getattr(command, "commands", {}).values():
        _open_paths_later(below)


app = typer.Typer(
    cls=LazyGroup, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"genrekit {__version__}")
        raise typer.Exit


@app.callback()
def genrekit(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback reads it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Music genre classification that is fast, pleasant and honest.

    Prepare once, train from the cache, compare on validation, evaluate on the test part last.
    """
    try:
        Path.cwd()
    except OSError as error:  # torch's libraries would end the process
        raise GenrekitError("the current directory does not exist any more: change to another one") from error
    if ctx.invoked_subcommand == "prepare":
        keep_small_arrays()
    elif ctx.invoked_subcommand in _COMMANDS_WITH_NETWORKS:
        ctx.with_resource(all_arrays_kept())


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    0 done; 1 a problem the user can fix; 2 wrong usage; 130 interrupted; 143 terminated. A mistake of the user's is
    one line on stderr (with --json also an object with the key "error" on stdout); a bug keeps its traceback.
    """
    limit_spinning()
    listen()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that stdout's encoding lacks must not end a command
    try:
        configure_libraries(os.environ)
        adapt_to_shell(os.environ)
        root = typer.main.get_command(app)
        add_completion_options(root, hidden=False)
        outcome = root(list(arguments), prog_name="genrekit", standalone_mode=False, obj=list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone: nothing more is written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        problem = system_problem(error)
        if problem is None:
            raise
        return _failed(problem, 1, arguments)
    except SystemExit as end:  # typer ends the process when it has answered the shell
        return end.code if isinstance(end.code, int) else 0
    except tuple(_CODES) as error:
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        return _failed(_message(error), code, arguments)
    if outcome == _CODES[KeyboardInterrupt]:  # typer has turned the interrupt into its code
        return _failed("interrupted", outcome, arguments)
    return outcome if isinstance(outcome, int) else 0


_CODES: dict[type[BaseException], int] = {
    UsageError: 2,
    GenrekitError: 1,
    typer.TyperException: 2,
    KeyboardInterrupt: 130,
    typer.Abort: 130,
    Terminated: 143,
}
"""The exit code of each kind of error, the special ones first."""


def _message(error: BaseException) -> str:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted"
    if isinstance(error, Terminated):
        return "terminated"
    formatted = getattr(error, "format_message", None)
    return str(formatted() if formatted else error)


def _failed(message: str, code: int, arguments: Sequence[str]) -> int:
    line = " ".join(message.split())
    if line:  # a group without a command has printed its help page, and says nothing more
        sys.stderr.write(f"genrekit: {line}\n")
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": line, "code": code}) + "\n")
    return code
