"""Run a search: try configurations of a space, then train the best ones with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genrekit._types import AnyPath
from genrekit.config import TrainConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock, require_writable, write_json
from genrekit.models.leaderboard import require_best_folder
from genrekit.studies.costs import warn_of_size
from genrekit.studies.optuna_trials import TRIALS_FILE, Trial, open_trials, require_optuna
from genrekit.studies.plan import PLAN_FORMAT_VERSION, StudyOptions, plan_experiments, read_plan
from genrekit.studies.results import SearchResult, StudyResult
from genrekit.studies.runner import conclude
from genrekit.studies.schema import Arm
from genrekit.studies.search_schema import Search, describe, read_search
from genrekit.studies.trials import try_out
from genrekit.studies.worker_pool import Conditions
from genrekit.training.tracking import NO_TRACKING, Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import other_data

_QUIET = Reporter()


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
    reporter: Reporter = _QUIET,
) -> StudyResult:
    """Try the configurations of a search file, and rank its finalists over seeds of their own.

    What is there already, trials and runs, is not repeated: a search that was interrupted goes on, and one whose file
    now declares more trials tries more. Trials leave no bundle among the best models, finalists do.
    Errors: UsageError for a file that says what no search can, GenrekitError where optuna is missing, the search was
    begun otherwise or is at work in another process, or no trial could be finished.
    """
    search = read_search(Path(path))
    options.require_search()
    options.require_split([search.arm(0, {})])
    require_optuna()
    cache = open_cache(Path(cache_path))
    splits = TrainedSplits(cache)
    folder = Path(reports) / search.name
    require_writable(Path(runs))
    if best_models is not None:
        require_best_folder(Path(best_models))
    with exclusive_lock(folder / ".lock", f"the search {search.name}"):
        planned = _hold_to_plan(folder, search, splits, options)
        trying = Conditions(cache.path, None, tracking, strict)
        with open_trials(folder / TRIALS_FILE, search) as trials:
            try_out(search, trials, splits, trying, options, Path(runs), reporter)
            records, importances = trials.records, trials.importances()
        finalists = choose_finalists(search, records)
        if failed := [trial for trial in records if trial.state == "failed"]:
            reporter.warning(f"{len(failed)} of {len(records)} trials failed, {failed[0].name}: {failed[0].problem}")
        study = search.study(finalists)
        experiments = plan_experiments(study, splits, options, Path(runs))
        warn_of_size(experiments, cache, options.workers, reporter)
        keeping = replace(trying, best_models=None if best_models is None else Path(best_models))
        found = SearchResult(
            objective=search.objective,
            declared=search.trials,
            trial_seeds=search.trial_seeds,
            sampler=search.sampler,
            pruner=search.pruner,
            space=describe(search.dimensions),
            trials=records,
            importances=importances,
            finalists=tuple(arm.name for arm in finalists),
        )
        return conclude(study, splits, experiments, planned, keeping, options, folder, command, reporter, found)


def choose_finalists(search: Search, trials: Sequence[Trial]) -> list[Arm]:
    """The finished trials with the best objective, each configuration once; of equal ones the earlier.

    Errors: GenrekitError where no trial is finished.
    """
    sign = 1 if search.objective == "loss" else -1
    finished = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    if not finished:
        problems = [trial.problem for trial in trials if trial.problem]
        reason = f", the first says: {problems[0]}" if problems else ""
        raise GenrekitError(f"no trial of {search.name} could be finished{reason}")
    chosen: dict[TrainConfig, Arm] = {}
    for trial in sorted(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number)):
        arm = search.arm(trial.number, trial.chosen)
        chosen.setdefault(arm.config(0), arm)
    return list(chosen.values())[: search.finalists]


def _hold_to_plan(folder: Path, search: Search, splits: TrainedSplits, options: StudyOptions) -> dict[str, Any]:
    """Write down how a search begins; later calls are held to it, but for the numbers of trials and finalists."""
    path = folder / "plan.json"
    values = {name: value for name, value in search.base.items() if name in ("split", "split_seed")}
    asked = {name: getattr(options, name) for name in ("epochs", "fragments", "split", "split_seed")}
    given = {name: value for name, value in asked.items() if value is not None}
    reads = TrainConfig.of({**{name: its for name, its in given.items() if name != "epochs"}, **values})
    now: dict[str, Any] = {
        "format_version": PLAN_FORMAT_VERSION,
        "search": search.fingerprint,
        "data": splits.fingerprints(reads),
        "options": given,
        "seeds": list(range(options.seeds or search.seeds)),
        "amended": False,
    }
    if not path.exists():
        write_json(path, now)
        return now
    then = read_plan(path, folder, now)
    if other := other_data(then["data"], now["data"]):
        raise GenrekitError(
            f"{folder} is of a search on another collection or split, with other {', '.join(other)}: "
            "choose another folder for reports, or use that search's cache"
        )
    if then["search"] != search.fingerprint:
        raise GenrekitError(
            f"the search {search.name} has changed since {path} was written, in more than its numbers of trials and "
            "finalists: give the file another name"
        )
    for name in sorted({*then["options"], *given}):
        if (was := then["options"].get(name)) != (its := given.get(name)):
            raise GenrekitError(
                f"the search {search.name} was begun with {name} {_said(was)}, not {_said(its)}: leave it so, or "
                "choose another folder for reports"
            )
    return then


def _said(value: Any) -> str:
    return "as in its file" if value is None else str(value)
