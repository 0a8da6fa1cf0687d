"""Options of training that change what is learned from, or how, as they are typed."""

import json
from pathlib import Path

import pytest
import torch
from tiny_cli import CommandLine

from genrekit.cli.options import PANELS
from genrekit.config import TrainConfig
from genrekit.models.bundle import load_bundle
from genrekit.models.classical import Classifier

SMALL_CEL = ("train", "--arch", "cel", "--channels", "2,4", "--device", "cpu", "--epochs", "2")


def resumed(run: Path, genrekit: CommandLine) -> bytes:
    """Weights of a finished run that is taken back an epoch and resumed."""
    (run / "result.json").unlink()
    (run / "previous-last.safetensors").rename(run / "last.safetensors")
    assert genrekit("train", "--resume", "--out", run).code == 0
    return (run / "best" / "model.safetensors").read_bytes()


def test_every_option_of_a_training_has_its_panel() -> None:
    placed = [name for names in PANELS.values() for name in names]
    assert set(TrainConfig.model_fields) <= set(placed)
    assert len(placed) == len(set(placed))


@pytest.mark.parametrize("kind", ["mel", "waveform", "stft"])
def test_inputs_that_are_not_standardized_are_fed_as_they_are(here: Path, genrekit: CommandLine, kind: str) -> None:
    options = (*SMALL_CEL, "--input", kind, "--no-standardize", "--out", "runs/plain")
    assert genrekit(*options).code == 0
    bundle = load_bundle("runs/plain/best")
    assert not isinstance(bundle.model, Classifier)
    values = torch.rand(2, *bundle.metadata.prepare.front_end.shape(bundle.metadata.train.input))
    assert torch.equal(bundle.model.standardize(values), values)
    weights = Path("runs/plain/best/model.safetensors").read_bytes()
    assert resumed(Path("runs/plain"), genrekit) == weights


def test_a_penalty_of_norms_reaches_the_run(here: Path, genrekit: CommandLine) -> None:
    for penalty in ("weights", "norms"):
        outcome = genrekit(*SMALL_CEL, "--l2", "0.1", "--penalty", penalty, "--out", f"runs/{penalty}")
        assert outcome.code == 0, outcome.err
    assert json.loads(Path("runs/norms/config.json").read_text())["penalty"] == "norms"
    weights, norms = (Path(f"runs/{name}/best/model.safetensors").read_bytes() for name in ("weights", "norms"))
    assert weights != norms
    assert resumed(Path("runs/norms"), genrekit) == norms
