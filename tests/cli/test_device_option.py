"""--device of evaluate and predict: the device is used, and a missing one is an error."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_cli import CommandLine

from genrekit.workflows import evaluate, predict

COMMANDS = [
    pytest.param(evaluate, "models", ("evaluate", "best_models/"), id="evaluate"),
    pytest.param(predict, "files", ("predict", "data/jazz/jazz-0.wav"), id="predict"),
]


@pytest.mark.parametrize(("workflow", "key", "command"), COMMANDS)
def test_the_device_option_selects_the_device(
    here: Path,
    genrekit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    workflow: ModuleType,
    key: str,
    command: tuple[str, ...],
) -> None:
    devices = []

    def choose(name: str) -> torch.device:
        devices.append(name)
        return torch.device("cpu")

    monkeypatch.setattr(workflow, "choose_device", choose)
    outcome = genrekit(*command, "--device", "cpu", "--json")
    assert outcome.code == 0
    assert outcome.json[key] == genrekit(*command, "--json").json[key]
    assert devices == ["cpu", "auto"]


@pytest.mark.parametrize("command", [case.values[2] for case in COMMANDS], ids=["evaluate", "predict"])
def test_a_missing_device_is_one_line(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = genrekit(*command, "--device", "cuda")
    assert (outcome.code, outcome.err) == (1, "genrekit: no cuda device here: choose --device cpu or auto\n")
