"""Shell completion: of values, and the options that install completion or print its script."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import shellingham  # type: ignore[import-untyped]
import typer

from genrekit.errors import GenrekitError

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

VARIABLE = "_GENREKIT_COMPLETE"
"""Environment variable that the shell's script sets to request completions."""


def completes(names: Sequence[str], *, several: bool = False) -> Callable[[str], list[str]]:
    """Return a function that lists the completions of a value; typer selects the ones that match.

    With `several`, the value is a list separated by commas, and its last item is completed.

    >>> completes(["adam", "sgd"])("a")
    ['adam', 'sgd']
    >>> completes(["noise", "pitch_shift"], several=True)("noise,p")
    ['noise,pitch_shift']
    """

    def complete(incomplete: str) -> list[str]:
        before = incomplete[: incomplete.rfind(",") + 1] if several else ""
        given = before.split(",")
        return [before + name for name in names if name not in given]

    return complete


def choice(*names: str, help: str) -> dict[str, Any]:  # noqa: A002 - the keyword of typer
    """Arguments of `typer.Option` for an option whose value is one of some names. The help text lists them.

    >>> choice("auto", "cpu", "cuda", help="Device to compute on.")["help"]
    'Device to compute on. Choices: auto, cpu, cuda.'
    """
    return {
        "help": help + choices_text(names),
        "metavar": choices_metavar(names),
        "autocompletion": completes(names),
    }


_SHORT_METAVAR = 8
"""Most characters of choices that are a placeholder. A help page breaks longer ones in the middle of a word."""


def choices_metavar(names: Sequence[str]) -> str:
    """Return the placeholder of a value that is one of some names.

    >>> choices_metavar(["auto", "N"]), choices_metavar(["none", "plateau", "cosine", "onecycle"])
    ('auto|N', 'NAME')
    """
    joined = "|".join(names)
    return joined if len(joined) <= _SHORT_METAVAR else "NAME"


def choices_text(names: Sequence[str]) -> str:
    """Return the end of a help text that lists names; empty if the placeholder lists them.

    >>> choices_text(["adam", "sgd"]), choices_text(["adam", "adamw", "sgd"])
    ('', ' Choices: adam, adamw, sgd.')
    """
    return "" if choices_metavar(names) != "NAME" else f" Choices: {', '.join(names)}."


def complete_recipe(_: str) -> list[str]:
    """List the recipes. They are read when they are needed, because the help of `train` must be fast."""
    from genrekit.workflows.recipes import recipe_names

    return recipe_names()


def adapt_to_shell(environment: MutableMapping[str, str]) -> None:
    """Adjust the variables of a request for completions to what typer expects.

    bash passes `--arch=ce` as three words, typer expects two. Help texts must not be wrapped, because each is one line.

    >>> variables = {VARIABLE: "complete_bash", "COMP_WORDS": "genrekit train --arch = ce".replace(" ", chr(10))}
    >>> variables["COMP_CWORD"] = "4"
    >>> adapt_to_shell(variables)
    >>> variables["COMP_WORDS"].split(), variables["COMP_CWORD"]
    (['genrekit', 'train', '--arch', 'ce'], '3')
    """
    if VARIABLE not in environment:
        return
    environment["COLUMNS"] = "10000"
    words = environment.get("COMP_WORDS", "").split("\n")
    current = environment.get("COMP_CWORD", "")
    if "=" in words and current.isdigit():
        environment["COMP_CWORD"] = str(int(current) - words[: int(current)].count("="))
        environment["COMP_WORDS"] = "\n".join(word for word in words if word != "=")


def add_completion_options(command: Any, *, hidden: bool) -> None:
    """Add --install-completion and --show-completion to a command and to the commands below it."""
    for option in typer.main.get_install_completion_arguments():
        option.hidden = hidden  # type: ignore[attr-defined]
        option.callback = _checked(option.callback)
        command.params.append(option)
    for subcommand in getattr(command, "commands", {}).values():
        add_completion_options(subcommand, hidden=True)


def _checked(callback: Any) -> Any:
    """Check the requirements of a callback of typer first, for an error that says what to do."""

    @wraps(callback)
    def checked(ctx: Any, param: Any, value: Any) -> Any:
        if value and not ctx.resilient_parsing:
            _require_supported_shell()
            if param.name == "install_completion":
                _require_home()
        return callback(ctx, param, value)

    return checked


def _require_supported_shell() -> None:
    """Errors: GenrekitError if completion does not support the shell that runs this command."""
    remedy = "run this in bash, zsh, fish or PowerShell"
    try:
        shell, _ = shellingham.detect_shell()
    except shellingham.ShellDetectionFailure as error:
        raise GenrekitError(f"cannot detect your shell: {remedy}") from error
    if shell not in SHELLS:
        raise GenrekitError(f"completion does not support {shell}: {remedy}")


def _require_home() -> None:
    """Errors: GenrekitError if there is no home directory to install completion in."""
    try:
        Path.home()
    except RuntimeError as error:
        raise GenrekitError("cannot install completion: you have no home directory; set HOME") from error
