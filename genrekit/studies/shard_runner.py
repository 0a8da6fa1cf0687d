"""study run --shard: train one share of a study's runs, without knowing the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrekit._types import AnyPath
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.shards import ShardNumber
from genrekit.data.collection import SkippedFile
from genrekit.data.splits.folds import TrainedSplits
from genrekit.io.files import exclusive_lock
from genrekit.studies.costs import warn_of_size
from genrekit.studies.plan import Experiment, StudyOptions, distinct, fix_plan, plan_experiments
from genrekit.studies.runner import train_missing
from genrekit.studies.study_files import open_study
from genrekit.studies.training_pool import LocalPool
from genrekit.studies.worker_pool import Conditions
from genrekit.training.tracking import NO_TRACKING, Tracking
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.reporter import Reporter

_LOCK_S = 60.0
"""Seconds to wait for the study's lock, which another shard holds while it writes the plan."""

_SILENT = Reporter()
_AS_IN_FILE = StudyOptions()


@dataclass(frozen=True)
class StudyShard:
    """What became of the `runs` of one share of a study.

    `finished` were complete before the call, `trained` are by it, and `skipped` failed, with the reasons.
    """

    study: str
    number: int
    of: int
    runs: int
    finished: int
    trained: int
    skipped: tuple[SkippedFile, ...]


@with_progress
def run_shard(
    name: AnyPath,
    cache_path: AnyPath,
    shard: str,
    options: StudyOptions = _AS_IN_FILE,
    *,
    runs: AnyPath = "runs",
    reports: AnyPath = "reports",
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    reporter: Reporter = _SILENT,
) -> StudyShard:
    """Train the missing runs of one share of a study, such as "3/16".

    The arguments are those of `run_study`, and must be the same for all shares. Shares can be trained in any order and
    on any host that shares the file system. No report is written: `run_study` writes it when all runs are there.
    Errors: UsageError if `shard` or the study is not valid; GenrekitError if the study or its data changed after the
    first run, or if another process runs the whole study.
    """
    number = ShardNumber.parse(shard)
    study = open_study(os.fspath(name))
    cache = open_cache(Path(cache_path))
    splits = TrainedSplits(cache)
    experiments = plan_experiments(study, splits, options, Path(runs))
    conditions = Conditions(cache.path, None if best_models is None else Path(best_models), tracking, strict)
    folder = Path(reports) / study.name
    with exclusive_lock(folder / ".lock", f"the study {study.name}", wait_s=_LOCK_S):
        fix_plan(folder, study, splits, experiments, options)
    share = share_of(experiments, number)
    pool = LocalPool(options.workers or 1, reporter)
    warn_of_size(share, cache, pool.workers_here, reporter)
    missing = [item for item in share if item.missing]
    problems = train_missing(share, conditions, options, pool, reporter) if missing else {}
    for run, problem in problems.items():
        reporter.warning(f"{run} failed: {problem}; run the same command to try it again")
    return StudyShard(
        study=study.name,
        number=number.number,
        of=number.of,
        runs=len(share),
        finished=len(share) - len(missing),
        trained=len(missing) - len(problems),
        skipped=tuple(SkippedFile(*item) for item in problems.items()),
    )


def share_of(experiments: Sequence[Experiment], shard: ShardNumber) -> list[Experiment]:
    """Return the experiments of a shard: every `shard.of`-th one that is trained, whether it is finished or not.

    Neighbours have one configuration and so about the same cost, so each share takes about the same time.
    """
    return distinct([item for item in experiments if item.wanted])[shard.number - 1 :: shard.of]
