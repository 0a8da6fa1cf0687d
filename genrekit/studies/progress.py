"""Progress of the runs of a study or a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genrekit.metrics.epochs import Epoch, Step
from genrekit.studies.worker_pool import Problem, Watcher
from genrekit.workflows.reporter import Reporter, RunProgress


class RunStates(Watcher):
    """Keeps the state of every run and passes it to a reporter.

    `jobs` maps the number of a job to the index of its run in `states`.
    """

    def __init__(self, states: Sequence[RunProgress], jobs: Sequence[int], reporter: Reporter) -> None:
        self.states, self._jobs, self._reporter = list(states), jobs, reporter
        self._seconds: dict[int, float] = {}

    def report(self) -> None:
        """Pass the state of all runs to the reporter."""
        self._reporter.runs(self.states)

    def started(self, job: int) -> None:
        """Mark a run as running."""
        self.change(self._jobs[job], state="running")

    def epoch(self, job: int, epoch: Epoch) -> None:
        """Update epoch, accuracy and remaining time; recent epochs count more in the estimate."""
        state = self.states[self._jobs[job]]
        seconds = self._seconds.get(job, epoch.seconds)
        self._seconds[job] = 0.7 * seconds + 0.3 * epoch.seconds
        left = (state.epochs - epoch.epoch) * self._seconds[job]
        accuracy = epoch.validation_track_accuracy
        self.change(self._jobs[job], epoch=epoch.epoch, accuracy=accuracy, seconds_left=left)

    def step(self, job: int, step: Step) -> None:
        """Update the epoch."""
        self.change(self._jobs[job], epoch=step.epoch - 1)

    def retried(self, job: int, problem: Problem) -> None:
        """Mark a run as waiting, and note why."""
        index = self._jobs[job]
        self._reporter.note(f"{self.states[index].name} is tried again: {problem.text}")
        self.change(index, state="waiting", seconds_left=0.0)

    def ended(self, job: int, problem: Problem | None) -> None:
        """Mark a run as finished, or as failed if there is a problem."""
        self.change(self._jobs[job], state="finished" if problem is None else "failed", seconds_left=0.0)

    def change(self, index: int, **values: Any) -> None:
        """Change the state of one run, and report."""
        self.states[index] = replace(self.states[index], **values)
        self.report()
