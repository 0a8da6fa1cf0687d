"""From the finished runs of a study to its result, learning curves and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genrekit.config import TrainConfig, fields_with
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.intervals import Interval
from genrekit.models.leaderboard import KEPT
from genrekit.studies.confusion import Confusion, pooled_confusion
from genrekit.studies.evidence import ConfigurationRuns, Evidence, configuration_runs
from genrekit.studies.findings import judge_hypotheses
from genrekit.studies.plan import Experiment, StudyOptions, distinct
from genrekit.studies.results import StudyHead, StudyResult
from genrekit.studies.schema import Study
from genrekit.workflows.compare import RankedRun
from genrekit.workflows.runs import HISTORY, read_history, read_result

_NOT_RECORDED = ("format_version", "run", "bundle", "kept")
"""Keys of a run's result that depend on the machine and are left out of the record of an experiment."""

_REPETITION = set(fields_with(TrainConfig, lambda option: option.scope == "repetition"))
"""Fields in which the runs of one configuration differ."""


@dataclass(frozen=True)
class Conclusion:
    """The result of a study, the curves and confusions of the shown configurations, and one record for each run.

    `confusions` are in the order of the ranking. Configurations with runs of earlier versions have none.
    """

    result: StudyResult
    histories: dict[str, list[tuple[Epoch, ...]]]
    confusions: Mapping[str, Confusion]
    records: dict[str, dict[str, Any]]


def conclude(
    study: Study,
    splits: TrainedSplits,
    experiments: Sequence[Experiment],
    plan: Mapping[str, Any],
    options: StudyOptions,
    command: str,
) -> Conclusion:
    """Read the finished runs of a study, rank its configurations and judge its hypotheses.

    Errors: GenrekitError if no run is finished, or no seed has all of its folds.
    """
    finished = [item for item in experiments if item.finished]
    if not finished:
        raise GenrekitError(f"no run of {study.name} finished; see the warnings for the reasons")
    folds = options.fold_count(study)
    configurations = {item.configuration.name: item.configuration for item in experiments}
    runs = {
        name: configuration_runs(item, experiments, folds, item.epochs, study.seeds)
        for name, item in configurations.items()
    }
    genre_of = {track.id: track.genre for track in splits.cache.tracks}
    evidence = Evidence(runs, genre_of)
    order = evidence.ranking(study.at)
    if not order:
        raise GenrekitError(f"no seed of {study.name} has all of its folds; train the missing ones")
    ties = evidence.ties(order, study.at)
    shown = set([name for name in order if evidence.first(name) == name][: study.best] if study.best else order)
    results = {item.name: read_result(item.run) for item in finished}
    result = StudyResult(
        runs=_ranked_runs(study, evidence, finished, results, plan, options, order, shown),
        ranking=tuple(name for name in order if name in shown),
        ties=tuple(name for name in ties if name in shown or evidence.first(name) == name),
        study=study.name,
        findings=judge_hypotheses(study.hypotheses, evidence, study.at),
        absent=tuple(name for name in runs if not runs[name].answers),
        head=_head(study, splits, finished, runs, plan, command, max(map(evidence.chance, order))),
    )
    histories: dict[str, list[tuple[Epoch, ...]]] = {}
    for item in finished:
        if item.configuration.name in shown:
            histories.setdefault(item.configuration.name, []).append(read_history(item.run / HISTORY))
    pooled = {name: pooled_confusion(runs[name], genre_of, splits.cache.genres) for name in result.ranking}
    confusions = {name: confusion for name, confusion in pooled.items() if confusion is not None}
    records = {item.name: _record(item, results[item.name]) for item in finished}
    return Conclusion(result, histories, confusions, records)


def _ranked_runs(
    study: Study,
    evidence: Evidence,
    finished: Sequence[Experiment],
    results: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    options: StudyOptions,
    order: Sequence[str],
    shown: set[str],
) -> tuple[RankedRun, ...]:
    """The figures of the configurations that are shown."""
    later = {item.seed for item in finished} - set(plan["seeds"])
    by_rank = sorted(finished, key=lambda item: _model_rank(results[item.name]))
    best = {item.run for item in distinct(by_rank)[:KEPT]}
    ranked = []
    for name, runs in evidence.runs.items():
        if name not in shown:
            continue
        run_results = [results[item.name] for item in finished if item.configuration.name == name]
        ranked.append(
            replace(
                _ranked_run(evidence, name, run_results),
                kept=not best.isdisjoint(runs.runs),
                comparable=evidence.comparable(name, order[0]),
                later_seeds=tuple(seed for seed in sorted(later) if seed in runs.seeds),
                cut=_cut(runs, max(options.seed_count(study), study.seeds)),
            )
        )
    return tuple(ranked)


def _model_rank(result: Mapping[str, Any]) -> tuple[float, float]:
    """The order in which bundles are kept in best_models: a higher track accuracy, then a lower loss."""
    return -result["validation"]["track_accuracy"], result["validation"]["loss"]


def _cut(runs: ConfigurationRuns, planned_seeds: int) -> str:
    """Which seeds and epochs of the plan are missing, such as "3 of 5 seeds, 30 of 100 epochs"."""
    seeds = f"{len(runs.seeds)} of {planned_seeds} seeds" if len(runs.seeds) < planned_seeds else ""
    epochs = f"{runs.epochs} of {runs.planned_epochs} epochs" if runs.epochs < runs.planned_epochs else ""
    return ", ".join(filter(None, (seeds, epochs)))


def _ranked_run(evidence: Evidence, name: str, results: Sequence[Mapping[str, Any]]) -> RankedRun:
    runs = evidence.runs[name]
    loss = evidence.interval(name, "loss", "best")
    return RankedRun(
        name=name,
        config=runs.config.model_dump(mode="json", exclude=_REPETITION),
        seeds=runs.seeds,
        track_accuracy=evidence.interval(name, "accuracy", "best") or Interval(0.0, 0.0, 1.0),
        loss=0.0 if loss is None else loss.value,
        parameters=results[0]["parameters"] if results else 0,
        split=results[0]["split"] if results else "",
        kept=False,
        group=runs.configuration.group,
        epochs=runs.epochs,
        last_accuracy=evidence.interval(name, "accuracy", "last"),
        equal_steps_accuracy=evidence.interval(name, "accuracy", "equal steps"),
        last_loss=evidence.interval(name, "loss", "last"),
        training_accuracy=evidence.interval(name, "training_accuracy", "last"),
        overfitting=evidence.interval(name, "overfitting", "last"),
        dead_channels=evidence.interval(name, "dead_channels", "last"),
        trained=evidence.trained(name),
        seconds=float(np.mean([result["seconds"] for result in results])) if results else 0.0,
    )


def _head(
    study: Study,
    splits: TrainedSplits,
    finished: Sequence[Experiment],
    runs: Mapping[str, ConfigurationRuns],
    plan: Mapping[str, Any],
    command: str,
    chance: float,
) -> StudyHead:
    notes = (*study.notes, *(("The study was changed after its first run.",) if plan["amended"] else ()))
    first = next(item for item in runs.values() if item.answers)
    training = {len(splits.of(item.config).ids("train")) for item in finished}
    return StudyHead(
        name=study.name,
        title=study.title,
        question=study.question,
        source=study.source,
        notes=notes,
        command=command,
        split="; ".join(dict.fromkeys(_split_text(splits, item.config) for item in finished)),
        training_tracks=min(training),
        most_training_tracks=max(training),
        validation_tracks=len({track for answers in first.answers[0] for track in answers.track_ids}),
        resampled=first.answers[0][0].resampled,
        genres=splits.cache.genres,
        declared_seeds=study.seeds,
        declared_epochs=max(item.planned_epochs for item in runs.values()),
        at=study.at,
        chance=chance,
    )


def _split_text(splits: TrainedSplits, config: TrainConfig) -> str:
    """The split of a run; its folds are named together."""
    folds = f", {config.folds} folds" if config.folds else ""
    whole = config.model_copy(update={"folds": 0, "fold": 0})
    return splits.of(config).name + folds + whole.validated_on


def _record(item: Experiment, result: Mapping[str, Any]) -> dict[str, Any]:
    """All settings and figures of one run."""
    return {
        "arm": item.configuration.name,
        "seed": item.seed,
        "run": str(item.run),
        "hyperparameters": item.config.model_dump(mode="json"),
        "result": {key: value for key, value in result.items() if key not in _NOT_RECORDED},
    }
