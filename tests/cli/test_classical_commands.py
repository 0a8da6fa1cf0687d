"""Classical models with all commands."""

import csv
import io
import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from registered import CLASSICAL
from tiny_cli import SMALL, CommandLine

from genrekit.cli.progress import TerminalReporter
from genrekit.models.bundle import load_bundle
from genrekit.training.classical import fit_classical
from genrekit.training.validation_log import load_answers
from genrekit.workflows.reporter import TrainPlan

PLAN = TrainPlan(
    run="runs/one",
    arch="lda",
    input="mel",
    parameters=30,
    parameter_bytes=120,
    size=None,
    epochs=1,
    patience=10,
    device="cpu",
    precision="fp32",
    split="track, seed 0",
    training_tracks=24,
    training_fragments=48,
    validation_tracks=3,
    validation_fragments=6,
    tracking="off",
)


def result_of(run: Path) -> dict[str, Any]:
    result = json.loads((run / "result.json").read_text())
    assert isinstance(result, dict)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("arch", CLASSICAL)
def test_a_classical_model_is_trained_compared_evaluated_and_used(here: Path, genrekit: CommandLine, arch: str) -> None:
    trained = genrekit("train", "--arch", arch, "--out", "runs/classical")
    assert trained.code == 0, trained.err
    assert trained.out.startswith("validation: loss ")
    assert "of tracks correct (track, seed 0 split)" in trained.out
    assert "bundle runs/classical/best, copied to best_models/" in " ".join(trained.out.split())
    with open("runs/classical/history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["epoch"], float(row["train_accuracy"])) == ("1", 1.0)
    answers, result = load_answers(Path("runs/classical/answers.safetensors")), result_of(Path("runs/classical"))
    assert (answers.right.shape, answers.steps_per_epoch, answers.dead_channels) == ((1, 3), 1, None)
    assert (result["monitor"], result["dead_channels"], result["last"]) == (None, None, result["validation"])
    assert result["training"]["best"] == result["training"]["last"] == asdict(answers.training["last"])
    assert result["training"]["last"]["track_accuracy"] == 1.0
    plots = sorted(path.name for path in Path("runs/classical/plots").iterdir())
    assert plots == ["confusion.png", "learning_curves.png"]

    compared = genrekit("compare", "--json").json
    assert "classical" in str(compared)
    evaluated = genrekit("evaluate", "runs/classical/best", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["models"][0]["track_accuracy"]["value"] == 1.0
    predicted = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/classical/best", "--json")
    assert predicted.code == 0, predicted.err
    assert predicted.json["files"][0]["genre"] == "jazz"
    assert arch in genrekit("info", "runs/classical/best").out
    assert load_bundle("runs/classical/best").metadata.parameters > 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", CLASSICAL)
def test_the_same_command_gives_the_same_bytes(here: Path, genrekit: CommandLine, arch: str) -> None:
    for name in ("one", "two"):
        assert genrekit("train", "--arch", arch, "--seed", "7", "--out", f"runs/{name}").code == 0
    first, second = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.slow
def test_a_classical_model_prints_no_epochs_and_no_rate(here: Path, genrekit: CommandLine) -> None:
    first, second = (genrekit("train", "--arch", "lda", "--out", f"runs/{name}").err for name in ("one", "two"))
    assert "note: computing features of 60 fragments; they are stored beside the cache\n" in first
    assert [line.split(":")[0] for line in second.splitlines()[-4:]] == ["training", "note", "note", "note"]
    assert "computing" not in second
    for absent in ("rate", "epoch", "1/1"):
        assert absent not in first + second


def test_on_a_terminal_the_bar_names_the_current_step(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    reporter = TerminalReporter(quiet=False)
    reporter.training(PLAN)
    for done in (0, 64, 100):
        reporter.statistics_done(done, 100)
        assert reporter._bar is not None
        (task,) = reporter._bar.tasks
        assert (task.description, task.completed) == ("fitting" if done == 100 else "computing features", done)
    reporter.finished()
    assert "note:" not in terminal.getvalue()


def test_in_a_pipe_a_resumed_computation_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TerminalReporter(quiet=False)
    reporter.training(PLAN)
    for done in (64, 80, 100):
        reporter.statistics_done(done, 100)
    assert capsys.readouterr().err.count("computing features of 36 fragments") == 1


@pytest.mark.slow
def test_a_run_without_a_name_is_named_by_its_configuration(here: Path, genrekit: CommandLine) -> None:
    assert genrekit("train", "--arch", "lda", "--json").json["run"].endswith("-lda-mel")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--epochs", "5"), "epochs is for networks: leave it out for lda", id="epochs"),
        pytest.param(("--hidden", "8"), "hidden is for networks", id="hidden"),
        pytest.param(("--channels", "8"), "channels must be none for lda", id="channels"),
        pytest.param(("--input", "waveform"), "input must be mel for lda", id="waveform"),
    ],
)
def test_options_of_networks_are_refused_for_a_classical_model(
    here: Path, genrekit: CommandLine, options: tuple[str, ...], message: str
) -> None:
    outcome = genrekit("train", "--arch", "lda", "--out", "runs/refused", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert not Path("runs/refused").exists()


def test_a_cache_without_mel_is_refused(here: Path, genrekit: CommandLine) -> None:
    genrekit("prepare", *SMALL, "--store", "waveform", "--out", "other/cache.h5", "--workers", "1")
    outcome = genrekit("train", "--arch", "lda", "--cache", "other/cache.h5", "--out", "runs/refused")
    assert outcome.code == 1
    assert "has no mel, only waveform" in outcome.err
    assert not Path("runs/refused").exists()


def test_a_warning_of_scikit_learn_is_a_note(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: Any) -> Any:
        for _ in range(2):
            warnings.warn("it did not converge\nIncrease the number of iterations", stacklevel=1)
        return fit_classical(*arguments)

    monkeypatch.setattr("genrekit.workflows.train_fit.fit_classical", fit)
    outcome = genrekit("train", "--arch", "lda")
    assert outcome.err.count("scikit-learn: it did not converge\n") == 1
    assert (genrekit("train", "--arch", "lda", "--quiet").err, outcome.code) == ("", 0)
