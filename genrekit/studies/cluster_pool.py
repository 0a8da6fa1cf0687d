"""Train many runs on the workers of a cluster. Each worker writes the folders of its runs, on a shared file system."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from genrekit.engines.dask_engine import DaskEngine
from genrekit.engines.live_tasks import Ended, LiveTasks, Message, TaskGivenUpError
from genrekit.errors import GenrekitError, is_of_surroundings
from genrekit.studies.cluster_worker import TrainTask, train_here
from genrekit.studies.worker_pool import (
    Conditions,
    Job,
    Problem,
    Stopped,
    Watcher,
    notify,
    sent_architectures,
    unexpected,
)
from genrekit.workflows.runs import HISTORY, RESULT

_RETRIES = 2
"""How many times a run is tried again that failed because of its surroundings."""

_SEEN_S = 90.0
"""Seconds until a host sees what another one wrote. NFS caches folders for up to a minute."""

_LOOK_S = 0.5
"""Seconds between two looks for it."""


def train_on_cluster(
    next_job: Callable[[], Job | None],
    conditions: Conditions,
    engine: DaskEngine,
    *,
    limit: Callable[[], int],
    resources: dict[str, float],
    watcher: Watcher,
) -> dict[str, str]:
    """Train the jobs that `next_job` returns on a cluster; return the problems of failed runs by name.

    The contract is that of `train_jobs`. `limit` returns how many runs there may be at a time, which may change. A run
    that fails because of its surroundings is tried again up to twice, from its last complete epoch.
    Errors: GenrekitError if the scheduler is lost, or a worker has another version or does not see a folder.
    """
    with engine.live_tasks(resources) as tasks:
        return _ClusterJobs(tasks, conditions, limit, watcher).run(next_job)


class _ClusterJobs:
    def __init__(self, tasks: LiveTasks, conditions: Conditions, limit: Callable[[], int], watcher: Watcher) -> None:
        self._tasks, self._limit, self._watcher = tasks, limit, watcher
        tracking = conditions.tracking
        if tracking.directory is not None:
            tracking = replace(tracking, directory=tracking.directory.absolute())
        best_models = None if conditions.best_models is None else conditions.best_models.absolute()
        self._conditions = replace(
            conditions, cache=conditions.cache.absolute(), best_models=best_models, tracking=tracking
        )
        self._jobs: list[Job] = []
        self._started: set[int] = set()
        self._stopped: set[int] = set()
        self._retries: dict[int, int] = {}
        self._problems: dict[str, str] = {}

    def run(self, next_job: Callable[[], Job | None]) -> dict[str, str]:
        exhausted = False
        while True:
            while not exhausted and len(self._tasks) < self._limit():
                job = next_job()
                exhausted = job is None
                if job is not None:
                    self._jobs.append(job)
                    self._submit(len(self._jobs) - 1)
            if not len(self._tasks):
                return self._problems
            event = self._tasks.next_event()
            if isinstance(event, Message):
                self._pass_on(event)
            elif event is not None and self._ended(event):
                exhausted = False

    def _submit(self, number: int) -> None:
        job = replace(self._jobs[number], run=self._jobs[number].run.absolute())
        task = TrainTask(job, self._conditions, Path.cwd(), sent_architectures(), self._watcher.stops_runs)
        self._tasks.submit(number, train_here, task)

    def _pass_on(self, message: Message) -> None:
        event, value = message.value
        if event == "started":
            if message.task not in self._started:
                self._started.add(message.task)
                self._watcher.started(message.task)
            return
        go_on = True
        try:
            if message.reply_to:
                wait_until_seen(self._jobs[message.task].run / HISTORY)
            notify(self._watcher, message.task, event, value)
        except Stopped:
            go_on = False
            self._stopped.add(message.task)
        if message.reply_to:
            self._tasks.answer(message, go_on)

    def _ended(self, event: Ended) -> bool:
        """Handle the end of a task; return whether its run has ended, too."""
        number, job = event.task, self._jobs[event.task]
        problem = _problem(event)
        retries = self._retries.get(number, 0)
        if problem is not None and problem.of_surroundings and retries < _RETRIES:
            self._retries[number] = retries + 1
            self._watcher.retried(number, problem)
            self._submit(number)
            return False
        if problem is not None:
            self._problems[job.name] = problem.text
        elif number not in self._stopped:
            wait_until_seen(job.run / RESULT)
        self._watcher.ended(number, problem)
        return True


def _problem(event: Ended) -> Problem | None:
    """Return why a run failed, if it did.

    Errors: GenrekitError of the worker, such as for another version.
    """
    if event.error is None:
        problem: Problem | None = event.value
        return problem
    if isinstance(event.error, TaskGivenUpError):
        return Problem(str(event.error))
    if isinstance(event.error, GenrekitError):
        raise event.error
    return Problem(unexpected(event.error), is_of_surroundings(event.error))


def wait_until_seen(path: Path) -> None:
    """Wait until a file that another host wrote is in its folder here, at most for 90 seconds."""
    give_up = time.monotonic() + _SEEN_S
    while time.monotonic() < give_up:
        with suppress(OSError):
            for folder in (path.parent.parent, path.parent):
                listed = set(folder.iterdir())  # a network file system reads a folder again when it is listed
            if path in listed:
                return
        time.sleep(_LOOK_S)
