"""The command line: its commands, and how errors become text and exit codes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from genrekit._version import __version__
from genrekit.cli.completion import adapt_to_shell, add_completion_options
from genrekit.cli.display import emit_error, emit_json, emit_text
from genrekit.cli.groups import CommandGroup, join_lines_of_paragraphs
from genrekit.cli.libraries import configure_libraries, keep_current_folder_out
from genrekit.cli.placeholders import show_placeholders
from genrekit.cli.signals import Terminated, TimeLimitNear, listen
from genrekit.cli.streams import OutputError, flush_results, guarded, repair_size
from genrekit.cli.synonyms import forget_hidden_options, unexpected_argument, unknown_option
from genrekit.cli.threads import limit_spinning
from genrekit.cli.torchrun import rank_and_size, require_command_for_ranks
from genrekit.errors import NO_MEMORY, GenrekitError, UsageError, is_out_of_memory, os_error_message
from genrekit.io.memory import all_arrays_kept, keep_small_arrays

_SUMMARIES = {
    "prepare": "Build a cache of fragments from a folder of genre folders, or from a manifest.",
    "train": "Train one model from the cache.",
    "compare": "Rank finished runs by validation accuracy, then loss.",
    "study": "List studies, run one, or write its report again.",
    "search": "Search hyperparameters, and train the best configurations with several seeds.",
    "evaluate": "Score models on the test set, or on a labelled folder.",
    "predict": "Predict the genre of audio files.",
    "export": "Export a model to ONNX, from waveforms to probabilities.",
    "info": "Describe a cache, a run, a bundle, a folder of runs or bundles, or a study.",
    "manifest": "Write the manifest of FMA, GTZAN, or a folder with train and test folders.",
    "demo": "Run all steps on a small synthetic collection, in under two minutes.",
}

COMMANDS = {name: summary for name, summary in _SUMMARIES.items() if find_spec(f"genrekit.cli.{name}") is not None}
"""The commands and their summaries. Each command is a module with a Typer app, which is imported when the command runs.

A command without a module is not listed, so genrekit also works without studies.
"""


_COMMANDS_WITH_NETWORKS = {"train", "study", "search", "evaluate", "predict", "export", "demo"}
"""The commands that keep the memory of large arrays, because the activations of networks are such arrays."""


class LazyGroup(CommandGroup):
    """A group that imports the module of a command only if that command runs, so that --help is fast."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class passes it
        """Return the names of the commands, in the order in which they are used."""
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
        show_placeholders(command, ctx)
        join_lines_of_paragraphs(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        self._listing = True
        show_placeholders(self, ctx)
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """List the commands and options that a shell offers."""
        self._listing = True
        return super().shell_complete(ctx, incomplete)


def _open_paths_later(command: Any) -> None:
    """Stop typer from checking that paths can be read, because it reports an unreadable path as wrong usage.

    Commands give a better message, and continue with other files.
    """
    for param in command.params:
        param.type_descriptor.parameter_info.readable = False
    for subcommand in getattr(command, "commands", {}).values():
        _open_paths_later(subcommand)


app = typer.Typer(
    cls=LazyGroup, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(value: bool) -> None:
    if value:
        emit_text(f"genrekit {__version__}\n")
        raise typer.Exit


@app.callback()
def genrekit(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback reads it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train and evaluate music genre classifiers.

    Prepare the audio once, train from the cache, compare runs on the validation set, and evaluate on the test set last.
    """
    try:
        Path.cwd()
    except OSError as error:  # libraries of torch would abort the process
        raise GenrekitError("the current directory no longer exists: change to another one") from error
    require_command_for_ranks(ctx.invoked_subcommand)
    if ctx.invoked_subcommand == "prepare":
        keep_small_arrays()
    elif ctx.invoked_subcommand in _COMMANDS_WITH_NETWORKS:
        ctx.with_resource(all_arrays_kept())


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    0: done; 1: a problem that the user can fix, or results that cannot be printed; 2: wrong usage; 130: interrupted;
    138: stopped by SIGUSR1; 143: terminated. An error of the user is one line on stderr, and with --json also an object
    with the key "error" on stdout. A bug keeps its traceback.
    """
    with guarded():
        repair_size(os.environ)
        try:
            code = _run(arguments)
            flush_results()
        except OutputError as error:
            return _failed(str(error), 1, ())
        return code


def _run(arguments: Sequence[str]) -> int:
    if list(arguments[:1]) == ["help"]:
        arguments = [*arguments[1:], "--help"]
    limit_spinning()
    listen()
    try:
        keep_current_folder_out(os.environ)
        configure_libraries(os.environ)
        adapt_to_shell(os.environ)
        root = typer.main.get_command(app)
        add_completion_options(root, hidden=False)
        outcome = root(list(arguments), prog_name="genrekit", standalone_mode=False, obj=list(arguments))
    except OutputError:
        raise
    except SystemExit as end:  # typer exits after it has printed completions
        return end.code if isinstance(end.code, int) else 0
    except tuple(_CODES) as error:
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        return _failed(_message(error), code, arguments)
    except Exception as error:
        problem = _problem_of_system(error)
        if problem is None:
            raise
        return _failed(problem, 1, arguments)
    if outcome == _CODES[KeyboardInterrupt]:  # typer turns an interrupt into this code
        return _failed("interrupted", outcome, arguments)
    return outcome if isinstance(outcome, int) else 0


_CODES: dict[type[BaseException], int] = {
    UsageError: 2,
    GenrekitError: 1,
    typer.TyperException: 2,
    KeyboardInterrupt: 130,
    typer.Abort: 130,
    TimeLimitNear: 138,  # 128 and the number of SIGUSR1 on Linux, as shells count
    Terminated: 143,
}
"""The exit code of each kind of error, subclasses first."""


def _message(error: BaseException) -> str:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted"
    if isinstance(error, Terminated):
        return "terminated"
    if isinstance(error, TimeLimitNear):
        return "stopped by SIGUSR1: run the same command again to resume"
    if isinstance(error, typer.TyperException):
        forget_hidden_options(error)
    formatted = getattr(error, "format_message", None)
    message = str(formatted() if formatted else error)
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    option = getattr(error, "option_name", None)
    known = unknown_option(option, context.command) if isinstance(error, typer.TyperException) and option else None
    return known or unexpected_argument(message, context.command)


def _problem_of_system(error: Exception) -> str | None:
    """Return the message for an error with memory, a disk, permissions or a path; None for other errors."""
    if is_out_of_memory(error):
        return NO_MEMORY
    return os_error_message(error) if isinstance(error, OSError) else None


def _failed(message: str, code: int, arguments: Sequence[str]) -> int:
    line = " ".join(message.split())
    if line:  # empty if a group was called without a command, which prints its help page
        emit_error(line)
    if "--json" in arguments and rank_and_size()[0] == 0:
        with suppress(OutputError):  # the error is on stderr, too
            emit_json({"error": line, "code": code})
            flush_results()
    return code
