"""The studies of the source project have the settings of its report and of its code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genrekit.config import FeatureConfig
from genrekit.models import build_model, count_parameters
from genrekit.studies.study_files import open_study, study_configurations

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
    """Return the settings in the report, by study and configuration."""
    inputs = ("spectrogram", "waveform")
    studies: dict[str, dict[str, dict[str, Any]]] = {
        "mlp": {name: MLP | values for name, values in PERCEPTRONS.items()},
        "cnn": {
            f"{i}-{name}": {"arch": "cel"} | CONVOLUTIONS | values for i in inputs for name, values in SIZES.items()
        },
        "activations": {
            f"{i}-{name}": {"arch": arch} | CONVOLUTIONS | NARROW for i in inputs for name, arch in ACTIVATIONS.items()
        },
        "optimizers": {
            f"{i}-{name}": {"arch": ARCHS[i], "epochs": 30}
            | NARROW
            | values
            | (COSINE if values["sched"] == "cosine" else PLATEAU)
            for i in inputs
            for name, values in OPTIMIZERS.items()
        },
        "training": {
            f"{i}-{name}": {"arch": "cel2", "opt": "adam"} | NARROW | PLATEAU | values
            for i in inputs
            for name, values in BATCHES.items()
        },
        "regularization": {
            f"{i}-{name}": {"arch": ARCHS[i], "opt": "sgd", "epochs": 30, "l1": l1, "l2": l2, "penalty": "weights"}
            | NARROW
            | COSINE
            for i in inputs
            for name, (l1, l2) in PENALTIES.items()
        },
    }
    for study, configurations in studies.items():
        for name, values in configurations.items():
            values |= {"mixup": 0.0, "monitor": "loss"}
            if study != "mlp":
                values |= {"center": False, "downsample": (1, 1), "pool": "flatten"}
                values["input"] = "mel" if name.startswith("spectrogram") else "waveform"
            values |= {"fragments": "first", "patience": 0, "standardize": True, "noise_std": 0.0}
    return studies


def as_run() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the settings in the code, by study and configuration."""
    return {
        study: {name: values | changed(study, name, values) for name, values in configurations.items()}
        for study, configurations in described().items()
    }


def changed(study: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in which the code differs from the report."""
    changes: dict[str, Any] = {"standardize": False, "monitor": "last"}
    if values["input"] == "waveform":
        changes |= {"altered_tempo": 1.1, "altered_pitch": 1.0, "noise_std": 0.002}
        changes |= {} if study == "mlp" else {"dropout": 0.3}
    else:
        changes |= {"input": "stft", "spec_freq_mask": 15, "spec_time_mask": 25, "noise_std": 0.003}
    if study == "cnn" and name.endswith("-3"):
        changes["hidden"] = (64,)
    if values["sched"] == "cosine":
        changes |= {"sched": "loss-cosine", "sched_by": "step", "eta_min": 0.0}
    if study == "regularization":
        changes["penalty"] = "norms"
    return changes


EXPECTED = described() | {f"{study}-as-run": configurations for study, configurations in as_run().items()}


@pytest.mark.parametrize("study", EXPECTED)
def test_a_configuration_is_as_the_source_project_describes_it(study: str) -> None:
    configurations = {
        configuration.name: configuration.train_config(0).model_dump()
        for configuration in study_configurations(open_study(study))
    }
    assert list(configurations) == list(EXPECTED[study])
    for name, expected in EXPECTED[study].items():
        assert {key: configurations[name][key] for key in expected} == expected, name


@pytest.mark.parametrize(
    ("study", "configuration", "published"),
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
def test_a_configuration_has_the_published_number_of_parameters_without_the_biases_of_convolutions(
    study: str, configuration: str, published: int
) -> None:
    (config,) = [
        values.train_config(0) for values in study_configurations(open_study(study)) if values.name == configuration
    ]
    with torch.device("meta"):
        model = build_model(config, FeatureConfig(), 10)
    assert count_parameters(model) + sum(config.channels or ()) == published
