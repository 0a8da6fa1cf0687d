"""The commands that a report shows give the same configurations."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import describe
from tiny_cli import CommandLine
from tiny_training import tiny_config

from genrekit.cli.recipe import commands_for
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.models.bundle import read_metadata
from genrekit.models.bundle_metadata import BundleMetadata


def trained(config: TrainConfig, prepare: PrepareConfig | None = None) -> BundleMetadata:
    return describe(tiny_config()).model_copy(update={"train": config, "prepare": prepare or PrepareConfig()})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"arch": "cel3", "opt": "sgd", "sched": "cosine", "nesterov": True}, id="a network"),
        pytest.param({"arch": "cel", "hidden": (64, 32), "channels": (4, 8), "dropout": 0.0}, id="widths"),
        pytest.param({"arch": "mlp", "input": "waveform", "random_start": True, "lr": 0.0002}, id="waveform"),
        pytest.param({"arch": "lda", "split_seed": 3}, id="a classical model"),
        pytest.param({"arch": "mlp2", "hidden": ()}, id="no hidden layer"),
    ],
)
def test_the_line_for_training_gives_the_same_configuration(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig.of(values)
    line = commands_for(trained(config))[1]
    assert line.startswith("genrekit train ")
    outcome = genrekit(*line.split()[1:], "--print-config")
    assert TrainConfig.of(tomllib.loads(outcome.out)) == config


def test_the_line_for_preparing_names_what_is_not_the_default(here: Path, genrekit: CommandLine) -> None:
    """Running the command again reuses the workspace's complete cache."""
    line = commands_for(read_metadata(Path("runs/cel/best")))[0]
    assert line == (
        "genrekit prepare --sample-rate=8000 --duration-s=0.5 --n-fft=512 --hop-length=256 --n-mels=16 --augment"
    )
    assert genrekit(*line.split()[1:], "--json").json["reused"] == 30


def test_defaults_need_no_options() -> None:
    assert commands_for(trained(TrainConfig())) == ["genrekit prepare", "genrekit train --arch=cel --input=mel"]
