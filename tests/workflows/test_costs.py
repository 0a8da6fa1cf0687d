"""What runs take is said before they begin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_cache import PLAIN, build
from tiny_music import write_collection

from genrekit.dataset.cache import open_cache
from genrekit.dataset.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.evaluation.comparison import detectable_difference
from genrekit.studies.schema import read_study
from genrekit.workflows import costs
from genrekit.workflows.experiments import Experiment, StudyOptions, plan_experiments
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.study import run_study

STUDY = """format_version = 1
title = "Tiny"
question = "?"
[base]
arch = "cel"
channels = [4]
epochs = 2
patience = 0
[grid]
lr = [0.1, 0.01]
"""


class Ears(Reporter):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("costs")
    write_collection(folder / "music", {"a": 10, "b": 10}, duration_s=0.6, sample_rate=8_000)
    build(folder / "music", folder / "cache.h5", PLAIN)
    return folder / "cache.h5"


@pytest.fixture
def experiments(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(STUDY, encoding="utf-8")
    splits = TrainedSplits(open_cache(cache))
    return plan_experiments(read_study(Path("tiny.toml")), splits, StudyOptions(seeds=2), Path("runs"))


def test_more_runs_at_once_than_memory_holds_are_a_warning(
    cache: Path, experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = costs._footprint(experiments[0].config, PLAIN, 2).memory
    monkeypatch.setattr(costs, "free_memory", lambda _device: round(1.5 * one))
    ears = Ears()
    costs.warn_of_size(experiments, open_cache(cache), 1, ears)
    assert ears.warnings == []
    costs.warn_of_size(experiments, open_cache(cache), 2, ears)
    assert "2 runs at once need about" in ears.warnings[0]
    assert "choose fewer workers" in ears.warnings[0]


def test_more_than_the_disk_holds_is_refused_before_the_first_run(
    cache: Path, experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_path: Path) -> Any:
        return shutil._ntuple_diskusage(1_000, 0, 1_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(GenrekitError, match=r"the missing runs need .* of disk, 1.0 kB are free"):
        run_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert not Path("runs").exists()


def test_a_plan_counts_what_is_there_and_takes_its_time_from_it(cache: Path, experiments: list[Experiment]) -> None:
    before = costs.plan_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert (before.finished, before.missing) == (0, 4)
    assert before.seconds is not None
    assert before.seconds > 0
    run_study("tiny.toml", cache, StudyOptions(seeds=1))
    after = costs.plan_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert (after.finished, after.missing) == (2, 2)
    assert all((arm.finished, arm.missing) == (1, 1) for arm in after.arms)
    assert after.disk is not None
    assert before.disk == 2 * after.disk


def test_a_plan_that_can_find_no_difference_says_none(cache: Path, experiments: list[Experiment]) -> None:
    """Two validation tracks tell nothing, however many seeds."""
    assert costs.plan_study("tiny.toml", cache, StudyOptions(seeds=9)).detectable is None


def test_the_smallest_difference_follows_from_seeds_and_artists(tmp_path: Path, experiments: list[Experiment]) -> None:
    write_collection(tmp_path / "more", {"a": 100, "b": 100}, duration_s=0.6, sample_rate=8_000)
    build(tmp_path / "more", tmp_path / "more.h5", PLAIN)
    found = costs.plan_study("tiny.toml", tmp_path / "more.h5", StudyOptions(seeds=4)).detectable
    assert found == detectable_difference(4, 20)
