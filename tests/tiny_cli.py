"""Call the command line in the process of the test."""

import json
import signal
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
import typer

from genrekit.cli.app import COMMANDS, run

SMALL = ("--sample-rate", "8000", "--duration-s", "0.5", "--n-fft", "512", "--hop-length", "256", "--n-mels", "16")
"""A front end for `prepare` that costs next to nothing."""

RATES = """
title = "Rates"
question = "Which one?"
seeds = 1
base = { arch = "mlp", hidden = [4, 4], epochs = 1, split = "track" }
[axes.rate]
low = { lr = 0.001 }
high = { lr = 0.01 }
"""
"""A study file that trains two small networks."""

STOPS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGUSR1, 138, "stopped by SIGUSR1: run the same command again to resume"),
]
"""Signals that stop a command, its exit code and its message."""


def find_command(name: str, *subcommand: str) -> Any:
    """Return the Typer command of `genrekit NAME [SUBCOMMAND]`."""
    command: Any = typer.main.get_command(import_module(f"genrekit.cli.{name}").app)
    for word in subcommand:
        command = command.commands[word]
    return command


def _lines(name: str) -> list[tuple[str, ...]]:
    subcommands = getattr(find_command(name), "commands", {})
    return [(name, subcommand) for subcommand in subcommands] or [(name,)]


COMMAND_LINES = [line for name in COMMANDS for line in _lines(name)]
"""The words that run each command: ("train",), ("study", "run") and so on."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


class CommandLine:
    """Runs `genrekit ...` in the current folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)
