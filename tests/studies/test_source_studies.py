"""The source project's studies: what its report and its code say of each arm, apart from the files that say it too."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genrekit.config import FeatureConfig
from genrekit.models import build_model, count_parameters
from genrekit.studies.schema import open_study, study_arms

NARROW = {"channels": (32, 32), "hidden": (), "lr": 0.001, "batch_size": 8, "dropout": 0.2}
WIDE = {"channels": (64, 64), "lr": 0.0005, "batch_size": 16, "dropout": 0.3}
DEEP = {"channels": (128, 128, 64), "lr": 0.0005, "batch_size": 32, "dropout": 0.3}

PERCEPTRONS = {
    "1": {"hidden": (256, 256, 256, 256), "lr": 0.001, "dropout": 0.0},
    "2": {"hidden": (512, 512), "lr": 0.0005, "dropout": 0.5},
    "3": {"hidden": (1024, 512, 256), "lr": 0.0003, "dropout": 0.3},
}
MLP = {"arch": "mlp2", "input": "waveform", "opt": "adam", "sched": "none", "batch_size": 32, "epochs": 100}
CONVOLUTIONS = {"opt": "adam", "sched": "none", "epochs": 100}
ACTIVATIONS = {"ReLU": "cel", "LeakyReLU": "cel2", "ELU": "cel3"}
SIZES = {"1": NARROW, "2": {**WIDE, "hidden": (64,)}, "3": {**DEEP, "hidden": (64, 64)}}
OPTIMIZERS = {
    f"{opt}-{sched}": {"opt": opt, "sched": sched} for opt in ("adam", "sgd") for sched in ("plateau", "cosine")
}
BATCHES = {"8-for-30": {"batch_size": 8, "epochs": 30}, "32-for-50": {"batch_size": 32, "epochs": 50}}
PENALTIES = {"none": (0.0, 0.0), "L1": (0.01, 0.0), "L2": (0.0, 0.01)}
ARCHS = {"spectrogram": "cel", "waveform": "cel2"}
COSINE = {"sched": "cosine", "sched_by": "epoch", "eta_min": 1e-6}
PLATEAU = {"sched": "plateau"}


def described() -> dict[str, dict[str, dict[str, Any]]]:
    """What the report says, by study and arm."""
    inputs = ("spectrogram", "waveform")
    studies: dict[str, dict[str, dict[str, Any]]] = {
        "mlp": {name: MLP | its for name, its in PERCEPTRONS.items()},
        "cnn": {f"{i}-{name}": {"arch": "cel"} | CONVOLUTIONS | its for i in inputs for name, its in SIZES.items()},
        "activations": {
            f"{i}-{name}": {"arch": arch} | CONVOLUTIONS | NARROW for i in inputs for name, arch in ACTIVATIONS.items()
        },
        "optimizers": {
            f"{i}-{name}": {"arch": ARCHS[i], "epochs": 30}
            | NARROW
            | its
            | (COSINE if its["sched"] == "cosine" else PLATEAU)
            for i in inputs
            for name, its in OPTIMIZERS.items()
        },
        "training": {
            f"{i}-{name}": {"arch": "cel2", "opt": "adam"} | NARROW | PLATEAU | its
            for i in inputs
            for name, its in BATCHES.items()
        },
        "regularization": {
            f"{i}-{name}": {"arch": ARCHS[i], "opt": "sgd", "epochs": 30, "l1": l1, "l2": l2, "penalty": "weights"}
            | NARROW
            | COSINE
            for i in inputs
            for name, (l1, l2) in PENALTIES.items()
        },
    }
    for study, arms in studies.items():
        for name, its in arms.items():
            if study != "mlp":
                its["input"] = "mel" if name.startswith("spectrogram") else "waveform"
            its |= {"fragments": "first", "patience": 0, "standardize": True, "noise_std": 0.0}
    return studies


def as_run() -> dict[str, dict[str, dict[str, Any]]]:
    """What the code did, by study and arm."""
    return {
        study: {name: its | changed(study, name, its) for name, its in arms.items()}
        for study, arms in described().items()
    }


def changed(study: str, name: str, its: dict[str, Any]) -> dict[str, Any]:
    """Spectra without mel bands, altered fragments, other layers, dropout, cosine and penalties."""
    found: dict[str, Any] = {"standardize": False, "monitor": "last"}
    if its["input"] == "waveform":
        found |= {"altered_tempo": 1.1, "altered_pitch": 1.0, "noise_std": 0.002}
        found |= {} if study == "mlp" else {"dropout": 0.3}
    else:
        found |= {"input": "stft", "spec_freq_mask": 15, "spec_time_mask": 25, "noise_std": 0.003}
    if study == "cnn" and name.endswith("-3"):
        found["hidden"] = (64,)
    if its["sched"] == "cosine":
        found |= {"sched": "loss-cosine", "sched_by": "step", "eta_min": 0.0}
    if study == "regularization":
        found["penalty"] = "norms"
    return found


EXPECTED = described() | {f"{study}-as-run": arms for study, arms in as_run().items()}


@pytest.mark.parametrize("study", EXPECTED)
def test_an_arm_has_what_the_source_project_says_of_it(study: str) -> None:
    arms = {arm.name: arm.config(0).model_dump() for arm in study_arms(open_study(study))}
    assert list(arms) == list(EXPECTED[study])
    for name, expected in EXPECTED[study].items():
        assert {key: arms[name][key] for key in expected} == expected, name


@pytest.mark.parametrize(
    ("study", "arm", "published"),
    [
        ("cnn-as-run", "spectrogram-1", 2_217_706),
        ("cnn-as-run", "spectrogram-2", 28_300_938),
        ("cnn-as-run", "spectrogram-3", 7_289_610),
        ("regularization-as-run", "waveform-none", 8_823_210),
        ("mlp-as-run", "1", 28_426_250),
        ("mlp-as-run", "2", 56_718_346),
        ("mlp-as-run", "3", 113_559_306),
    ],
)
def test_an_arm_has_as_many_parameters_as_was_published_less_the_biases_of_its_convolutions(
    study: str, arm: str, published: int
) -> None:
    (config,) = [its.config(0) for its in study_arms(open_study(study)) if its.name == arm]
    with torch.device("meta"):
        model = build_model(config, FeatureConfig(), 10)
    assert count_parameters(model) + sum(config.channels or ()) == published
