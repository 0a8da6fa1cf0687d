"""The commands that a report shows give the same configurations."""

import html
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import describe
from tiny_cli import SMALL, CommandLine
from tiny_training import tiny_config

from genrekit.cli.recipe import commands_for
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.models.bundle import read_metadata
from genrekit.models.bundle_metadata import BundleMetadata

COMMANDS = ("genrekit prepare", "genrekit train", "genrekit evaluate")

BUNDLE, SOURCE = Path("runs/cel/best"), "--cache=data/cache.h5"


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
    line = commands_for(trained(config), BUNDLE, SOURCE)[1]
    assert line.startswith("genrekit train ")
    outcome = genrekit(*line.split()[1:], "--print-config")
    assert TrainConfig.of(tomllib.loads(outcome.out)) == config


def test_the_line_for_preparing_names_what_is_not_the_default(here: Path, genrekit: CommandLine) -> None:
    """Running the command again reuses the workspace's complete cache."""
    line = commands_for(read_metadata(BUNDLE), BUNDLE, SOURCE)[0]
    assert line == (
        "genrekit prepare data --out=data/cache.h5 "
        "--sample-rate=8000 --duration-s=0.5 --n-fft=512 --hop-length=256 --n-mels=16 --augment"
    )
    assert genrekit(*line.split()[1:], "--json").json["reused"] == 30


def test_an_older_bundle_does_not_know_its_paths() -> None:
    assert commands_for(trained(TrainConfig()), BUNDLE, SOURCE) == [
        "genrekit prepare",
        "genrekit train --out=runs/cel --arch=cel --input=mel",
        "genrekit evaluate runs/cel/best --cache=data/cache.h5",
    ]


MANIFEST = "path,genre\n" + "".join(
    f"my music/{genre}/{genre}-{number}.wav,{genre}\n" for genre in ("blues", "jazz", "metal") for number in range(10)
)


@pytest.mark.parametrize(
    ("source", "arch"),
    [
        pytest.param(("my music", "--genres", "blues,jazz", "--min-tracks", "3"), ("--arch", "lda"), id="a folder"),
        pytest.param(
            ("--manifest", "the list.csv", "--augment"),
            ("--arch", "mlp", "--hidden", "8,8", "--epochs", "1", "--split-seed", "2"),
            id="a manifest",
        ),
    ],
)
def test_the_commands_of_a_report_give_the_same_figures_in_another_folder(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    genrekit: CommandLine,
    source: tuple[str, ...],
    arch: tuple[str, ...],
) -> None:
    for name in ("first", "again"):
        shutil.copytree(workspace / "data", tmp_path / name / "my music", ignore=shutil.ignore_patterns("cache*"))
        (tmp_path / name / "the list.csv").write_text(MANIFEST)
    monkeypatch.chdir(tmp_path / "first")
    assert genrekit("prepare", *source, "--out", "caches/my cache.h5", *SMALL, "--workers", 1).code == 0
    assert genrekit("train", "--cache", "caches/my cache.h5", *arch).code == 0
    evaluate = ("evaluate", "best_models", "--cache", "caches/my cache.h5", "--json", "--report", "report.html")
    (model,) = genrekit(*evaluate).json["models"]
    page = Path("report.html").read_text(encoding="utf-8")
    lines = [line for line in html.unescape(re.sub("<[^>]*>", "\n", page)).splitlines() if line.startswith(COMMANDS)]
    assert tuple(" ".join(line.split()[:2]) for line in lines) == COMMANDS
    monkeypatch.chdir(tmp_path / "again")
    outcomes = [genrekit(*shlex.split(line)[1:], "--json") for line in lines]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    (again,) = outcomes[-1].json["models"]
    assert {**again, "bundle": ""} == {**model, "bundle": ""}


def test_a_folder_that_starts_with_a_hyphen_is_no_option() -> None:
    metadata = describe(tiny_config(), collection={"data": "-old music"}, cache="c.h5")
    assert commands_for(metadata, BUNDLE, SOURCE)[0].startswith("genrekit prepare './-old music' --out=c.h5 ")


def test_a_report_on_a_fitted_model_lists_no_options_of_networks(here: Path, genrekit: CommandLine) -> None:
    assert genrekit("train", "--arch", "lda", "--out", "runs/lda").code == 0
    assert genrekit("evaluate", "runs/lda/best", "--report", "lda.html").code == 0
    page = Path("lda.html").read_text(encoding="utf-8")
    assert ">calibrate<" in page
    for option in ("dropout", "label_smoothing", "warmup_epochs", "batch_size"):
        assert f">{option}<" not in page
