"""Run the trials of a search: train the next one, stop those that fall behind, and record the results."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrekit.config import TrainConfig
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import GenrekitError, UsageError
from genrekit.metrics.epochs import Epoch, Step
from genrekit.studies.optuna_trials import Trial, Trials
from genrekit.studies.plan import StudyOptions
from genrekit.studies.progress import RunStates
from genrekit.studies.run_index import free_path, identity, index_runs, is_own, is_usable
from genrekit.studies.search_schema import TRIAL_SEED, Objective, Search
from genrekit.studies.training_pool import TrainingPool
from genrekit.studies.worker_pool import Conditions, Job, Problem, Stopped, Watcher, progress_shown
from genrekit.training.checkpoint import CHECKPOINT, load_checkpoint
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.runs import CONFIG, HISTORY, mark_pruned, mark_trial, pruned_after, read_history, read_result


def run_trials(
    search: Search,
    trials: Trials,
    splits: TrainedSplits,
    conditions: Conditions,
    options: StudyOptions,
    runs: Path,
    pool: TrainingPool,
    reporter: Reporter,
) -> None:
    """Run trials until there are as many as the search declares; interrupted ones are resumed first.

    Failed trials count. An existing run with the same settings is reused. With one worker, the trials depend only on
    the search file, the data and the existing runs, even after interruptions. With more, they also depend on the order
    in which runs end.
    """
    watcher = _TrialQueue(search, trials, splits, options, runs, reporter)
    with progress_shown(reporter):
        pool.train(watcher.next_job, conditions, watcher)


@dataclass(frozen=True)
class _TrialRun:
    """The run of one seed of a trial; `index` counts the seeds."""

    trial: Trial
    index: int
    config: TrainConfig
    run: Path


class _TrialQueue(Watcher):
    """Returns the runs of trials as jobs, and records what becomes of them."""

    stops_runs = True

    def __init__(
        self,
        search: Search,
        trials: Trials,
        splits: TrainedSplits,
        options: StudyOptions,
        runs: Path,
        reporter: Reporter,
    ) -> None:
        self._search, self._trials, self._splits, self._options = search, trials, splits, options
        self._runs, self._known, self._known_pruned = runs, index_runs(runs), index_runs(runs, pruned=True)
        self._reporter = reporter
        self._jobs: list[_TrialRun] = []
        self._values: dict[int, list[float]] = {}
        self._stopped_jobs: set[int] = set()
        records = trials.records
        self._reported = {trial.number: len(trial.curve) for trial in records}
        self._waiting = deque((trial, 0) for trial in records if trial.state == "running")
        ended = {trial.number for trial in records if trial.state != "running"}
        states = [
            RunProgress(f"trial{number}", "finished before" if number in ended else "waiting")
            for number in range(max(search.trials, len(records)))
        ]
        self._state_indices: list[int] = []
        self._progress = RunStates(states, self._state_indices, reporter)

    def next_job(self) -> Job | None:
        """Return the next run to train; trials that need no training are recorded on the way."""
        while (item := self._next_trial()) is not None:
            trial_run = self._trial_run(*item)
            if trial_run is not None:
                self._jobs.append(trial_run)
                self._state_indices.append(trial_run.trial.number)
                started = (trial_run.run / CONFIG).is_file()
                values = {"device": self._options.device} if started else trial_run.config.model_dump(mode="json")
                return Job(f"{self._search.name}-{trial_run.trial.name}", values, trial_run.run, started)
        return None

    def _next_trial(self) -> tuple[Trial, int] | None:
        """The next trial and the index of its seed."""
        if self._waiting:
            return self._waiting.popleft()
        if len(self._reported) >= self._search.trials:
            return None
        trial = self._trials.draw()
        self._reported[trial.number] = 0
        return trial, 0

    def _trial_run(self, trial: Trial, index: int) -> _TrialRun | None:
        """The run to train for a seed of a trial; None if the trial has ended without it."""
        configuration = self._search.configuration(trial.number, trial.chosen)
        try:
            config = configuration.train_config(TRIAL_SEED + index, **self._options.values(configuration))
        except UsageError as error:
            self._record_failure(trial, f"invalid settings: {error}")
            return None
        stem = f"{self._search.name}-{trial.name}" + (f"-seed{config.seed}" if self._search.trial_seeds > 1 else "")
        key = identity(config, self._splits.fingerprints(config))
        pruned = self._known_pruned.get(key)
        if index == 0 and trial.curve and pruned is not None and pruned_after(pruned) == len(trial.curve):
            self._record_pruning(trial)  # the run was marked, but the interruption came before the record
            return None
        taken = {item.run for item in self._jobs}
        run = self._known.get(key)
        if run is None or not (is_usable(run) or (is_own(run, stem) and run not in taken and self._resumable(run))):
            run = free_path(self._runs, stem, taken)
        trial_run = _TrialRun(trial, index, config, run)
        self._known[key] = run
        self._progress.states[trial.number] = RunProgress(trial.name, "waiting", epochs=config.epochs)
        if not is_usable(run):
            history = run / HISTORY
            if history.is_file() and self._falls_behind(trial_run, read_history(history)):
                self._record_pruning(trial)  # the epoch was written, but the interruption came before its report
                return None
            return trial_run
        self._record_result(trial_run, state="finished before")
        return None

    def _resumable(self, run: Path) -> bool:
        """Whether what an interrupted run has stored can be read; a warning says why not."""
        try:
            if (run / HISTORY).is_file():
                read_history(run / HISTORY)
            if os.path.lexists(run / CHECKPOINT):
                load_checkpoint(run / CHECKPOINT)
        except GenrekitError as error:
            self._reporter.warning(f"left out: {error}")
            return False
        return True

    def started(self, job: int) -> None:
        self._progress.started(job)

    def step(self, job: int, step: Step) -> None:
        self._progress.step(job, step)

    def epoch(self, job: int, epoch: Epoch) -> None:
        """Report the epoch's objective, and stop the run if the trial falls behind."""
        self._progress.epoch(job, epoch)
        trial_run = self._jobs[job]
        history = read_history(trial_run.run / HISTORY)[: epoch.epoch]
        if self._falls_behind(trial_run, history):
            self._stopped_jobs.add(job)
            raise Stopped

    def retried(self, job: int, problem: Problem) -> None:
        self._progress.retried(job, problem)

    def ended(self, job: int, problem: Problem | None) -> None:
        """Record what became of a run.

        Errors: GenrekitError if it failed because of its surroundings. Its trial is not spent: the search resumes it.
        """
        trial_run = self._jobs[job]
        if job in self._stopped_jobs:
            self._record_pruning(trial_run.trial)
        elif problem is not None and problem.of_surroundings:
            self._progress.change(trial_run.trial.number, state="waiting", seconds_left=0.0)
            raise GenrekitError(f"{trial_run.trial.name}: {problem.text}; then run the same command to continue")
        elif problem is not None:
            self._record_failure(trial_run.trial, problem.text)
        else:
            self._record_result(trial_run, state="finished")

    def _falls_behind(self, trial_run: _TrialRun, history: Sequence[Epoch]) -> bool:
        """Report new epochs; if the trial should stop before its last epoch, mark its run."""
        number = trial_run.trial.number
        if not self._report(trial_run, history) or self._reported[number] >= trial_run.config.epochs:
            return False
        mark_pruned(trial_run.run, self._search.name, number, self._reported[number])
        return True

    def _report(self, trial_run: _TrialRun, history: Sequence[Epoch]) -> bool:
        """Report new epochs of a trial's first seed until one is pruned; return whether one was."""
        if trial_run.index:
            return False
        number = trial_run.trial.number
        for epoch in history[self._reported[number] :]:
            self._reported[number] += 1
            if self._trials.report(number, epoch.epoch, _objective(epoch, self._search.objective)):
                return True
        return False

    def _record_result(self, trial_run: _TrialRun, *, state: str) -> None:
        """Record a finished seed; continue with the next one, or finish the trial."""
        trial = trial_run.trial
        mark_trial(trial_run.run, self._search.name, trial.number)
        while self._report(trial_run, read_history(trial_run.run / HISTORY)):
            pass  # a finished run is not pruned
        validation = read_result(trial_run.run)["validation"]
        values = self._values.setdefault(trial.number, [])
        values.append(float(validation[self._search.objective]))
        if len(values) < self._search.trial_seeds:
            self._waiting.append((trial, trial_run.index + 1))
            return
        self._trials.finish(trial.number, sum(values) / len(values))
        self._progress.change(trial.number, state=state, accuracy=validation["track_accuracy"], seconds_left=0.0)

    def _record_failure(self, trial: Trial, problem: str) -> None:
        self._trials.fail(trial.number, problem)
        self._progress.change(trial.number, state="failed", seconds_left=0.0)

    def _record_pruning(self, trial: Trial) -> None:
        self._trials.prune(trial.number)
        self._progress.change(trial.number, state="pruned", seconds_left=0.0)


def _objective(epoch: Epoch, objective: Objective) -> float:
    return epoch.validation_loss if objective == "loss" else epoch.validation_track_accuracy
