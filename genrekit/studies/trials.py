"""The trials of a search: what is trained next, what is given up, and what each came to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrekit.config import TrainConfig
from genrekit.data.splits.folds import TrainedSplits
from genrekit.errors import UsageError
from genrekit.metrics.epochs import Epoch, Step
from genrekit.studies.optuna_trials import Trial, Trials
from genrekit.studies.plan import StudyOptions, free_path, identity, index_runs, is_own, is_usable
from genrekit.studies.progress import Progress
from genrekit.studies.search_schema import TRIAL_SEED, Objective, Search
from genrekit.studies.worker_pool import Conditions, Job, Stopped, Watcher, shown, train_each
from genrekit.workflows.reporter import Reporter, RunProgress
from genrekit.workflows.runs import HISTORY, mark_pruned, mark_trial, pruned_after, read_history, read_result


def try_out(
    search: Search,
    trials: Trials,
    splits: TrainedSplits,
    conditions: Conditions,
    options: StudyOptions,
    runs: Path,
    reporter: Reporter,
) -> None:
    """Try configurations until there are as many as the search declares, after those that were left while they ran.

    A trial that fails is one of them. A finished run of the same configuration is taken as it is. With one worker the
    trials depend on the search's file, the data and the runs that are there alone, however often they are interrupted;
    with more, also on which of them ends first.
    """
    watcher = _Tryout(search, trials, splits, options, runs, reporter)
    with shown(reporter):
        train_each(watcher.take, conditions, workers=options.workers, watcher=watcher)


@dataclass(frozen=True)
class _Training:
    """One seed of a trial."""

    trial: Trial
    index: int
    config: TrainConfig
    run: Path


class _Tryout(Watcher):
    """Gives the trainings of trials one after another, and hears what becomes of them."""

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
        self._runs, self._known, self._given_up = runs, index_runs(runs), index_runs(runs, pruned=True)
        self._at: list[_Training] = []
        self._figures: dict[int, list[float]] = {}
        self._pruned: set[int] = set()
        records = trials.records
        self._reported = {trial.number: len(trial.curve) for trial in records}
        self._waiting = deque((trial, 0) for trial in records if trial.state == "running")
        ended = {trial.number for trial in records if trial.state != "running"}
        states = [
            RunProgress(f"trial{number}", "there" if number in ended else "waiting")
            for number in range(max(search.trials, len(records)))
        ]
        self._places: list[int] = []
        self._progress = Progress(states, self._places, reporter)

    def take(self) -> Job | None:
        """The next training; trials that need none, or cannot be trained, are settled on the way."""
        while (item := self._next()) is not None:
            training = self._training(*item)
            if training is not None:
                self._at.append(training)
                self._places.append(training.trial.number)
                begun = (training.run / "config.json").is_file()
                values = {"device": self._options.device} if begun else training.config.model_dump(mode="json")
                return Job(f"{self._search.name}-{training.trial.name}", values, training.run, begun)
        return None

    def _next(self) -> tuple[Trial, int] | None:
        if self._waiting:
            return self._waiting.popleft()
        done = len(self._reported)
        if done >= self._search.trials:
            return None
        trial = self._trials.ask()
        self._reported[trial.number] = 0
        return trial, 0

    def _training(self, trial: Trial, index: int) -> _Training | None:
        arm = self._search.arm(trial.number, trial.chosen)
        try:
            config = arm.config(TRIAL_SEED + index, **self._options.values(arm))
        except UsageError as error:
            self._failed(trial, f"no training accepts it: {error}")
            return None
        stem = f"{self._search.name}-{trial.name}" + (f"-seed{config.seed}" if self._search.trial_seeds > 1 else "")
        key = identity(config, self._splits.fingerprints(config))
        given_up = self._given_up.get(key)
        if index == 0 and trial.curve and given_up is not None and pruned_after(given_up) == len(trial.curve):
            self._give_up(trial)  # it was stopped between the mark and the book
            return None
        taken = {training.run for training in self._at}
        run = self._known.get(key)
        if run is None or not (is_usable(run) or (is_own(run, stem) and run not in taken)):
            run = free_path(self._runs, stem, taken)
        training = _Training(trial, index, config, run)
        self._known[key] = run
        self._progress.states[trial.number] = RunProgress(trial.name, "waiting", epochs=config.epochs)
        if not is_usable(run):
            book = run / HISTORY
            if book.is_file() and self._falls_behind(training, read_history(book)):
                self._give_up(trial)  # it was stopped between an epoch and its report
                return None
            return training
        self._finished(training, state="there")
        return None

    def started(self, place: int) -> None:
        self._progress.started(place)

    def step(self, place: int, step: Step) -> None:
        self._progress.step(place, step)

    def epoch(self, place: int, epoch: Epoch) -> None:
        """Keep the epoch's figure, and end a trial that is worth no more of them."""
        self._progress.epoch(place, epoch)
        training = self._at[place]
        history = read_history(training.run / HISTORY)[: epoch.epoch]
        if self._falls_behind(training, history):
            self._pruned.add(place)
            raise Stopped

    def ended(self, place: int, problem: str | None) -> None:
        training = self._at[place]
        if place in self._pruned:
            self._give_up(training.trial)
        elif problem is not None:
            self._failed(training.trial, problem)
        else:
            self._finished(training, state="finished")

    def _falls_behind(self, training: _Training, history: Sequence[Epoch]) -> bool:
        """Report what is not reported yet, and mark a run that is worth no more epochs; the last one ends it anyway."""
        number = training.trial.number
        if not self._report(training, history) or self._reported[number] >= training.config.epochs:
            return False
        mark_pruned(training.run, self._search.name, number, self._reported[number])
        return True

    def _report(self, training: _Training, history: Sequence[Epoch]) -> bool:
        """Report the epochs of a first seed that are not yet, and return whether one of them is the last worth it."""
        if training.index:
            return False
        number = training.trial.number
        for epoch in history[self._reported[number] :]:
            self._reported[number] += 1
            if self._trials.report(number, epoch.epoch, _figure(epoch, self._search.objective)):
                return True
        return False

    def _finished(self, training: _Training, *, state: str) -> None:
        """A seed is there: the next one comes, or the trial is finished."""
        trial = training.trial
        mark_trial(training.run, self._search.name, trial.number)
        while self._report(training, read_history(training.run / HISTORY)):
            pass  # what is finished is given up no more
        figures = read_result(training.run)["validation"]
        values = self._figures.setdefault(trial.number, [])
        values.append(float(figures[self._search.objective]))
        if len(values) < self._search.trial_seeds:
            self._waiting.append((trial, training.index + 1))
            return
        self._trials.finish(trial.number, sum(values) / len(values))
        self._progress.change(trial.number, state=state, accuracy=figures["track_accuracy"], seconds_left=0.0)

    def _failed(self, trial: Trial, problem: str) -> None:
        self._trials.fail(trial.number, problem)
        self._progress.change(trial.number, state="failed", seconds_left=0.0)

    def _give_up(self, trial: Trial) -> None:
        self._trials.prune(trial.number)
        self._progress.change(trial.number, state="pruned", seconds_left=0.0)


def _figure(epoch: Epoch, objective: Objective) -> float:
    return epoch.validation_loss if objective == "loss" else epoch.validation_track_accuracy
