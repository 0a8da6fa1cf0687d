"""genrekit search: plan, run and report."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from tiny_cli import CommandLine

SEARCH = """format_version = 1
title = "Tiny"
question = "Which rate?"
trials = 2
finalists = 1
seeds = 1
[base]
arch = "mlp"
hidden = [4, 4]
epochs = 1
patience = 0
[space]
lr = { low = 1e-4, high = 1e-2, log = true }
"""


@pytest.fixture
def search(here: Path) -> Path:
    path = here / "tiny.toml"
    path.write_text(SEARCH, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_search_is_planned_run_and_reported(search: Path, genrekit: CommandLine) -> None:
    plan = genrekit("search", "tiny.toml", "--dry-run").out
    assert "0.0001 to 0.01, logarithmic" in plan
    assert "2 trials to do, 0 are already finished" in plan
    total = (
        "3 training runs in total: 2 for trials, some of which may be stopped early, and 1 for finalists, 1 seed each"
    )
    assert total in plan
    assert not Path("reports").exists()
    outcome = genrekit("search", "tiny.toml")
    assert outcome.code == 0
    assert f"note: {total}" in outcome.err
    assert "Tiny: Which rate?" in outcome.out
    assert "2 trials: 2 finished" in outcome.out
    assert "report reports/tiny/report.md" in outcome.out
    assert "2/2  trial1 finished, accuracy " in outcome.err
    assert Path("runs/tiny-trial1/result.json").exists()
    again = genrekit("search", "tiny.toml", "--json")
    assert (again.code, again.err) == (0, "")
    assert [trial["state"] for trial in again.json["search"]["trials"]] == ["finished", "finished"]
    found = genrekit("search", "tiny.toml", "--dry-run", "--json").json
    assert (found["done"], found["trials"], found["seeds"], found["trainings"]) == (2, 2, 1, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["absent.toml"], 1, "cannot read absent.toml: No such file", id="file"),
        pytest.param(["tiny.toml", "cnn"], 2, "Got unexpected extra argument(s) (cnn)", id="two"),
        pytest.param([], 2, "Missing argument 'FILE.toml'", id="none"),
        pytest.param(["tiny.toml", "--folds", "3"], 2, "No such option: --folds", id="folds"),
        pytest.param(["tiny.toml", "--seeds", "0"], 2, "seeds must be at least 1, got 0", id="seeds"),
    ],
)
def test_wrong_usage_is_one_line(
    search: Path, genrekit: CommandLine, arguments: list[str], code: int, message: str
) -> None:
    outcome = genrekit("search", *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert message in outcome.err
    assert not list(Path("runs").glob("tiny-*"))


def test_an_invalid_search_file_is_refused_with_the_line(search: Path, genrekit: CommandLine) -> None:
    search.write_text(SEARCH.replace("lr =", "lrr ="), encoding="utf-8")
    outcome = genrekit("search", "tiny.toml")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "tiny.toml, line 13: unknown hyperparameter of space 'lrr': did you mean lr?" in outcome.err


def test_without_optuna_the_error_names_the_command_that_installs_it(
    search: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "optuna":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    outcome = genrekit("search", "tiny.toml")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "a search needs optuna, which is not installed: pip install 'genrekit[search]'" in outcome.err
    assert not Path("reports").exists()
