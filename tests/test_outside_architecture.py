"""Models from outside the package go through every command, and a bundle names the module of its model."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field
from tiny_cli import CommandLine
from torch import Tensor, nn

from genrekit import (
    Architecture,
    ArchitectureOptions,
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
from genrekit.audio.mel_descriptors import N_STATISTICS
from genrekit.cli.recipe import commands_for
from genrekit.config import architectures
from genrekit.errors import BundleError, GenrekitError, UsageError
from genrekit.io.json_values import to_json
from genrekit.io.tensors import write_tensors
from genrekit.models.bundle import load_bundle, read_metadata
from genrekit.models.classical import Linear
from genrekit.models.standardize import Standardize
from genrekit.studies.search_schema import read_search
from genrekit.studies.study_files import read_study, study_configurations

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


class ResNetOptions(ArchitectureOptions):
    depth: int = Field(1, ge=1, description="Number of residual blocks.")
    kernels: tuple[int, ...] = Field((3,), description="Sizes of the kernels.")


class ResNet(nn.Module):
    """A small residual network on mel spectrograms."""

    def __init__(self, standardize: Standardize, channels: int, depth: int, n_genres: int) -> None:
        super().__init__()
        self.standardize = standardize
        self.stem = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(nn.Sequential(Residual(channels), nn.ReLU()) for _ in range(depth)))
        self.head = nn.Linear(channels, n_genres)

    def forward(self, mels: Tensor) -> Tensor:
        """Shapes: [B, n_mels, n_frames] to logits [B, n_genres]."""
        features = self.blocks(self.stem(self.standardize(mels).unsqueeze(1)))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def build(config: TrainConfig, features: FeatureConfig, n_genres: int) -> nn.Module:
    (channels,), options = config.block_channels, config.arch_options
    assert isinstance(options, ResNetOptions)
    return ResNet(Standardize.of(features, config.input), channels, options.depth, n_genres)


class NearestMean:
    """An estimator in the style of scikit-learn that is not from there."""

    def __init__(self, power: float) -> None:
        self.power = power

    def fit(self, statistics: Any, genres: Any, /) -> None:
        self.classes_ = np.unique(genres)
        self.means_ = np.stack([statistics[genres == genre].mean(0) for genre in self.classes_])
        self.scale_ = float(np.square(statistics).mean())

    def predict_proba(self, statistics: Any, /) -> Any:
        distances = np.abs(statistics[:, None] - self.means_).mean(2) ** self.power / self.scale_
        shares = np.exp(-distances)
        return shares / shares.sum(1, keepdims=True)


class NearestMeanOptions(ArchitectureOptions):
    power: float = Field(2.0, gt=0, description="Power of the distance.")


def build_nearest(config: TrainConfig, _features: FeatureConfig, _n_genres: int) -> NearestMean:
    options = config.arch_options
    assert isinstance(options, NearestMeanOptions)
    return NearestMean(options.power)


RESNET = Architecture("resnet-tiny", build, inputs=("mel",), channels={"mel": (4,)}, options=ResNetOptions)
NEAREST = Architecture("nearest-mean", build_nearest, fit="fit", options=NearestMeanOptions)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "_REGISTERED", dict(architectures._REGISTERED))
    register_architecture(RESNET)
    register_architecture(NEAREST)


def test_it_is_trained_compared_evaluated_and_predicts(here: Path, genrekit: CommandLine) -> None:
    options = (
        "--arch-option",
        "depth=2",
        "--channels",
        "6",
        "--epochs",
        "3",
        "--l2",
        "1e-4",
        "--spec-freq-mask",
        "2",
        "--device",
        "cpu",
    )
    trained = genrekit("train", "--arch", "resnet-tiny", *options, "--out", "runs/resnet", "--json")
    assert trained.code == 0, trained.err
    bundle = trained.json["bundle"]
    again = train(
        CACHE,
        arch="resnet-tiny",
        arch_options={"depth": 2},
        channels=(6,),
        epochs=3,
        l2=1e-4,
        spec_freq_mask=2,
        device="cpu",
        out="runs/again",
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


def test_an_estimator_is_trained_compared_evaluated_and_predicts(here: Path, genrekit: CommandLine) -> None:
    trained = genrekit("train", "--arch", "nearest-mean", "--arch-option", "power=3", "--out", "runs/near", "--json")
    assert trained.code == 0, trained.err
    bundle = trained.json["bundle"]
    assert trained.json["parameters"] == 3 * N_STATISTICS + 1
    assert json.loads(Path("runs/near/config.json").read_text())["arch_options"] == {"power": 3.0}
    assert "power 3" in genrekit("info", bundle).out
    assert commands_for(read_metadata(Path(bundle)), Path(bundle), "")[1] == (
        "genrekit train --cache=data/cache.h5 --out=runs/near --arch=nearest-mean --input=mel --arch-option=power=3.0"
    )
    assert "nearest-mean, power 3.0, " in Path(bundle, "README.md").read_text()
    assert "nearest-mean" in {run.config["arch"] for run in compare(["runs"]).runs}
    assert evaluate(bundle, CACHE).models[0].track_accuracy.value > 1 / 3
    (file,) = predict(["data/jazz/jazz-0.wav"], bundle).files
    assert sum(file.probabilities.values()) == pytest.approx(1)
    exported = genrekit("export", bundle, "--quiet")
    assert exported.code == 1
    assert exported.err.count("\n") == 1
    assert "is a nearest-mean model" in exported.err
    assert exported.err.endswith(": export a network\n")


def test_tensors_of_an_estimator_that_do_not_fit_together_are_refused(here: Path) -> None:
    run = train(CACHE, arch="nearest-mean", out="runs/near")
    tensors = load_bundle(run.bundle).model.state_dict()
    mean = tensors["head.means_"]
    assert mean.shape == (3, N_STATISTICS)
    write_tensors(run.bundle / "model.safetensors", {**tensors, "head.means_": mean[:, :-1].clone()})
    with pytest.raises(BundleError, match="is damaged: its tensors do not fit together") as caught:
        load_bundle(run.bundle)
    assert "\n" not in str(caught.value)


def test_a_module_with_a_method_fit_can_be_registered(here: Path) -> None:
    class Centroids(nn.Module):
        means: Tensor

        def __init__(self, n_genres: int) -> None:
            super().__init__()
            self.register_buffer("means", torch.zeros(n_genres, N_STATISTICS))

        def fit(self, statistics: Any, genres: Any, /) -> None:
            for genre in range(len(self.means)):
                self.means[genre] = torch.from_numpy(statistics[genres == genre].mean(0))

        def forward(self, statistics: Tensor) -> Tensor:
            return -torch.cdist(statistics, self.means)

    register_architecture(Architecture("centroids", lambda _config, _features, n: Centroids(n), fit="fit"))
    run = train(CACHE, arch="centroids", out="runs/centroids")
    assert run.validation.track_accuracy > 1 / 3
    assert load_model(run.bundle).predict("data/jazz/jazz-0.wav").genre in ("blues", "jazz", "metal")


class WithList(NearestMean):
    def fit(self, statistics: Any, genres: Any, /) -> None:
        super().fit(statistics, genres)
        self.kept = [self.means_]

    def predict_proba(self, statistics: Any, /) -> Any:
        assert self.kept
        return super().predict_proba(statistics)

    kept: list[Any]


class WithoutProbabilities:
    def fit(self, statistics: Any, genres: Any, /) -> None:
        """Learn nothing."""


class TwoLogits(nn.Module):
    def fit(self, statistics: Any, genres: Any, /) -> None:
        """Learn nothing."""

    def forward(self, statistics: Tensor) -> Tensor:
        return statistics[:, :2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: WithList(2.0),
            "WithList cannot be saved, because it has learned more than numbers and arrays in attributes such as "
            "centroids_: write it as a torch module",
        ),
        (WithoutProbabilities, "wrong is fitted once, but its WithoutProbabilities has no method predict_proba"),
        (lambda: nn.Linear(2, 3), "wrong is fitted once, but its Linear has no method fit"),
        (TwoLogits, r"TwoLogits must return logits of shape \[\d+, 3\], got \[\d+, 2\]"),
    ],
    ids=["other-objects", "no-predict_proba", "no-fit", "wrong-shape"],
)
def test_a_model_that_cannot_be_fitted_is_refused(here: Path, make: Any, message: str) -> None:
    register_architecture(Architecture("wrong", lambda *_: make(), fit="fit"))
    with pytest.raises(GenrekitError, match=f"^{message}$"):
        train(CACHE, arch="wrong", out="runs/wrong")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dept": 2}, "unknown option of resnet-tiny 'dept': did you mean depth? (choices: depth, kernels)"),
        ({"depth": 0}, "options of resnet-tiny: depth: input should be greater than or equal to 1, got 0"),
        (3, "arch_options must be names with values, such as depth = 4, got 3"),
    ],
    ids=["unknown", "out-of-range", "not-a-mapping"],
)
def test_a_wrong_option_is_one_line(options: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig.of({"arch": "resnet-tiny", "arch_options": options})
    assert str(caught.value) == message


def test_an_option_of_an_architecture_without_options_is_refused(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("train", "--arch", "mlp", "--arch-option", "depth=2")
    assert (outcome.code, outcome.err) == (2, "genrekit: mlp declares no options: leave out depth\n")
    outcome = genrekit("train", "--arch", "resnet-tiny", "--arch-option", "depth")
    assert outcome.err == "genrekit: --arch-option must be NAME=VALUE, such as depth=4, got 'depth'\n"


def test_options_come_from_a_file_and_from_the_command_line(here: Path, genrekit: CommandLine) -> None:
    Path("train.toml").write_text('arch = "resnet-tiny"\narch_options.depth = 3\narch_options.kernels = [3, 5]\n')
    printed = genrekit("train", "--config", "train.toml", "--arch-option", "kernels=5,7", "--print-config")
    assert "\narch_options = {depth = 3, kernels = [5, 7]}\n" in printed.out
    Path("printed.toml").write_text(printed.out)
    assert genrekit("train", "--config", "printed.toml", "--print-config").out == printed.out


def test_a_run_is_not_resumed_with_another_option(here: Path) -> None:
    run = train(CACHE, arch="resnet-tiny", arch_options={"depth": 2}, epochs=1, device="cpu", out="runs/resnet")
    (run.run / "result.json").unlink()
    with pytest.raises(UsageError, match=r"was started with arch_options depth=2 kernels=\(3,\), got depth=1"):
        train(CACHE, arch_options={"depth": 1}, out="runs/resnet", resume=True)


STUDY = """
title = "Two models"
question = "Is the deeper one better?"
seeds = 1
[base]
epochs = 1
patience = 0
[axes.model]
shallow = { arch = "resnet-tiny", arch_options.depth = 1 }
deep = { arch = "resnet-tiny", arch_options.depth = 2 }
near = { arch = "nearest-mean", arch_options.power = 3 }
[[hypotheses]]
text = "the deeper one wins"
winner = { has = { arch_options.depth = 2 } }
"""


@pytest.mark.slow
def test_a_study_varies_the_options_of_architectures(here: Path, genrekit: CommandLine) -> None:
    Path("depths.toml").write_text(STUDY)
    outcome = genrekit("study", "run", "depths.toml", "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    options = {run["name"]: run["config"]["arch_options"] for run in outcome.json["runs"]}
    assert options["deep"] == {"depth": 2, "kernels": [3]}
    assert options["near"] == {"power": 3.0}
    assert "arch_options.depth" in Path("reports/depths/report.md").read_text()
    again = genrekit("study", "run", "depths.toml", "--device", "cpu", "--json")
    assert [run["loss"] for run in again.json["runs"]] == [run["loss"] for run in outcome.json["runs"]]
    assert len(list(Path("runs").glob("depths-*"))) == 3


def test_a_grid_combines_two_options(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'title = "T"\nquestion = "Q?"\nbase = { arch = "resnet-tiny" }\n'
        "grid = { arch_options.depth = [1, 2], arch_options.kernels = [[3], [3, 5]] }\n"
    )
    configurations = study_configurations(read_study(path))
    assert [item.name for item in configurations] == [
        *("depth=1-kernels=3", "depth=1-kernels=3,5", "depth=2-kernels=3", "depth=2-kernels=3,5")
    ]
    assert configurations[3].train_config(0).arch_options == ResNetOptions(depth=2, kernels=(3, 5))
    path.write_text(path.read_text().replace("arch_options.depth", "arch_options.dept"))
    with pytest.raises(UsageError, match="unknown option of resnet-tiny 'dept': did you mean depth"):
        read_study(path)


def test_a_search_draws_the_options_of_an_architecture(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(
        'title = "T"\nquestion = "Q?"\ntrials = 2\nbase = { arch = "resnet-tiny" }\n'
        "space = { arch_options.depth = { low = 1, high = 3 } }\n"
    )
    (depth,) = read_search(path).dimensions.items()
    assert depth[0] == "arch_options.depth"
    drawn = {depth[1].draw(depth[0], np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {1, 2, 3}
    path.write_text(path.read_text().replace("depth", "dept"))
    with pytest.raises(UsageError, match=r"'arch_options.dept': did you mean arch_options.depth"):
        read_search(path)


class Required(ArchitectureOptions):
    depth: int


class WithListOption(ArchitectureOptions):
    widths: list[int] = Field([8])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("wrong", build, fit="train"), r"fit must be a function, its location .* got \'train\'"),
        (Architecture("wrong", build, options=dict), "options must be a subclass of ArchitectureOptions, got"),  # type: ignore[arg-type]
        (
            Architecture("wrong", build, fit="fit", inputs=("stft",)),
            "inputs must be mel for a model that is fitted once",
        ),
        (Architecture("wrong", build, options=Required), "the option depth of wrong needs a default"),
        (
            Architecture("wrong", build, options=WithListOption),
            "the option widths of wrong must be a tuple, or another immutable type",
        ),
    ],
    ids=["fit", "options", "inputs", "default", "list"],
)
def test_an_invalid_architecture_is_not_registered(architecture: Architecture, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register_architecture(architecture)


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
    module, script, nearest = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.syspath_prepend(here)
    (here / "small_net.py").write_text(module)
    (here / "nearest_mean.py").write_text(nearest)
    import_module("nearest_mean")
    assert train(CACHE, arch="nearest-mean", out="runs/near").validation.track_accuracy > 1 / 3
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
