"""Train one run of a study on a worker of a cluster, in a process of its own.

The threads of a dask worker share torch's random state, so two runs in one process would change each other. A process
also returns all memory, can be ended at any time, and takes nobody with it if memory runs out.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from genrekit.config import TrainConfig
from genrekit.config.architectures import Architecture
from genrekit.engines.live_tasks import TaskCancelled, TaskLink
from genrekit.engines.remote import require_seen
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock
from genrekit.io.processes import WorkerProcess, send
from genrekit.metrics.epochs import Epoch
from genrekit.studies.run_index import is_usable
from genrekit.studies.worker_pool import Conditions, Job, Problem, answer_job, died, prepare_process
from genrekit.workflows.runs import CONFIG, read_run_config
from genrekit.workflows.train_folder import LOCK

_LOCK_S = 60.0
"""Seconds that a worker waits for the lock of a run, which a worker that was just lost may still hold."""

_IDLE_S = 30.0
"""Seconds after which a process without a run ends."""

_CHECK_S, _STEPS_S = 0.5, 1.0
"""Seconds between two looks whether a run is still wanted, and least seconds between two messages about steps."""


@dataclass(frozen=True)
class TrainTask:
    """A run for a worker. `folder` is the current folder of the command, in which relative paths are looked up.

    If `asks`, the run waits after each epoch for the answer whether to continue.
    """

    job: Job
    conditions: Conditions
    folder: Path
    architectures: Sequence[Architecture]
    asks: bool


def train_here(task: TrainTask, link: TaskLink) -> Problem | None:
    """Train a run in a process of its own; return why it failed, if it did. This runs on a worker.

    If an earlier worker has started the run, it resumes.
    Errors: GenrekitError if this host does not see the cache or the folder of the runs; TaskCancelled.
    """
    require_seen([task.conditions.cache, task.job.run.parent])
    if (task.job.run / CONFIG).is_file():
        with suppress(GenrekitError, OSError), exclusive_lock(task.job.run / LOCK, "", wait_s=_LOCK_S):
            pass  # if it cannot be held, training fails with a message that says why
    if is_usable(task.job.run):
        return None  # a worker that died at the end has finished it
    link.send(("started", None))
    key = pickle.dumps((task.folder, task.architectures))
    process = _taken(key)
    try:
        with suppress(OSError):  # it has died, which the next receive notices
            send(process.connection, (replace(task, job=resumed(task.job)), link.threads))
        problem = _follow(process, task, link)
    except BaseException:
        process.kill()
        process.close()
        raise
    if not process.connection.closed:
        _keep(key, process)
    return problem


_idle: dict[bytes, list[WorkerProcess]] = {}
"""Processes that wait for another run of the same command. A new one would have to import torch again."""

_idle_lock = threading.Lock()


def _taken(key: bytes) -> WorkerProcess:
    """Return an idle process, or a new one."""
    with _idle_lock:
        idle = _idle.get(key)
        return idle.pop() if idle else WorkerProcess(_work)


def _keep(key: bytes, process: WorkerProcess) -> None:
    """Keep a process for a while. If it has died, the run that takes it fails, and is tried again."""
    with _idle_lock:
        _idle.setdefault(key, []).append(process)
    timer = threading.Timer(_IDLE_S, _discard, [key, process])
    timer.daemon = True
    timer.start()


def _discard(key: bytes, process: WorkerProcess) -> None:
    """End a process if it is still idle."""
    with _idle_lock:
        if process not in _idle.get(key, ()):
            return
        _idle[key].remove(process)
    process.kill()
    process.close()


def _work(connection: Connection) -> None:
    """Train the runs of the tasks that arrive through the connection, until it closes."""
    with suppress(EOFError, ConnectionError):  # the worker is gone
        while True:
            task, threads = connection.recv()
            with suppress(OSError):  # this host does not have the folder, so no path is relative to it
                os.chdir(task.folder)
            prepare_process(threads, task.architectures)
            answer_job(connection, task.job, task.conditions)


def resumed(job: Job) -> Job:
    """Return a job that resumes its run if an earlier worker has started it."""
    if job.resume or not (job.run / CONFIG).is_file():
        return job
    try:
        config, _ = read_run_config(job.run)
    except GenrekitError:
        return job  # training refuses to replace it
    wanted = TrainConfig.of(job.values)
    if _settings(config) != _settings(wanted):
        return job  # a run of another study, which training refuses to replace
    return replace(job, resume=True, values={"device": wanted.device})


def _settings(config: TrainConfig) -> dict[str, object]:
    """Return what identifies a run. Channels that do not fit the fragments are left out when it starts."""
    return config.model_dump(exclude={"device", "channels"})


def _follow(process: WorkerProcess, task: TrainTask, link: TaskLink) -> Problem | None:
    """Pass on what the process of a run sends, until it ends."""
    next_step = 0.0
    while True:
        if link.cancelled:
            raise TaskCancelled
        if not process.connection.poll(_CHECK_S):
            continue
        try:
            event, value = process.connection.recv()
        except (EOFError, OSError):
            return died(process.close())
        if event == "ended":
            problem: Problem | None = value
            return problem
        if event == "epoch":
            go_on = _pass_on_epoch((event, value), task, link)
            with suppress(OSError):  # it has died, which the next receive notices
                send(process.connection, go_on)
        elif time.monotonic() >= next_step:
            link.send((event, value))
            next_step = time.monotonic() + _STEPS_S


def _pass_on_epoch(event: tuple[str, Epoch], task: TrainTask, link: TaskLink) -> bool:
    """Send an epoch; return whether the run continues, for which it waits if the task asks."""
    if task.asks:
        return bool(link.ask(event))
    link.send(event)
    return True
