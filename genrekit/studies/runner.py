"""Run a study: train its missing runs, test its hypotheses and write the report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrekit._types import AnyPath
from genrekit.config import TrainConfig, fields_with
from genrekit.data.cache.reader import open_cache
from genrekit.data.collection import SkippedFile
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock, require_writable
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.intervals import Interval
from genrekit.models.leaderboard import KEPT, require_best_folder
from genrekit.studies.costs import warn_of_size
from genrekit.studies.evidence import ArmRuns, Evidence, arm_runs, judge_claims
from genrekit.studies.plan import (
    Experiment,
    StudyOptions,
    by_now,
    distinct,
    find_damaged,
    fix_plan,
    index_runs,
    plan_experiments,
)
from genrekit.studies.progress import Progress
from genrekit.studies.report import write_report
from genrekit.studies.results import SearchResult, StudyHead, StudyResult
from genrekit.studies.schema import Study, open_study
from genrekit.studies.worker_pool import Conditions, Job, shown, train_each
from genrekit.training.tracking import NO_TRACKING, Tracking
from genrekit.workflows.compare import RankedRun
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.runs import HISTORY, read_history, read_result

_OF_THIS_MACHINE = ("format_version", "run", "bundle", "kept")
"""What a run's result says that the record of an experiment does not repeat."""

_REPETITION = set(fields_with(TrainConfig, lambda option: option.scope == "repetition"))
"""Fields in which the runs of one arm differ."""

_QUIET = Reporter()
_AS_DECLARED = StudyOptions()


def run_study(
    name: AnyPath,
    cache_path: AnyPath,
    options: StudyOptions = _AS_DECLARED,
    *,
    runs: AnyPath = "runs",
    reports: AnyPath = "reports",
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    command: str = "",
    reporter: Reporter = _QUIET,
) -> StudyResult:
    """Train what a study lacks, and judge its claims; a finished run of the same configuration is never repeated.

    `name` is that of a study that comes with genrekit, or the path of a study file; runs that it needs are looked for
    in `runs`, and new ones made there. The report is written to a folder of the study's name in `reports`; it says with
    which `command` it was asked for. Accuracies are shares in [0, 1], losses in nats.
    With `options.workers` above 1, a script must call it under `if __name__ == "__main__":`, as it starts processes.
    Errors: UsageError for a study that cannot be, GenrekitError for one that was begun with another collection, or
    whose file has changed since; and where no run could be finished.
    """
    study = open_study(os.fspath(name))
    cache = open_cache(Path(cache_path))
    splits = TrainedSplits(cache)
    folder = Path(reports) / study.name
    experiments = plan_experiments(study, splits, options, Path(runs))
    if not any(item.finished or item.wanted for item in experiments):
        raise GenrekitError(f"no run of {study.name} is there: train some of its arms")
    conditions = Conditions(cache.path, None if best_models is None else Path(best_models), tracking, strict)
    with exclusive_lock(folder / ".lock", f"the study {study.name}"):
        planned = fix_plan(folder, study, splits, experiments, options)
        for one, twin in _twins(study, experiments):
            reporter.note(
                f"{twin} has the configuration of {one}: they are one arm under two names, and share its runs"
            )
        warn_of_size(experiments, cache, options.workers, reporter)
        return conclude(study, splits, experiments, planned, conditions, options, folder, command, reporter)


def _twins(study: Study, experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """Arms of the study's own that have the configuration of an earlier one."""
    own = {arm.name for arm in study.own_arms()}
    first: dict[str, str] = {}
    names = [(first.setdefault(item.key, item.arm.name), item.arm.name) for item in experiments]
    return list(dict.fromkeys((name, twin) for name, twin in names if name != twin and {name, twin} <= own))


def conclude(
    study: Study,
    splits: TrainedSplits,
    experiments: Sequence[Experiment],
    planned: Mapping[str, Any],
    conditions: Conditions,
    options: StudyOptions,
    folder: Path,
    command: str,
    reporter: Reporter,
    search: SearchResult | None = None,
) -> StudyResult:
    """Train the experiments that are missing, judge what is finished, and write the report into a folder.

    Errors: GenrekitError where no run could be finished.
    """
    for run, problem in find_damaged(experiments).items():
        reporter.warning(f"{run.name} is not counted, and is to be made anew: {problem}")
    concerned = [item for item in experiments if item.finished or item.wanted]
    problems = _train_missing(concerned, conditions, options, reporter)
    known = index_runs(experiments[0].run.parent)
    experiments = [by_now(item, known) for item in experiments]
    there = {item.name for item in experiments if item.finished}
    problems = {name: problem for name, problem in problems.items() if name not in there}
    for failed, problem in problems.items():
        reporter.warning(f"{failed} failed: {problem}; it is tried again the next time")
    result, histories, records = _judge(study, splits, experiments, planned, options, command)
    result = replace(
        result,
        skipped=tuple(SkippedFile(*item) for item in problems.items()),
        report=folder / "report.md",
        search=search,
    )
    write_report(result, histories, records, folder)
    return result


def _train_missing(
    experiments: Sequence[Experiment], conditions: Conditions, options: StudyOptions, reporter: Reporter
) -> dict[str, str]:
    experiments = distinct(experiments)
    missing = [place for place, item in enumerate(experiments) if item.missing]
    if not missing:
        return {}
    require_writable(experiments[0].run.parent)
    if conditions.best_models is not None:
        require_best_folder(conditions.best_models)
    states = [
        RunProgress(item.name, "there" if item.finished else "waiting", epochs=item.config.epochs)
        for item in experiments
    ]
    taken: list[int] = []
    progress = Progress(states, taken, reporter)
    waiting = iter(missing)

    def take() -> Job | None:
        for place in waiting:
            item = by_now(experiments[place], index_runs(experiments[place].run.parent))
            if not item.finished:
                taken.append(place)
                values = {"device": options.device} if item.begun else item.config.model_dump(mode="json")
                return Job(item.name, values, item.run, item.begun)
            progress.change(place, state="there")
        return None

    progress.tell()
    with shown(reporter):
        return train_each(take, conditions, workers=min(options.workers, len(missing)), watcher=progress)


def _judge(
    study: Study,
    splits: TrainedSplits,
    experiments: Sequence[Experiment],
    planned: Mapping[str, Any],
    options: StudyOptions,
    command: str,
) -> tuple[StudyResult, dict[str, list[tuple[Epoch, ...]]], dict[str, dict[str, Any]]]:
    """Read the finished runs, and make the study's result, the arms' learning curves and one record a run."""
    finished = [item for item in experiments if item.finished]
    if not finished:
        raise GenrekitError(f"no run of {study.name} could be finished: mend what its warnings name")
    folds = options.fold_count(study)
    planned_arms = {item.arm.name: item.arm for item in experiments}
    arms = {name: arm_runs(arm, experiments, folds, arm.epochs) for name, arm in planned_arms.items()}
    evidence = Evidence(arms, {track.id: track.genre for track in splits.cache.tracks})
    order = evidence.ranking(study.at)
    if not order:
        raise GenrekitError(f"of no seed of {study.name} all folds are there: train the others")
    later = tuple(sorted({item.seed for item in finished} - set(planned["seeds"])))
    results = {item.name: read_result(item.run) for item in finished}
    own = {name: [results[item.name] for item in finished if item.arm.name == name] for name in arms}
    runs = [
        _ranked(evidence, name, own[name], later, cut=_cut(arms[name], options.seed_count(study), study))
        for name in arms
    ]
    ties = evidence.ties(order, study.at)
    shown = set([name for name in order if evidence.first(name) == name][: study.best] if study.best else order)
    ranked = sorted(finished, key=lambda item: _rank(results[item.name]))
    best = {item.run for item in distinct(ranked)[:KEPT]}
    kept = [
        replace(run, kept=not best.isdisjoint(arms[run.name].runs), comparable=evidence.comparable(run.name, order[0]))
        for run in runs
        if run.name in shown
    ]
    result = StudyResult(
        runs=tuple(kept),
        ranking=tuple(name for name in order if name in shown),
        ties=tuple(name for name in ties if name in shown or evidence.first(name) == name),
        study=study.name,
        findings=judge_claims(study.claims, evidence, study.at),
        absent=tuple(name for name in arms if not arms[name].answers),
        head=_head(study, splits, finished, arms, planned, command, max(map(evidence.chance, order))),
    )
    histories: dict[str, list[tuple[Epoch, ...]]] = {}
    for item in finished:
        if item.arm.name in shown:
            histories.setdefault(item.arm.name, []).append(read_history(item.run / HISTORY))
    return result, histories, {item.name: _record(item, results[item.name]) for item in finished}


def _rank(result: Mapping[str, Any]) -> tuple[float, float]:
    """By what bundles are kept among the best models: a higher track accuracy, then less loss."""
    return -result["validation"]["track_accuracy"], result["validation"]["loss"]


def _cut(arm: ArmRuns, wanted: int, study: Study) -> str:
    seeds, epochs = max(wanted, study.seeds), f"{arm.epochs} of {arm.declared_epochs} epochs"
    parts = [f"{len(arm.seeds)} of {seeds} seeds"] if len(arm.seeds) < seeds else []
    return ", ".join(parts + ([epochs] if arm.epochs < arm.declared_epochs else []))


def _ranked(
    evidence: Evidence, name: str, own: Sequence[Mapping[str, Any]], later: tuple[int, ...], *, cut: str
) -> RankedRun:
    arm = evidence.arms[name]
    best = evidence.interval(name, "accuracy", "best") or Interval(0.0, 0.0, 1.0)
    loss = evidence.interval(name, "loss", "best")
    return RankedRun(
        name=name,
        config=arm.config.model_dump(mode="json", exclude=_REPETITION),
        seeds=arm.seeds,
        track_accuracy={"mean": best.value, "low": best.low, "high": best.high},
        loss=0.0 if loss is None else loss.value,
        parameters=own[0]["parameters"] if own else 0,
        split=own[0]["split"] if own else "",
        kept=False,
        group=arm.arm.group,
        later_seeds=tuple(seed for seed in later if seed in arm.seeds),
        epochs=arm.epochs,
        last_accuracy=evidence.interval(name, "accuracy", "last"),
        equal_steps_accuracy=evidence.interval(name, "accuracy", "equal steps"),
        last_loss=evidence.interval(name, "loss", "last"),
        training_accuracy=evidence.interval(name, "training_accuracy", "last"),
        overfitting=evidence.interval(name, "overfitting", "last"),
        dead_channels=evidence.interval(name, "dead_channels", "last"),
        trained=evidence.trained(name),
        seconds=float(np.mean([its["seconds"] for its in own])) if own else 0.0,
        cut=cut,
    )


def _head(
    study: Study,
    splits: TrainedSplits,
    finished: Sequence[Experiment],
    arms: Mapping[str, ArmRuns],
    planned: Mapping[str, Any],
    command: str,
    chance: float,
) -> StudyHead:
    epochs = [arm.declared_epochs for arm in arms.values()]
    notes = (*study.notes, *(("The study was changed after its first run.",) if planned["amended"] else ()))
    first = next(arm for arm in arms.values() if arm.answers)
    training = {len(splits.of(item.config).ids("train")) for item in finished}
    return StudyHead(
        name=study.name,
        title=study.title,
        question=study.question,
        source=study.source,
        notes=notes,
        command=command,
        split="; ".join(dict.fromkeys(_validated_on(splits, item.config) for item in finished)),
        training_tracks=min(training),
        most_training_tracks=max(training),
        validation_tracks=len({track for answers in first.answers[0] for track in answers.track_ids}),
        resampled=first.answers[0][0].resampled,
        genres=splits.cache.genres,
        declared_seeds=study.seeds,
        declared_epochs=max(epochs),
        at=study.at,
        chance=chance,
    )


def _validated_on(splits: TrainedSplits, config: TrainConfig) -> str:
    """The split of a run, with all folds of it together."""
    folds = f", {config.folds} folds" if config.folds else ""
    whole = config.model_copy(update={"folds": 0, "fold": 0})
    return splits.of(config).name + folds + whole.validated_on


def _record(item: Experiment, result: Mapping[str, Any]) -> dict[str, Any]:
    """All hyperparameters and figures of one run."""
    return {
        "arm": item.arm.name,
        "seed": item.seed,
        "run": str(item.run),
        "hyperparameters": item.config.model_dump(mode="json"),
        "result": {key: value for key, value in result.items() if key not in _OF_THIS_MACHINE},
    }
