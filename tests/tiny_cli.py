"""Calling the command line in the process of the test."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from genrekit.cli.app import run

SMALL = ("--sample-rate", "8000", "--duration-s", "0.5", "--n-fft", "512", "--hop-length", "256", "--n-mels", "16")
"""A front end for `prepare` that costs next to nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, results and messages."""

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
