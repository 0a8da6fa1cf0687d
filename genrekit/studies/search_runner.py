"""Run a search: try configurations of a space, then train the best ones with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genrekit._types import AnyPath
from genrekit.config import TrainConfig, TrainingEngineConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock, require_writable, write_json
from genrekit.models.leaderboard import require_best_folder
from genrekit.studies.costs import warn_of_size
from genrekit.studies.optuna_trials import TRIALS_FILE, Trial, open_trials, require_optuna
from genrekit.studies.plan import PLAN_FORMAT_VERSION, StudyOptions, plan_experiments, read_plan, require_new_folder
from genrekit.studies.results import SearchResult, StudyResult
from genrekit.studies.runner import train_and_report
from genrekit.studies.schema import Configuration
from genrekit.studies.search_schema import Search, describe, read_search
from genrekit.studies.search_text import trainings_text
from genrekit.studies.training_pool import open_pool
from genrekit.studies.trials import run_trials
from genrekit.studies.worker_pool import Conditions
from genrekit.training.tracking import NO_TRACKING, Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import other_data

_SILENT = Reporter()
_LOCAL = TrainingEngineConfig()


def run_search(
    path: AnyPath,
    cache_path: AnyPath,
    options: StudyOptions,
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
    """Try the configurations of a search file, train the finalists with other seeds and rank them.

    Existing trials and runs are not repeated: an interrupted search resumes, and if its file now declares more trials,
    only these are added. Finalists are kept among the best models, trials are not. `engine` says where runs are
    trained: on this machine, or on a dask cluster whose hosts share the file system.
    Errors: UsageError for an invalid file, GenrekitError if optuna is missing, if the search or its data changed after
    the first trial, if another process runs it, if no trial finished, or if the cluster cannot be used.
    """
    search = read_search(Path(path))
    options.require_search()
    options.require_split([search.configuration(0, {})])
    require_optuna()
    cache = open_cache(Path(cache_path))
    splits = TrainedSplits(cache)
    folder = Path(reports) / search.name
    require_writable(Path(runs))
    if best_models is not None:
        require_best_folder(Path(best_models))
    seeds = options.seeds or search.seeds
    reporter.note(trainings_text(search.trainings(seeds), search.trials, search.trial_seeds, seeds))
    with (
        exclusive_lock(folder / ".lock", f"the search {search.name}"),
        open_pool(engine, options.workers, reporter) as pool,
    ):
        plan = _fix_plan(folder, search, splits, options)
        conditions = Conditions(cache.path, None, tracking, strict)
        with open_trials(folder / TRIALS_FILE, search) as trials:
            run_trials(search, trials, splits, conditions, options, Path(runs), pool, reporter)
            records, importances = trials.records, trials.importances()
        finalists = choose_finalists(search, records)
        if failed := [trial for trial in records if trial.state == "failed"]:
            reporter.warning(f"{len(failed)} of {len(records)} trials failed; {failed[0].name}: {failed[0].problem}")
        study = search.study(finalists)
        experiments = plan_experiments(study, splits, options, Path(runs))
        warn_of_size(experiments, cache, pool.workers_here, reporter)
        with_best_models = replace(conditions, best_models=None if best_models is None else Path(best_models))
        result = SearchResult(
            objective=search.objective,
            declared=search.trials,
            trial_seeds=search.trial_seeds,
            sampler=search.sampler,
            pruner=search.pruner,
            space=describe(search.dimensions),
            trials=records,
            importances=importances,
            finalists=tuple(configuration.name for configuration in finalists),
        )
        return train_and_report(
            study, splits, experiments, plan, with_best_models, options, folder, command, pool, reporter, result
        )


def choose_finalists(search: Search, trials: Sequence[Trial]) -> list[Configuration]:
    """Return the configurations of the finished trials with the best objective, each once; ties go to the earlier one.

    Errors: GenrekitError if no trial is finished.
    """
    sign = 1 if search.objective == "loss" else -1
    finished = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    if not finished:
        problems = [trial.problem for trial in trials if trial.problem]
        reason = f"; the first problem: {problems[0]}" if problems else ""
        raise GenrekitError(f"no trial of {search.name} finished{reason}")
    distinct: dict[TrainConfig, Configuration] = {}
    for trial in sorted(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number)):
        configuration = search.configuration(trial.number, trial.chosen)
        distinct.setdefault(configuration.train_config(0), configuration)
    return list(distinct.values())[: search.finalists]


def _fix_plan(folder: Path, search: Search, splits: TrainedSplits, options: StudyOptions) -> dict[str, Any]:
    """Write the plan before the first trial; later calls are compared with it.

    Errors: GenrekitError if the search, its options or the data differ from the plan.
    """
    path = folder / "plan.json"
    file_split = {name: value for name, value in search.base.items() if name in ("split", "split_seed")}
    values = {name: getattr(options, name) for name in ("epochs", "fragments", "split", "split_seed")}
    given = {name: value for name, value in values.items() if value is not None}
    config = TrainConfig.of({**{name: value for name, value in given.items() if name != "epochs"}, **file_split})
    planned: dict[str, Any] = {
        "format_version": PLAN_FORMAT_VERSION,
        "search": search.fingerprint,
        "data": splits.fingerprints(config),
        "options": given,
        "seeds": list(range(options.seeds or search.seeds)),
        "amended": False,
    }
    if not path.exists():
        require_new_folder(folder)
        write_json(path, planned)
        return planned
    stored = read_plan(path, folder, "search")
    if other := other_data(stored["data"], planned["data"]):
        raise GenrekitError(
            f"{folder} belongs to a search on another collection or split (different {', '.join(other)}); choose "
            "another folder with --reports, or the cache of that search with --cache"
        )
    if stored["search"] != search.fingerprint:
        raise GenrekitError(
            f"the search {search.name} has changed since {path} was written, in more than its numbers of trials and "
            "finalists; rename the file, or choose another folder with --reports"
        )
    for name in sorted({*stored["options"], *given}):
        before, now = stored["options"].get(name), given.get(name)
        if before != now:
            raise GenrekitError(
                f"the search {search.name} was started with {name} {_option_text(before)}, not {_option_text(now)}; "
                "use the same value, or choose another folder with --reports"
            )
    return stored


def _option_text(value: Any) -> str:
    return "as in its file" if value is None else str(value)
