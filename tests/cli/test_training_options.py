"""Options of genrekit train that change its inputs or its optimization."""

import json
from pathlib import Path

import pytest
import torch
from tiny_cli import CommandLine

from genrekit.models.bundle import load_bundle
from genrekit.models.standardize import find_standardize

SMALL_CEL = ("train", "--arch", "cel", "--channels", "2,4", "--device", "cpu", "--epochs", "2")


def resumed(run: Path, genrekit: CommandLine) -> bytes:
    """Weights of a finished run after its last epoch is undone and trained again."""
    (run / "result.json").unlink()
    (run / "previous-last.safetensors").rename(run / "last.safetensors")
    assert genrekit("train", "--resume", "--out", run).code == 0
    return (run / "best" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["mel", "waveform", "stft"])
def test_inputs_are_not_standardized_if_switched_off(here: Path, genrekit: CommandLine, kind: str) -> None:
    options = (*SMALL_CEL, "--input", kind, "--no-standardize", "--out", "runs/plain")
    assert genrekit(*options).code == 0
    bundle = load_bundle("runs/plain/best")
    values = torch.rand(2, *bundle.metadata.prepare.front_end.shape(bundle.metadata.train.input))
    layer = find_standardize(bundle.model)
    assert layer is not None
    assert torch.equal(layer(values), values)
    weights = Path("runs/plain/best/model.safetensors").read_bytes()
    assert resumed(Path("runs/plain"), genrekit) == weights


@pytest.mark.slow
def test_a_penalty_of_norms_reaches_the_run(here: Path, genrekit: CommandLine) -> None:
    for penalty in ("weights", "norms"):
        outcome = genrekit(*SMALL_CEL, "--l2", "0.1", "--penalty", penalty, "--out", f"runs/{penalty}")
        assert outcome.code == 0, outcome.err
    assert json.loads(Path("runs/norms/config.json").read_text())["penalty"] == "norms"
    weights, norms = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("weights", "norms"))
    assert weights != norms
    assert resumed(Path("runs/norms"), genrekit) == norms


@pytest.mark.slow
def test_noise_and_cosine_schedules_are_used_and_resumed(here: Path, genrekit: CommandLine) -> None:
    settings = {
        "noise": ("--noise-std", "0.05"),
        "epochs": ("--sched", "cosine", "--sched-by", "epoch", "--eta-min", "1e-6"),
        "loss": ("--sched", "loss-cosine"),
    }
    weights = {}
    for name, options in settings.items():
        assert genrekit(*SMALL_CEL, *options, "--epochs", "3", "--out", f"runs/{name}").code == 0
        weights[name] = Path(f"runs/{name}/best/model.safetensors").read_bytes()
        assert resumed(Path(f"runs/{name}"), genrekit) == weights[name]
    assert len(set(weights.values())) == len(settings)
    config = json.loads(Path("runs/epochs/config.json").read_text())
    assert (config["sched"], config["sched_by"], config["eta_min"]) == ("cosine", "epoch", 1e-6)


ALTERED = (*SMALL_CEL, "--input", "waveform", "--altered-tempo", "1.2", "--altered-pitch", "2")


@pytest.mark.slow
def test_altered_fragments_are_trained_on_and_kept(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = genrekit(*ALTERED, "--out", "runs/first")
    assert first.code == 0, first.err
    assert "note: 48 training fragments are altered and kept in data/cache.altered for later runs\n" in first.err
    assert len(list(Path("data/cache.altered").glob("*.npy"))) == 1
    monkeypatch.setattr("genrekit.data.perturbed_cache.altered_waveform", None)
    again = genrekit(*ALTERED, "--out", "runs/again")
    assert again.code == 0
    assert "altered" not in again.err
    assert genrekit(*SMALL_CEL, "--input", "waveform", "--out", "runs/plain").code == 0
    runs = {name: Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("first", "again", "plain")}
    assert runs["first"] == runs["again"] != runs["plain"]
    assert resumed(Path("runs/again"), genrekit) == runs["first"]
    assert genrekit("evaluate", "runs/first/best").code == 0


def test_altered_fragments_need_waveforms(here: Path, genrekit: CommandLine) -> None:
    before = sorted(Path().rglob("*"))
    outcome = genrekit(*SMALL_CEL, "--altered-tempo", "1.2", "--out", "runs/new")
    assert outcome.code == 2
    assert "altered_tempo and altered_pitch need input waveform, got mel" in outcome.err
    assert sorted(Path().rglob("*")) == before


def test_altered_fragments_that_cannot_be_stored_are_reported(here: Path, genrekit: CommandLine) -> None:
    Path("data/cache.altered").write_text("no folder")
    outcome = genrekit(*ALTERED, "--quiet", "--out", "runs/new")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "cannot store altered fragments in data/cache.altered: " in outcome.err
    assert not Path("runs/new").exists()


def test_help_does_not_list_options_that_only_reproduce_older_results(genrekit: CommandLine) -> None:
    text = genrekit("train", "--help").out
    assert "--sched" in text
    for name in ("--sched-by", "loss-cosine", "--penalty", "norms", "stft", "--altered-tempo", "--altered-pitch"):
        assert name not in text
