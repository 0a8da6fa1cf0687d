"""Run a study: train its missing runs, test its hypotheses and write the report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genrekit._types import AnyPath
from genrekit.config import TrainingEngineConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.collection import SkippedFile
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock, require_writable
from genrekit.models.leaderboard import require_best_folder
from genrekit.studies.conclusion import conclude
from genrekit.studies.costs import warn_of_size
from genrekit.studies.plan import (
    Experiment,
    StudyOptions,
    distinct,
    find_damaged,
    fix_plan,
    plan_experiments,
    refreshed,
)
from genrekit.studies.progress import RunStates
from genrekit.studies.report import write_report
from genrekit.studies.results import SearchResult, StudyResult
from genrekit.studies.run_index import find_unreadable, index_runs
from genrekit.studies.schema import Study
from genrekit.studies.study_files import open_study
from genrekit.studies.training_pool import TrainingPool, open_pool
from genrekit.studies.worker_pool import Conditions, Job, progress_shown
from genrekit.training.tracking import NO_TRACKING, Tracking
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.reporter import Reporter, RunProgress

_SILENT = Reporter()
_AS_IN_FILE = StudyOptions()
_LOCAL = TrainingEngineConfig()


@with_progress
def run_study(
    name: AnyPath,
    cache_path: AnyPath,
    options: StudyOptions = _AS_IN_FILE,
    *,
    runs: AnyPath = "runs",
    reports: AnyPath = "reports",
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    command: str = "",
    engine: TrainingEngineConfig = _LOCAL,
    reporter: Reporter = _SILENT,
) -> StudyResult:
    """Train the missing runs of a study, test its hypotheses and write a report.

    `name` is an included study or the path of a study file. Existing runs in `runs` are reused, whatever their names;
    new ones are created there. The report is written to the study's folder in `reports`, and contains `command`.
    `engine` says where runs are trained: on this machine, or on a dask cluster whose hosts share the file system.
    Accuracies are shares in [0, 1], losses are in nats.
    Errors: UsageError for an invalid study, GenrekitError if the study or its data changed after the first run, if no
    run finished, or if the cluster cannot be used.
    """
    study = open_study(os.fspath(name))
    cache = open_cache(Path(cache_path))
    splits = TrainedSplits(cache)
    folder = Path(reports) / study.name
    experiments = plan_experiments(study, splits, options, Path(runs))
    if not any(item.finished or item.wanted for item in experiments):
        changed = f" as {name} is now" if (folder / "plan.json").exists() else ""
        raise GenrekitError(f"{study.name} has no finished runs{changed}: train it with genrekit study run {name}")
    conditions = Conditions(cache.path, None if best_models is None else Path(best_models), tracking, strict)
    with (
        exclusive_lock(folder / ".lock", f"the study {study.name}"),
        open_pool(engine, options.workers, reporter) as pool,
    ):
        plan = fix_plan(folder, study, splits, experiments, options)
        for first, second in _equal_configurations(study, experiments):
            reporter.note(f"{second} has the same settings as {first}; they share their runs")
        warn_of_size(experiments, cache, pool.workers_here, reporter)
        return train_and_report(study, splits, experiments, plan, conditions, options, folder, command, pool, reporter)


def _equal_configurations(study: Study, experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """Pairs of the study's own configurations that have the same settings."""
    own_names = {configuration.name for configuration in study.own_configurations()}
    first: dict[str, str] = {}
    names = [(first.setdefault(item.key, item.configuration.name), item.configuration.name) for item in experiments]
    return list(dict.fromkeys(pair for pair in names if pair[0] != pair[1] and own_names.issuperset(pair)))


def train_and_report(
    study: Study,
    splits: TrainedSplits,
    experiments: Sequence[Experiment],
    plan: Mapping[str, Any],
    conditions: Conditions,
    options: StudyOptions,
    folder: Path,
    command: str,
    pool: TrainingPool,
    reporter: Reporter,
    search: SearchResult | None = None,
) -> StudyResult:
    """Train the missing experiments, judge the finished ones and write the report into a folder.

    Errors: GenrekitError if no run finished.
    """
    for problem in find_unreadable(experiments[0].run.parent).values():
        reporter.warning(f"left out: {problem}")
    for run, problem in find_damaged(experiments).items():
        reporter.warning(f"{run.name} is damaged and not used: {problem}")
    used = [item for item in experiments if item.finished or item.wanted]
    problems = train_missing(used, conditions, options, pool, reporter)
    known = index_runs(experiments[0].run.parent)
    experiments = [refreshed(item, known) for item in experiments]
    finished = {item.name for item in experiments if item.finished}
    problems = {name: problem for name, problem in problems.items() if name not in finished}
    for name, problem in problems.items():
        reporter.warning(f"{name} failed: {problem}; run the same command to try it again")
    conclusion = conclude(study, splits, experiments, plan, options, command)
    result = replace(
        conclusion.result,
        skipped=tuple(SkippedFile(*item) for item in problems.items()),
        report=folder / "report.md",
        search=search,
    )
    write_report(result, conclusion.histories, conclusion.records, folder, conclusion.confusions)
    return result


def train_missing(
    experiments: Sequence[Experiment],
    conditions: Conditions,
    options: StudyOptions,
    pool: TrainingPool,
    reporter: Reporter,
) -> dict[str, str]:
    """Train what is missing, and return the problems of failed runs by name."""
    experiments = distinct(experiments)
    missing = [index for index, item in enumerate(experiments) if item.missing]
    if not missing:
        return {}
    require_writable(experiments[0].run.parent)
    if conditions.best_models is not None:
        require_best_folder(conditions.best_models)
    states = [
        RunProgress(item.name, "finished before" if item.finished else "waiting", epochs=item.config.epochs)
        for item in experiments
    ]
    started: list[int] = []
    progress = RunStates(states, started, reporter)
    waiting = iter(missing)

    def next_job() -> Job | None:
        for index in waiting:
            item = refreshed(experiments[index], index_runs(experiments[index].run.parent))
            if not item.finished:
                started.append(index)
                values = {"device": options.device} if item.started else item.config.model_dump(mode="json")
                return Job(item.name, values, item.run, item.started)
            progress.change(index, state="finished before")
        return None

    progress.report()
    with progress_shown(reporter):
        return pool.train(next_job, conditions, progress, count=len(missing))
