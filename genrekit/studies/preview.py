"""What a study or a search would do if it ran now: missing runs, time, memory and detectable differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from genrekit._types import AnyPath
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.shards import ShardNumber
from genrekit.data.splits.folds import TrainedSplits
from genrekit.data.splits.groups import artist_clusters
from genrekit.data.splits.store import split_tracks
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.json_values import stored_as
from genrekit.metrics.comparison import detectable_difference
from genrekit.studies.costs import disk_space, footprint, run_seconds, shortages
from genrekit.studies.noise import TYPICAL, Noise, noise_of
from genrekit.studies.optuna_trials import TRIALS_FILE, count_ended
from genrekit.studies.plan import Experiment, StudyOptions, distinct, plan_experiments
from genrekit.studies.schema import Configuration, Study
from genrekit.studies.search_schema import Search, describe, read_search
from genrekit.studies.shard_runner import share_of
from genrekit.studies.study_files import open_study, shipped_studies, study_configurations
from genrekit.training.devices import choose_device
from genrekit.training.runtime_estimate import Pace, measure_pace


@dataclass(frozen=True)
class PlannedConfiguration:
    """A configuration of a study and the cost of a run. `memory` is in bytes, None for classical models."""

    name: str
    group: str
    epochs: int
    parameters: int
    memory: int | None
    seconds: float | None
    finished: int
    missing: int


@dataclass(frozen=True)
class StudyPlan:
    """A study before it runs.

    `seconds` is the estimated time of all missing runs, one after another. `detectable` is the smallest true difference
    in accuracy that the study detects in four of five cases with this `noise`; None if there is none, or no cache.
    `shortages` has messages about memory and disk space. `obstacle` is why the study cannot run on the cache; the other
    fields are then as without a cache.
    """

    study: str
    title: str
    question: str
    configurations: tuple[PlannedConfiguration, ...] = field(metadata=stored_as("arms"))
    seeds: int
    finished: int
    missing: int
    seconds: float | None
    disk: int | None
    detectable: float | None
    noise: Noise
    folds: int = 0
    obstacle: str = ""
    shortages: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyList:
    """The plans of included studies."""

    studies: tuple[StudyPlan, ...]


@dataclass(frozen=True)
class SearchPlan:
    """A search before it runs.

    `seconds` is the estimated time of what is missing if no trial is pruned, one run after another. `done` trials have
    ended. `trainings` is the number of runs of all trials and finalists. `memory` is that of the largest among some
    drawn configurations, in bytes.
    """

    search: str
    title: str
    question: str
    space: dict[str, str]
    trials: int
    done: int
    finalists: int
    seeds: int
    memory: int | None
    seconds: float | None
    detectable: float | None
    trial_seeds: int
    trainings: int


_GENRES_WITHOUT_CACHE = 10

_DRAWN = 32
"""Number of configurations of a space by which the time and memory of a search are estimated."""


def list_studies(cache_path: AnyPath, *, runs: AnyPath = "runs", hidden: bool = False) -> StudyList:
    """Return the plans of the included studies; with `hidden`, also those that are not listed by default.

    Without a cache, times and existing runs are unknown.
    """
    splits = TrainedSplits(open_cache(Path(cache_path))) if Path(cache_path).exists() else None
    pace = None if splits is None else measure_pace(choose_device("auto"))
    studies = [open_study(name) for name in shipped_studies(hidden=hidden)]
    return StudyList(tuple(_listed(study, splits, Path(runs), pace) for study in studies))


def _listed(study: Study, splits: TrainedSplits | None, runs: Path, pace: Pace | None) -> StudyPlan:
    """The plan of a study; if it cannot run on the cache, the obstacle and the plan without a cache."""
    try:
        return _plan(study, splits, StudyOptions(), runs, pace)
    except GenrekitError as error:
        return replace(_plan(study, None, StudyOptions(), runs, None), obstacle=str(error))


def plan_study(
    name: str, cache_path: AnyPath, options: StudyOptions, *, runs: AnyPath = "runs", shard: str | None = None
) -> StudyPlan:
    """Return what a study would do if it ran now; with `shard`, such as "3/16", the runs of this share only.

    Errors: as of `run_study` and `run_shard`.
    """
    share = None if shard is None else ShardNumber.parse(shard)
    splits = TrainedSplits(open_cache(Path(cache_path)))
    return _plan(open_study(name), splits, options, Path(runs), measure_pace(choose_device(options.device)), share)


def plan_search(
    path: AnyPath, cache_path: AnyPath, options: StudyOptions, *, reports: AnyPath = "reports"
) -> SearchPlan:
    """Return what a search would do if it ran now; its costs are estimated from some configurations of its space.

    Errors: as of `run_search`.
    """
    options.require_search()
    search = read_search(Path(path))
    options.require_split([search.configuration(0, {})])
    splits = TrainedSplits(open_cache(Path(cache_path)))
    trials_file = Path(reports) / search.name / TRIALS_FILE
    done = count_ended(trials_file, search) if trials_file.exists() else 0
    drawn = list(_drawn(search, options))
    pace = measure_pace(choose_device(options.device))
    seconds = [run_seconds(config, [], splits, pace) for config in drawn]
    known = [value for value in seconds if value is not None]
    seeds = options.seeds or search.seeds
    runs = search.trainings(seeds) - min(done, search.trials) * search.trial_seeds
    sizes = [
        footprint(config, splits.cache.config, len(splits.cache.genres)).memory
        for config in drawn
        if config.architecture.trained_by_gradient
    ]
    return SearchPlan(
        search=search.name,
        title=search.title,
        question=search.question,
        space=describe(search.dimensions),
        trials=search.trials,
        done=done,
        finalists=search.finalists,
        seeds=seeds,
        memory=max(sizes, default=None),
        seconds=runs * sum(known) / len(known) if known else None,
        detectable=_detectable(splits, drawn[:1], seeds, TYPICAL) if drawn else None,
        trial_seeds=search.trial_seeds,
        trainings=search.trainings(seeds),
    )


def _drawn(search: Search, options: StudyOptions) -> Iterator[TrainConfig]:
    """Draw configurations of a space, without invalid ones."""
    generator = np.random.default_rng(search.sampler_seed)
    for number in range(_DRAWN):
        values = {name: dimension.draw(name, generator) for name, dimension in search.dimensions.items()}
        configuration = search.configuration(number, values)
        with suppress(UsageError):
            yield configuration.train_config(0, **options.values(configuration))


def _plan(
    study: Study,
    splits: TrainedSplits | None,
    options: StudyOptions,
    runs: Path,
    pace: Pace | None,
    shard: ShardNumber | None = None,
) -> StudyPlan:
    cache = None if splits is None else splits.cache
    planned = [] if splits is None else plan_experiments(study, splits, options, runs)
    experiments = planned if shard is None else share_of(planned, shard)
    configurations = [_planned(item, experiments, splits, options, pace) for item in study_configurations(study)]
    missing = distinct([item for item in experiments if item.missing])
    runs_of = Counter(item.configuration.name for item in missing)
    times = [
        item.seconds and item.seconds * runs_of[item.name] if runs_of[item.name] else 0.0 for item in configurations
    ]
    known = [seconds for seconds in times if seconds is not None]
    seeds, folds = options.seed_count(study), options.fold_count(study)
    sizes = [
        disk_space(footprint(item.config, cache.config, len(cache.genres)))
        for item in missing
        if cache is not None and item.config.architecture.trained_by_gradient
    ]
    noise = TYPICAL if cache is None else noise_of(study, planned, folds)
    return StudyPlan(
        study=study.name,
        title=study.title,
        question=study.question,
        configurations=tuple(configurations),
        seeds=seeds,
        finished=len({item.run for item in experiments if item.finished}),
        missing=len(missing) if cache is not None else len(configurations) * seeds * max(folds, 1),
        seconds=sum(known) if cache is not None and len(known) == len(times) else None,
        disk=sum(sizes) if cache is not None and (sizes or not missing) else None,
        detectable=None
        if splits is None
        else _detectable(splits, [item.config for item in _first_seed(planned)], seeds, noise),
        noise=noise,
        folds=folds,
        shortages=() if cache is None else tuple(filter(None, shortages(missing, cache, options.workers or 1))),
    )


def _first_seed(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The folds of the first configuration's first seed."""
    first = experiments[0]
    return [item for item in experiments if (item.configuration, item.seed) == (first.configuration, first.seed)]


def _detectable(splits: TrainedSplits, folds: Sequence[TrainConfig], seeds: int, noise: Noise) -> float | None:
    names = artist_clusters(split_tracks(splits.cache))
    clusters = len({names[track_id] for config in folds for track_id in splits.of(config).ids("validation")})
    if clusters < 2:
        return None
    difference = detectable_difference(seeds, clusters, noise.run_sd, noise.track_sd)
    return difference if difference < 1 else None


def _planned(
    configuration: Configuration,
    experiments: Sequence[Experiment],
    splits: TrainedSplits | None,
    options: StudyOptions,
    pace: Pace | None,
) -> PlannedConfiguration:
    planned = [item for item in experiments if item.configuration.name == configuration.name]
    config = planned[0].config if planned else configuration.train_config(0, **options.values(configuration))
    cache = None if splits is None else splits.cache
    prepared, genres = (PrepareConfig(), _GENRES_WITHOUT_CACHE) if cache is None else (cache.config, len(cache.genres))
    size = footprint(config, prepared, genres)
    return PlannedConfiguration(
        name=configuration.name,
        group=configuration.group,
        epochs=config.epochs,
        parameters=size.parameters,
        memory=size.memory if config.architecture.trained_by_gradient else None,
        seconds=None if splits is None or pace is None else run_seconds(config, planned, splits, pace),
        finished=sum(item.finished for item in planned),
        missing=sum(item.missing for item in planned),
    )
