"""Where the trainings of a study or a search stand, as a reporter hears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genrekit.metrics.epochs import Epoch, Step
from genrekit.studies.worker_pool import Watcher
from genrekit.workflows.reporter import Reporter, RunProgress


class Progress(Watcher):
    """Keeps the state of every run, and tells a reporter; `jobs` are the places in `states` of the jobs, in order."""

    def __init__(self, states: Sequence[RunProgress], jobs: Sequence[int], reporter: Reporter) -> None:
        self.states, self._jobs, self._reporter = list(states), jobs, reporter
        self._seconds: dict[int, float] = {}

    def tell(self) -> None:
        """Report where all runs stand."""
        self._reporter.runs(self.states)

    def started(self, place: int) -> None:
        """A training begins."""
        self.change(self._jobs[place], state="running")

    def epoch(self, place: int, epoch: Epoch) -> None:
        """An epoch has ended: what is left takes as long as epochs have lately taken."""
        state = self.states[self._jobs[place]]
        seconds = self._seconds.get(place, epoch.seconds)
        self._seconds[place] = 0.7 * seconds + 0.3 * epoch.seconds
        left = (state.epochs - epoch.epoch) * self._seconds[place]
        accuracy = max(epoch.validation_track_accuracy, state.accuracy or 0.0)
        self.change(self._jobs[place], epoch=epoch.epoch, accuracy=accuracy, seconds_left=left)

    def step(self, place: int, step: Step) -> None:
        """Some steps have ended."""
        self.change(self._jobs[place], epoch=step.epoch - 1)

    def ended(self, place: int, problem: str | None) -> None:
        """A training is finished, or has failed with a problem."""
        self.change(self._jobs[place], state="finished" if problem is None else "failed", seconds_left=0.0)

    def change(self, index: int, **values: Any) -> None:
        """Change the state of one run, and tell."""
        self.states[index] = replace(self.states[index], **values)
        self.tell()
