"""Estimates of the time, memory and disk space of runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_answers import answers
from tiny_cache import PLAIN, build
from tiny_music import write_collection
from tiny_workflow import STUDY, EventLog, two_genres

from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.metrics.comparison import RUN_SD, TRACK_SD, Sample, Spread, detectable_difference, spread
from genrekit.studies import costs, preview
from genrekit.studies.noise import TYPICAL, Noise, noise_of
from genrekit.studies.plan import Experiment, StudyOptions, plan_experiments
from genrekit.studies.runner import run_study
from genrekit.studies.study_files import open_study, read_study, shipped_studies, study_configurations
from genrekit.training.devices import choose_device
from genrekit.training.footprint import measure
from genrekit.training.validation_log import ANSWERS, load_answers, save_answers


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("costs"))


@pytest.fixture
def experiments(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(STUDY, encoding="utf-8")
    splits = TrainedSplits(open_cache(cache))
    return plan_experiments(read_study(Path("tiny.toml")), splits, StudyOptions(seeds=2), Path("runs"))


def test_more_runs_at_once_than_memory_holds_are_a_warning(
    cache: Path, experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = costs.footprint(experiments[0].config, PLAIN, 2).memory
    monkeypatch.setattr(costs, "free_memory", lambda _device: round(1.5 * one))
    events = EventLog()
    costs.warn_of_size(experiments, open_cache(cache), 1, events)
    assert events.warnings == []
    costs.warn_of_size(experiments, open_cache(cache), 2, events)
    assert "2 runs at once need about" in events.warnings[0]
    assert "use fewer workers" in events.warnings[0]
    monkeypatch.setattr(costs, "free_memory", lambda _device: one // 2)
    for workers, needs in ((1, "a run needs about "), (2, "2 runs at once need about ")):
        (shortage,) = preview.plan_study("tiny.toml", cache, StudyOptions(seeds=2, workers=workers)).shortages
        assert shortage.startswith(needs)
        assert shortage.endswith("are free; leave out the largest configurations")


def test_runs_on_other_hosts_depend_neither_on_the_memory_nor_on_the_devices_here(
    cache: Path, experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "free_memory", lambda _device: 1)
    monkeypatch.setattr("genrekit.training.devices.torch.cuda.is_available", lambda: False)
    elsewhere = [replace(item, config=item.config.model_copy(update={"device": "cuda"})) for item in experiments]
    assert costs.shortages(elsewhere, open_cache(cache), None) == ("", "")
    full = shutil.disk_usage(".")._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    assert "of disk space" in costs.shortages(elsewhere, open_cache(cache), None)[1]


def test_a_plan_counts_the_memory_of_batches(cache: Path, experiments: list[Experiment]) -> None:
    config = experiments[0].config
    few, many = (costs.footprint(config.model_copy(update={"batch_size": size}), PLAIN, 2) for size in (8, 800))
    assert many.memory > many.batch == 100 * few.batch > few.memory


def test_more_than_the_disk_holds_is_refused_before_the_first_run(
    cache: Path, experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_path: Path) -> Any:
        return shutil._ntuple_diskusage(1_000, 0, 1_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(GenrekitError, match=r"the missing runs need .* of disk space, 1.0 kB are free"):
        run_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert not Path("runs").exists()
    (shortage,) = preview.plan_study("tiny.toml", cache, StudyOptions(seeds=2)).shortages
    assert shortage.startswith("the missing runs need ")


@pytest.mark.slow
def test_a_plan_counts_finished_runs_and_estimates_time_from_them(cache: Path, experiments: list[Experiment]) -> None:
    before = preview.plan_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert (before.finished, before.missing) == (0, 4)
    assert before.seconds is not None
    assert before.seconds > 0
    run_study("tiny.toml", cache, StudyOptions(seeds=1))
    after = preview.plan_study("tiny.toml", cache, StudyOptions(seeds=2))
    assert (after.finished, after.missing) == (2, 2)
    assert all((configuration.finished, configuration.missing) == (1, 1) for configuration in after.configurations)
    assert after.disk is not None
    assert before.disk == 2 * after.disk


@pytest.mark.parametrize("name", shipped_studies())
def test_models_of_equal_size_are_measured_once_for_all_runs(name: str) -> None:
    for configuration in study_configurations(open_study(name)):
        config = configuration.train_config(3, fragments="first")
        model, shape = costs._meta_model(config, PrepareConfig(), 10), PrepareConfig().front_end.shape(config.input)
        whole = measure(model, config, shape, choose_device("auto"))
        assert costs.footprint(config, PrepareConfig(), 10) == whole
    costs._measured_footprint.cache_clear()
    for seed in range(5):
        costs.footprint(configuration.train_config(seed), PrepareConfig(), 10)
    assert costs._measured_footprint.cache_info().misses == 1


def test_a_plan_with_too_few_tracks_has_no_detectable_difference(cache: Path, experiments: list[Experiment]) -> None:
    """Two validation tracks are too few, whatever the number of seeds."""
    assert preview.plan_study("tiny.toml", cache, StudyOptions(seeds=9)).detectable is None


def test_the_detectable_difference_depends_on_seeds_and_artists(tmp_path: Path, experiments: list[Experiment]) -> None:
    write_collection(tmp_path / "more", {"a": 100, "b": 100}, duration_s=0.6, sample_rate=8_000)
    build(tmp_path / "more", tmp_path / "more.h5", PLAIN)
    plan = preview.plan_study("tiny.toml", tmp_path / "more.h5", StudyOptions(seeds=4))
    assert plan.noise == TYPICAL == Noise(RUN_SD, TRACK_SD, 0)
    assert plan.detectable == detectable_difference(4, 20)


def answered(experiment: Experiment, seed: int, noise: int) -> Experiment:
    """Write a finished run with this seed and an accuracy of 0.5; `noise` seeds which tracks are correct."""
    run = Path(f"runs/{experiment.configuration.name}-{seed}")
    run.mkdir(parents=True)
    save_answers(run / ANSWERS, answers(0.5, seed=noise))
    return replace(experiment, seed=seed, run=run, finished=True)


def sample_of(runs: list[Experiment]) -> Sample:
    """Return the accuracy of finished runs of a configuration at their last epochs."""
    loaded = [load_answers(item.run / ANSWERS) for item in runs]
    return Sample(np.stack([item.right[-1] for item in loaded]).astype(float), loaded[0].clusters)


@pytest.mark.parametrize(("configurations", "seeds", "measured"), [(2, 3, 2), (1, 3, 1), (2, 2, 0), (0, 0, 0)])
def test_noise_is_measured_on_configurations_with_three_finished_seeds(
    experiments: list[Experiment], configurations: int, seeds: int, measured: int
) -> None:
    firsts = experiments[::2]
    assert len({item.configuration.name for item in firsts}) == 2
    done = [[answered(item, seed, 10 * index + seed) for seed in range(seeds)] for index, item in enumerate(firsts)]
    noise = noise_of(read_study(Path("tiny.toml")), [*experiments, *chain(*done[:configurations])], 0)
    assert noise.configurations == measured
    if measured:
        assert Spread(noise.run_sd, noise.track_sd) == spread(list(map(sample_of, done[:configurations])))
        assert noise.run_sd != RUN_SD
        assert (noise.track_sd == TRACK_SD) == (measured == 1)
    else:
        assert noise == TYPICAL


def test_equal_runs_have_the_typical_noise(experiments: list[Experiment]) -> None:
    own = [answered(item, seed, 0) for item in experiments[::2] for seed in range(3)]
    assert noise_of(read_study(Path("tiny.toml")), own, 0) == TYPICAL


@pytest.mark.slow
def test_a_plan_of_a_study_with_finished_runs_uses_their_noise(cache: Path, experiments: list[Experiment]) -> None:
    run_study("tiny.toml", cache, StudyOptions(seeds=3))
    plan = preview.plan_study("tiny.toml", cache, StudyOptions(seeds=5))
    splits = TrainedSplits(open_cache(cache))
    again = plan_experiments(read_study(Path("tiny.toml")), splits, StudyOptions(seeds=5), Path("runs"))
    assert plan.noise == noise_of(read_study(Path("tiny.toml")), again, 0)
