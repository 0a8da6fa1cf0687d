"""A network from outside the package goes through every command, and a bundle says where its network comes from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cli import CommandLine
from torch import Tensor, nn

from genrekit import (
    Architecture,
    FeatureConfig,
    TrainConfig,
    compare,
    evaluate,
    export,
    load_model,
    predict,
    register_architecture,
    train,
)
from genrekit.config import architectures
from genrekit.errors import BundleError
from genrekit.io.json_values import to_json
from genrekit.models.classical import Linear
from genrekit.models.standardize import Standardize

CACHE = "data/cache.h5"


class Residual(nn.Module):
    """Two convolutions, and their input added to the output."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(2, channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: [B, C, H, W] to the same."""
        total: Tensor = images + self.body(images)
        return total


class ResNet(nn.Module):
    """A small residual network on mel spectrograms."""

    def __init__(self, standardize: Standardize, channels: int, n_genres: int) -> None:
        super().__init__()
        self.standardize = standardize
        self.stem = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Residual(channels), nn.ReLU(), Residual(channels), nn.ReLU())
        self.head = nn.Linear(channels, n_genres)

    def forward(self, mels: Tensor) -> Tensor:
        """Shapes: [B, n_mels, n_frames] to logits [B, n_genres]."""
        features = self.blocks(self.stem(self.standardize(mels).unsqueeze(1)))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def build(config: TrainConfig, features: FeatureConfig, n_genres: int) -> nn.Module:
    (channels,) = config.block_channels
    return ResNet(Standardize.of(features, config.input), channels, n_genres)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "_REGISTERED", dict(architectures._REGISTERED))
    register_architecture(Architecture("resnet-tiny", build, inputs=("mel",), channels={"mel": (4,)}))


def test_it_is_trained_compared_evaluated_and_predicts(here: Path, genrekit: CommandLine) -> None:
    options = ("--channels", "6", "--epochs", "3", "--l2", "1e-4", "--spec-freq-mask", "2", "--device", "cpu")
    trained = genrekit("train", "--arch", "resnet-tiny", *options, "--out", "runs/resnet", "--json")
    assert trained.code == 0, trained.err
    bundle = trained.json["bundle"]
    again = train(
        CACHE, arch="resnet-tiny", channels=(6,), epochs=3, l2=1e-4, spec_freq_mask=2, device="cpu", out="runs/again"
    )
    weights = [(Path(run) / "model.safetensors").read_bytes() for run in (bundle, again.bundle)]
    assert weights[0] == weights[1]
    assert again.dead_channels is not None

    ranked = to_json(compare(["runs"]))["runs"]
    assert {run["config"]["arch"] for run in ranked} == {"mlp", "cel", "resnet-tiny"}
    figures = to_json(evaluate(bundle, CACHE))["models"][0]
    assert figures["tracks"] > 0
    assert figures["track_accuracy"]["low"] <= figures["track_accuracy"]["value"] <= figures["track_accuracy"]["high"]
    (file,) = predict(["data/jazz/jazz-0.wav"], bundle).files
    assert sum(file.probabilities.values()) == pytest.approx(1)
    assert load_model(bundle).predict("data/jazz/jazz-0.wav").genre == file.genre


def test_an_interrupted_run_ends_with_the_same_weights(here: Path, genrekit: CommandLine) -> None:
    run = train(CACHE, arch="resnet-tiny", epochs=2, device="cpu", out="runs/resnet")
    weights = (run.bundle / "model.safetensors").read_bytes()
    (run.run / "result.json").unlink()
    (run.run / "previous-last.safetensors").rename(run.run / "last.safetensors")
    resumed = train(CACHE, out="runs/resnet", resume=True)
    assert (resumed.bundle / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
def test_it_is_exported(here: Path) -> None:
    pytest.importorskip("onnx")
    run = train(CACHE, arch="resnet-tiny", epochs=1, device="cpu", out="runs/resnet")
    assert export(run.bundle).largest_difference < 1e-3


def test_a_network_without_statistics_of_the_input_is_trained_with_masks(here: Path) -> None:
    class Plain(nn.Module):
        def __init__(self, n_inputs: int, n_genres: int) -> None:
            super().__init__()
            self.head = nn.Linear(n_inputs, n_genres)

        def forward(self, mels: Tensor) -> Tensor:
            logits: Tensor = self.head(mels.flatten(1))
            return logits

    register_architecture(Architecture("plain", lambda _, features, n: Plain(features.n_mels * features.n_frames, n)))
    run = train(CACHE, arch="plain", epochs=1, spec_time_mask=3, device="cpu", out="runs/plain")
    assert run.dead_channels is None
    assert predict(["data/jazz/jazz-0.wav"], run.bundle).files


def test_a_model_that_is_fitted_once_can_be_registered(here: Path) -> None:
    """The mean of each genre's statistics, and the nearest one by their products."""

    def fit_centroids(model: nn.Module, statistics: Any, genres: Any, _config: TrainConfig) -> None:
        assert isinstance(model, Linear)
        means = torch.stack([torch.from_numpy(statistics[genres == genre].mean(0)) for genre in range(model.n_genres)])
        model.set_map(means, -means.square().sum(1) / 2)

    register_architecture(
        Architecture("centroid", lambda _, features, n: Linear(features, n), fit=fit_centroids, inputs=("mel",))
    )
    run = train(CACHE, arch="centroid", out="runs/centroid")
    assert (run.epochs, run.monitor) == (1, None)
    assert run.validation.track_accuracy > 1 / 3
    assert load_model(run.bundle).predict("data/jazz/jazz-0.wav").genre in ("blues", "jazz", "metal")


def test_a_bundle_names_what_registers_its_architecture(here: Path, genrekit: CommandLine) -> None:
    run = train(CACHE, arch="resnet-tiny", epochs=1, device="cpu", out="runs/resnet")
    del architectures._REGISTERED["resnet-tiny"]
    with pytest.raises(BundleError) as caught:
        load_model(run.bundle)
    assert str(caught.value) == (
        f"{run.bundle} has the architecture 'resnet-tiny', which is not registered: "
        f"install or import {build.__module__}"
    )
    outcome = genrekit("predict", "data/jazz/jazz-0.wav", "--model", run.bundle)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith(f": install or import {build.__module__}\n")


def test_the_example_in_the_documentation_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "add-a-model.md"
    module, script = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.syspath_prepend(here)
    (here / "small_net.py").write_text(module)
    exec(compile(script, str(page), "exec"), {"__name__": "example"})
    (run,) = (path for path in Path("runs").iterdir() if "small-net" in path.name)
    assert (run / "best" / "model.json").exists()


PACKAGE = """
from genrekit import Architecture
from torch import nn

def build(config, features, n_genres):
    return nn.Sequential(nn.Flatten(), nn.Linear(features.n_mels * features.n_frames, n_genres))

FLAT = Architecture("flat", build, inputs=("mel",))
"""


def install(folder: Path, entry_points: str) -> dict[str, str]:
    """Write an installed package, and return the environment of processes that find it."""
    (folder / "flat-1.0.dist-info").mkdir(parents=True)
    (folder / "flat-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: flat\nVersion: 1.0\n")
    (folder / "flat-1.0.dist-info" / "entry_points.txt").write_text(f"[genrekit.architectures]\n{entry_points}\n")
    (folder / "flat.py").write_text(PACKAGE)
    paths = [str(folder), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.mark.slow
def test_the_command_line_finds_the_architecture_of_an_installed_package(here: Path, tmp_path: Path) -> None:
    environment = install(tmp_path / "site", "flat = flat:FLAT")

    def genrekit(*arguments: str) -> str:
        command = [sys.executable, "-m", "genrekit", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert "flat" in genrekit("train", "--help")
    genrekit("train", "--arch", "flat", "--epochs", "1", "--out", "runs/flat", "--device", "cpu")
    assert json.loads(genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/flat/best", "--json"))["files"]


def test_an_installed_architecture_that_cannot_be_loaded_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "broken = flat:ABSENT")
    monkeypatch.syspath_prepend(tmp_path)
    architectures._register_installed.cache_clear()
    with pytest.warns(UserWarning, match=r"cannot load the architecture broken \(flat:ABSENT\): "):
        assert not architectures.is_registered("broken")
    assert architectures.is_registered("cel")
