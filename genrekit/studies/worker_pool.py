"""Train many runs, one after another or in parallel. A failed run does not stop the others."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from genrekit.config.architectures import Architecture, outside_architectures, register_architecture
from genrekit.data.cache.executors import available_cores
from genrekit.errors import GenrekitError, few, is_of_surroundings, is_or_are, os_error_message
from genrekit.io.memory import all_arrays_kept
from genrekit.io.processes import WorkerProcess, send
from genrekit.metrics.epochs import Epoch, Step
from genrekit.training.tracking import Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.train import train

_KILLED = 9
"""The signal with which Linux ends processes if memory runs out."""


@dataclass(frozen=True)
class Job:
    """A run to train: its settings and folder, and whether to resume it from a checkpoint."""

    name: str
    values: Mapping[str, Any]
    run: Path
    resume: bool


@dataclass(frozen=True)
class Conditions:
    """What all runs of a study have in common."""

    cache: Path
    best_models: Path | None
    tracking: Tracking
    strict: bool


@contextmanager
def progress_shown(reporter: Reporter) -> Iterator[None]:
    """Close the progress display at the end of the block; after an interruption, add how to resume."""
    try:
        yield
    except BaseException as error:
        reporter.finished()
        if not isinstance(error, Exception):
            reporter.note("to resume, run the same command again")
        raise
    finally:
        reporter.finished()


class Stopped(Exception):  # noqa: N818 - it is not an error
    """Raised by a watcher to stop a run after an epoch; the run keeps its last complete epoch."""


@dataclass(frozen=True)
class Problem:
    """Why a run failed. If it is `of_surroundings`, such as a full disk, the run itself may succeed later."""

    text: str
    of_surroundings: bool = False


class Watcher:
    """Receives the progress of jobs, which are numbered in the order of `next_job`; this one ignores it."""

    stops_runs = False
    """Whether `epoch` may raise `Stopped`. If not, runs on other hosts do not wait for it."""

    def started(self, job: int) -> None:
        """A job starts."""

    def epoch(self, job: int, epoch: Epoch) -> None:
        """An epoch has ended. `Stopped` ends the run."""

    def step(self, job: int, step: Step) -> None:
        """Some steps have ended."""

    def retried(self, job: int, problem: Problem) -> None:
        """A run failed because of its surroundings, and will be tried again."""

    def ended(self, job: int, problem: Problem | None) -> None:
        """A run has finished, was stopped, or failed with a problem."""


def train_jobs(
    next_job: Callable[[], Job | None], conditions: Conditions, *, workers: int, watcher: Watcher
) -> dict[str, str]:
    """Train the jobs that `next_job` returns, at most `workers` at a time; return the problems of failed runs by name.

    `next_job` is called when a worker is free. If it returns None, it is called again after the next run has ended, so
    a job may depend on earlier results. The workers share the CPU cores equally. An exception in the caller, such as
    Ctrl-C, stops the workers; their runs can be resumed from the last complete epoch.
    """
    if workers <= 1:
        return _train_in_order(next_job, conditions, watcher)
    pool = _Pool(conditions, workers, watcher)
    try:
        return pool.run(next_job)
    finally:
        pool.close()


def _train_in_order(next_job: Callable[[], Job | None], conditions: Conditions, watcher: Watcher) -> dict[str, str]:
    problems = {}
    for number, job in enumerate(iter(next_job, None)):
        watcher.started(number)
        problem = _train(job, conditions, _Relay(partial(notify, watcher, number)))
        if problem is not None:
            problems[job.name] = problem.text
        watcher.ended(number, problem)
    return problems


def _train(job: Job, conditions: Conditions, reporter: Reporter) -> Problem | None:
    """Train a run; return why it failed, if it did. An unexpected error also only ends this run."""
    try:
        train(
            conditions.cache,
            job.values,
            out=job.run,
            resume=job.resume,
            best_models=conditions.best_models,
            tracking=conditions.tracking,
            strict=conditions.strict,
            reporter=reporter,
        )
    except Stopped:
        return None
    except GenrekitError as error:
        return Problem(str(error), is_of_surroundings(error))
    except OSError as error:
        return Problem(os_error_message(error) or unexpected(error), is_of_surroundings(error))
    except Exception as error:  # noqa: BLE001 - the other runs do not depend on it
        return Problem(unexpected(error), is_of_surroundings(error))
    return None


def unexpected(error: BaseException) -> str:
    """Describe an error that genrekit does not expect, with the line that raised it."""
    line = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    place = f"{Path(line.filename).name}, line {line.lineno}"
    return f"unexpected {message} ({place}; to see the traceback, train this run alone)"


class _Relay(Reporter):
    """Passes epochs and steps on to a function."""

    def __init__(self, send: Callable[[str, Any], None]) -> None:
        self._send = send

    def epoch(self, epoch: Epoch, *, best: bool) -> None:  # noqa: ARG002 - part of the interface
        self._send("epoch", epoch)

    def step(self, step: Step) -> None:
        self._send("step", step)


def notify(watcher: Watcher, job: int, event: str, value: Any) -> None:
    """Pass an epoch or a step on to a watcher.

    Errors: Stopped if the watcher stops the run.
    """
    watcher.epoch(job, value) if event == "epoch" else watcher.step(job, value)


class _Pool:
    """Worker processes that train one job after another; a worker that dies is replaced."""

    def __init__(self, conditions: Conditions, workers: int, watcher: Watcher) -> None:
        self._conditions, self._watcher = conditions, watcher
        self._threads = max(1, available_cores() // workers)
        self._limit, self._workers = workers, dict[Connection, WorkerProcess]()

    def run(self, next_job: Callable[[], Job | None]) -> dict[str, str]:
        jobs: list[Job] = []
        busy: dict[Connection, int] = {}
        problems: dict[str, str] = {}
        while True:
            while len(busy) < self._limit and (job := next_job()) is not None:
                connection = self._assign(job, busy)
                busy[connection] = len(jobs)
                jobs.append(job)
                self._watcher.started(busy[connection])
            if not busy:
                return problems
            ready = set(wait(list(busy)))
            for connection in [worker for worker in busy if worker in ready]:
                ended, problem = self._receive(connection, busy[connection])
                if not ended:
                    continue
                job = jobs[busy.pop(connection)]
                if problem is not None:
                    problems[job.name] = problem.text

    def _assign(self, job: Job, busy: Mapping[Connection, int]) -> Connection:
        """Send a job to an idle worker, or to a new one."""
        for worker in [worker for worker in self._workers if worker not in busy]:
            with suppress(OSError):
                send(worker, job)
                return worker
            self._workers.pop(worker).close()  # it died while it was idle
        worker = self._start()
        send(worker, job)
        return worker

    def _receive(self, connection: Connection, job: int) -> tuple[bool, Problem | None]:
        """Handle a worker's message; return whether the job has ended, and the problem if it failed."""
        try:
            event, value = connection.recv()
        except (EOFError, OSError):
            event, value = "ended", died(self._workers.pop(connection).close())
        if event != "ended":
            self._pass_on(connection, job, event, value)
            return False, None
        self._watcher.ended(job, value)
        return True, value

    def _pass_on(self, connection: Connection, job: int, event: str, value: Any) -> None:
        """Notify the watcher; after an epoch, the worker waits for an answer whether to continue."""
        go_on = True
        try:
            notify(self._watcher, job, event, value)
        except Stopped:
            go_on = False
        if event == "epoch":
            with suppress(OSError):  # the worker is gone; the next receive notices it
                send(connection, go_on)

    def close(self) -> None:
        """End the workers; unfinished runs keep their last complete epoch."""
        for worker in self._workers.values():
            worker.kill()
            worker.close()

    def _start(self) -> Connection:
        worker = WorkerProcess(_work, self._conditions, self._threads, sent_architectures())
        self._workers[worker.connection] = worker
        return worker.connection


def died(code: int) -> Problem:
    """Return the problem of a run whose process has ended with an exit code; below 0 for a signal."""
    cause = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Problem(f"its process ended ({cause}), possibly because memory ran out", of_surroundings=code == -_KILLED)


def usable_workers(workers: int, reporter: Reporter) -> int:
    """Return the number of workers, or 1 with a note if an architecture only exists in this process."""
    local = local_architectures()
    if workers == 1 or not local:
        return workers
    reporter.note(
        f"{few(local)} {is_or_are(len(local))} defined in the script that runs, which worker processes do not import: "
        "training one run at a time. To use several workers, define architectures in a module"
    )
    return 1


def sent_architectures() -> list[Architecture]:
    """Return the architectures from outside genrekit that other processes can import."""
    return [item for item in outside_architectures() if _can_be_sent(item)]


def local_architectures() -> list[str]:
    """Return the names of the architectures that only exist in this process."""
    return [item.name for item in outside_architectures() if not _can_be_sent(item)]


def _can_be_sent(architecture: Architecture) -> bool:
    """Whether another process can import the functions of an architecture."""
    try:
        return b"__main__" not in pickle.dumps(architecture)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


def _work(connection: Connection, conditions: Conditions, threads: int, architectures: Sequence[Architecture]) -> None:
    """Train the jobs that arrive through the connection, until it closes."""
    prepare_process(threads, architectures)
    with suppress(EOFError, BrokenPipeError, ConnectionError):  # the parent is gone
        while True:
            answer_job(connection, connection.recv(), conditions)


def prepare_process(threads: int, architectures: Sequence[Architecture]) -> None:
    """Let this process use some threads and architectures."""
    for architecture in architectures:
        register_architecture(architecture)
    torch.set_num_threads(threads)


def answer_job(connection: Connection, job: Job, conditions: Conditions) -> None:
    """Train a job, send its epochs and steps, and at the end why it failed, or None."""
    with all_arrays_kept():
        problem = _train(job, conditions, _Relay(partial(_send, connection)))
    send(connection, ("ended", problem))


def _send(connection: Connection, event: str, value: Any) -> None:
    """Send an event to the parent; after an epoch, wait for the answer whether to continue."""
    send(connection, (event, value))
    if event == "epoch" and not connection.recv():
        raise Stopped
