"""What the runs of a study take, before they begin."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from genrekit._types import AnyPath
from genrekit.config import PrepareConfig, TrainConfig, fields_with
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.loader import subset_source
from genrekit.data.splits.folds import TrainedSplits
from genrekit.data.splits.groups import artist_clusters
from genrekit.data.splits.split import Split
from genrekit.data.splits.store import split_tracks
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import size_text
from genrekit.metrics.comparison import detectable_difference
from genrekit.studies.noise import USUAL, Noise, noise_of
from genrekit.studies.optuna_trials import TRIALS_FILE, count_ended
from genrekit.studies.plan import Experiment, StudyOptions, distinct, plan_experiments
from genrekit.studies.schema import Arm, Study, open_study, shipped_studies, study_arms
from genrekit.studies.search_schema import Search, describe, read_search
from genrekit.training.devices import choose_device
from genrekit.training.footprint import Footprint, free_memory, measure, model_to_measure
from genrekit.training.runtime_estimate import Pace, measure_pace
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import HISTORY, read_history


@dataclass(frozen=True)
class PlannedArm:
    """One configuration of a study and what a run of it takes; memory in bytes, None for what is fitted at once."""

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
    """A study before it runs: `seconds` is about what the missing runs take, one after another, on this machine.

    `detectable` is the smallest true difference of accuracy that the plan finds four times in five with that `noise`;
    None where it finds none, or there is no cache. `shortages` say of what the runs need more than is free. `obstacle`
    says why a study that is listed cannot run on the cache; the rest is then as without one.
    """

    study: str
    title: str
    question: str
    arms: tuple[PlannedArm, ...]
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
    """The studies that come with genrekit."""

    studies: tuple[StudyPlan, ...]


@dataclass(frozen=True)
class SearchPlan:
    """A search before it runs: `seconds` is about what is missing takes at most, one run after another.

    `done` trials need not be tried again; `memory` in bytes is that of the largest of some drawn configurations.
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


_UNKNOWN_GENRES = 10
"""Genres that are assumed where there is no cache."""

_DRAWN = 32
"""Configurations of a space by which a search's time and memory are estimated."""

_CHECKPOINTS = 2
"""A run keeps its last checkpoint and the one before it."""


_WITHOUT_COST = {
    name: TrainConfig.model_fields[name].get_default(call_default_factory=True)
    for name in fields_with(TrainConfig, lambda option: not option.affects_cost)
}
"""Defaults of the fields that change neither the time nor the memory of a training step."""


def list_studies(cache_path: AnyPath, *, runs: AnyPath = "runs") -> StudyList:
    """The studies that come with genrekit: what each asks, its arms, and what they take.

    Where there is no cache, what depends on it is left open: times, and which runs are there.
    """
    splits = TrainedSplits(open_cache(Path(cache_path))) if Path(cache_path).exists() else None
    pace = None if splits is None else measure_pace(choose_device("auto"))
    studies = [open_study(name) for name in shipped_studies()]
    return StudyList(tuple(_listed(study, splits, Path(runs), pace) for study in studies))


def _listed(study: Study, splits: TrainedSplits | None, runs: Path, pace: Pace | None) -> StudyPlan:
    """A study's plan; where the cache does not allow it, what stands in the way, and what is known without a cache."""
    try:
        return _plan(study, splits, StudyOptions(), runs, pace)
    except GenrekitError as error:
        return replace(_plan(study, None, StudyOptions(), runs, None), obstacle=str(error))


def plan_study(name: str, cache_path: AnyPath, options: StudyOptions, *, runs: AnyPath = "runs") -> StudyPlan:
    """What a study would do if it ran now.

    Errors: as of running it.
    """
    splits = TrainedSplits(open_cache(Path(cache_path)))
    return _plan(open_study(name), splits, options, Path(runs), measure_pace(choose_device(options.device)))


def plan_search(
    path: AnyPath, cache_path: AnyPath, options: StudyOptions, *, reports: AnyPath = "reports"
) -> SearchPlan:
    """What a search would do if it ran now; what it takes is estimated by some configurations of its space.

    Errors: as of running it.
    """
    options.require_search()
    search = read_search(Path(path))
    options.require_split([search.arm(0, {})])
    splits = TrainedSplits(open_cache(Path(cache_path)))
    book = Path(reports) / search.name / TRIALS_FILE
    done = count_ended(book, search) if book.exists() else 0
    drawn = list(_drawn(search, options))
    pace = measure_pace(choose_device(options.device))
    seconds = [_seconds(config, [], splits, pace) for config in drawn]
    known = [value for value in seconds if value is not None]
    seeds = options.seeds or search.seeds
    runs = max(search.trials - done, 0) * search.trial_seeds + search.finalists * seeds
    sizes = [
        _footprint(config, splits.cache.config, len(splits.cache.genres)).memory
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
        detectable=_detectable(splits, drawn[:1], seeds, USUAL) if drawn else None,
    )


def _drawn(search: Search, options: StudyOptions) -> Iterator[TrainConfig]:
    """Some configurations of a space, of those that training accepts."""
    generator = np.random.default_rng(search.sampler_seed)
    for number in range(_DRAWN):
        arm = search.arm(number, {name: its.draw(name, generator) for name, its in search.dimensions.items()})
        with suppress(UsageError):
            yield arm.config(0, **options.values(arm))


def warn_of_size(experiments: Sequence[Experiment], cache: Cache, workers: int, reporter: Reporter) -> None:
    """Say before they start what missing runs take more than there is: memory is estimated, disk is counted.

    Errors: GenrekitError where the disk cannot hold them.
    """
    memory, disk = _shortages(distinct([item for item in experiments if item.missing]), cache, workers)
    if memory:
        reporter.warning(memory)
    if disk:
        raise GenrekitError(disk)


def _shortages(missing: Sequence[Experiment], cache: Cache, workers: int) -> tuple[str, str]:
    """What missing runs need more of than is free, of memory and of disk; nothing where there is enough."""
    networks = [item for item in missing if item.config.architecture.trained_by_gradient]
    if not networks:
        return "", ""
    sizes = [_footprint(item.config, cache.config, len(cache.genres)) for item in networks]
    largest = sorted((size.memory for size in sizes), reverse=True)[:workers]
    free, memory = free_memory(choose_device(networks[0].config.device)), ""
    if free is not None and sum(largest) > free:
        at_once = "a run needs" if len(largest) == 1 else f"{len(largest)} runs at once need"
        remedy = "leave the largest arms out" if largest[0] > free else "choose fewer workers"
        memory = f"{at_once} about {size_text(sum(largest))} of memory, {size_text(free)} are free: {remedy}"
    needed, run = sum(map(_disk, sizes)), networks[0].run
    folder = next(path for path in (run, *run.parents) if path.exists())
    room, disk = shutil.disk_usage(folder).free, ""
    if needed > room:
        disk = (
            f"the missing runs need {size_text(needed)} of disk, {size_text(room)} are free in {folder}: make room, or "
            "choose fewer seeds"
        )
    return memory, disk


def _plan(
    study: Study, splits: TrainedSplits | None, options: StudyOptions, runs: Path, pace: Pace | None
) -> StudyPlan:
    cache = None if splits is None else splits.cache
    experiments = [] if splits is None else plan_experiments(study, splits, options, runs)
    arms = [_arm(arm, experiments, splits, options, pace) for arm in study_arms(study)]
    missing = distinct([item for item in experiments if item.missing])
    runs_of = Counter(item.arm.name for item in missing)
    times = [arm.seconds and arm.seconds * runs_of[arm.name] if runs_of[arm.name] else 0.0 for arm in arms]
    known = [seconds for seconds in times if seconds is not None]
    seeds, folds = options.seed_count(study), options.fold_count(study)
    sizes = [
        _disk(_footprint(item.config, cache.config, len(cache.genres)))
        for item in missing
        if cache is not None and item.config.architecture.trained_by_gradient
    ]
    noise = USUAL if cache is None else noise_of(study, experiments, folds)
    return StudyPlan(
        study=study.name,
        title=study.title,
        question=study.question,
        arms=tuple(arms),
        seeds=seeds,
        finished=len({item.run for item in experiments if item.finished}),
        missing=len(missing) if cache is not None else len(arms) * seeds * max(folds, 1),
        seconds=sum(known) if cache is not None and len(known) == len(times) else None,
        disk=sum(sizes) if cache is not None and (sizes or not missing) else None,
        detectable=None
        if splits is None
        else _detectable(splits, [item.config for item in _first_seed(experiments)], seeds, noise),
        noise=noise,
        folds=folds,
        shortages=() if cache is None else tuple(filter(None, _shortages(missing, cache, options.workers))),
    )


def _first_seed(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The folds of the first arm's first seed."""
    return [item for item in experiments if (item.arm, item.seed) == (experiments[0].arm, experiments[0].seed)]


def _detectable(splits: TrainedSplits, folds: Sequence[TrainConfig], seeds: int, noise: Noise) -> float | None:
    names = artist_clusters(split_tracks(splits.cache))
    clusters = len({names[track_id] for config in folds for track_id in splits.of(config).ids("validation")})
    if clusters < 2:
        return None
    found = detectable_difference(seeds, clusters, noise.run_sd, noise.track_sd)
    return found if found < 1 else None


def _arm(
    arm: Arm, experiments: Sequence[Experiment], splits: TrainedSplits | None, options: StudyOptions, pace: Pace | None
) -> PlannedArm:
    own = [item for item in experiments if item.arm.name == arm.name]
    config = own[0].config if own else arm.config(0, **options.values(arm))
    cache = None if splits is None else splits.cache
    prepared, genres = (PrepareConfig(), _UNKNOWN_GENRES) if cache is None else (cache.config, len(cache.genres))
    size = _footprint(config, prepared, genres)
    return PlannedArm(
        name=arm.name,
        group=arm.group,
        epochs=config.epochs,
        parameters=size.parameters,
        memory=size.memory if config.architecture.trained_by_gradient else None,
        seconds=None if splits is None or pace is None else _seconds(config, own, splits, pace),
        finished=sum(item.finished for item in own),
        missing=sum(item.missing for item in own),
    )


def _seconds(config: TrainConfig, own: Sequence[Experiment], splits: TrainedSplits, pace: Pace) -> float | None:
    """What a run takes: as long as a finished one of its arm, or by the pace of small steps."""
    done = [sum(epoch.seconds for epoch in read_history(item.run / HISTORY)) for item in own if item.finished]
    if done:
        return sum(done) / len(done)
    if not config.architecture.trained_by_gradient:
        return None
    counts = _fragments(splits.cache, splits.of(config), config)
    steps = -(-counts["train"] // config.batch_size)
    step = _step_seconds(config, splits.cache.config, len(splits.cache.genres), pace)
    forward = step / config.batch_size / 3  # a step is three forward passes' work
    return config.epochs * (steps * step + counts["validation"] * forward)


def _step_seconds(config: TrainConfig, prepared: PrepareConfig, n_genres: int, pace: Pace) -> float:
    model = _meta_model(_measured(config), prepared, n_genres)
    return pace.step_seconds(model, prepared.front_end.shape(config.input), config.batch_size)


def _fragments(cache: Cache, split: Split, config: TrainConfig) -> dict[str, int]:
    parts = ("train", "validation")
    return {part: len(subset_source(cache, config.input, split, part, config.fragments).rows) for part in parts}


def _footprint(config: TrainConfig, prepared: PrepareConfig, n_genres: int) -> Footprint:
    return _measured_footprint(_measured(config), prepared, n_genres, choose_device(config.device))


@lru_cache(maxsize=1_000)
def _measured_footprint(config: TrainConfig, prepared: PrepareConfig, n_genres: int, device: torch.device) -> Footprint:
    model = _meta_model(config, prepared, n_genres)
    return measure(model, config, prepared.front_end.shape(config.input), device)


def _measured(config: TrainConfig) -> TrainConfig:
    """Reset the fields that do not change the cost of a step, so that many runs share one cached measurement."""
    return config.model_copy(update=_WITHOUT_COST)


@lru_cache(maxsize=1_000)
def _meta_model(config: TrainConfig, prepared: PrepareConfig, n_genres: int) -> torch.nn.Module:
    return model_to_measure(config, prepared.front_end, n_genres)


def _disk(size: Footprint) -> int:
    """Checkpoints, the bundle and what is kept of it."""
    return _CHECKPOINTS * size.checkpoint + 2 * size.weights
