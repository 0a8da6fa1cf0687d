"""Train many runs, one after another or in parallel. A failed run does not stop the others."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from genrekit.data.cache.executors import available_cores
from genrekit.errors import GenrekitError, os_error_message
from genrekit.io.memory import all_arrays_kept
from genrekit.metrics.epochs import Epoch, Step
from genrekit.training.tracking import Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.train import train


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


class Watcher:
    """Receives the progress of jobs, which are numbered in the order in which they start; this one ignores it."""

    def started(self, job: int) -> None:
        """A job starts."""

    def epoch(self, job: int, epoch: Epoch) -> None:
        """An epoch has ended. `Stopped` ends the run."""

    def step(self, job: int, step: Step) -> None:
        """Some steps have ended."""

    def ended(self, job: int, problem: str | None) -> None:
        """A run has finished, was stopped, or failed with a problem."""


def train_jobs(
    next_job: Callable[[], Job | None], conditions: Conditions, *, workers: int, watcher: Watcher
) -> dict[str, str]:
    """Train the jobs that `next_job` returns, at most `workers` at a time; return the problems of failed runs by name.

    `next_job` is called when a worker is free. If it returns None, it is called again after the next run has ended, so
    a job may depend on earlier results. The workers share the CPU cores equally. An exception in the caller, such as
    Ctrl-C, stops the workers; their runs can be resumed from the last complete epoch.
    Errors: exceptions of a run that the user cannot fix; with several workers RuntimeError with the traceback.
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
        problem = _train(job, conditions, _Relay(partial(_notify, watcher, number)))
        if problem is not None:
            problems[job.name] = problem
        watcher.ended(number, problem)
    return problems


def _train(job: Job, conditions: Conditions, reporter: Reporter) -> str | None:
    """Train a run; return the problem if there is one that the user can fix."""
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
        return str(error)
    except OSError as error:
        problem = os_error_message(error)
        if problem is None:
            raise
        return problem
    return None


class _Relay(Reporter):
    """Passes epochs and steps on to a function."""

    def __init__(self, send: Callable[[str, Any], None]) -> None:
        self._send = send

    def epoch(self, epoch: Epoch, *, best: bool) -> None:  # noqa: ARG002 - part of the interface
        self._send("epoch", epoch)

    def step(self, step: Step) -> None:
        self._send("step", step)


def _notify(watcher: Watcher, job: int, event: str, value: Any) -> None:
    watcher.epoch(job, value) if event == "epoch" else watcher.step(job, value)


class _Pool:
    """Worker processes that train one job after another; a worker that dies is replaced."""

    def __init__(self, conditions: Conditions, workers: int, watcher: Watcher) -> None:
        self._conditions, self._watcher = conditions, watcher
        self._threads = max(1, available_cores() // workers)
        self._context = multiprocessing.get_context("spawn")
        self._limit, self._workers = workers, dict[Connection, Any]()

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
                problem = self._receive(connection, busy[connection])
                if problem is None:
                    continue
                job = jobs[busy.pop(connection)]
                if problem:
                    problems[job.name] = problem

    def _assign(self, job: Job, busy: Mapping[Connection, int]) -> Connection:
        """Send a job to an idle worker, or to a new one."""
        for worker in [worker for worker in self._workers if worker not in busy]:
            with suppress(OSError):
                worker.send(job)
                return worker
            self._workers.pop(worker).join()  # it died while it was idle
        worker = self._start()
        worker.send(job)
        return worker

    def _receive(self, connection: Connection, job: int) -> str | None:
        """Handle a worker's message; return the problem if the job has ended, or "" if it has finished."""
        try:
            event, value = connection.recv()
        except (EOFError, OSError):
            process = self._workers.pop(connection)
            process.join()
            event, value = "ended", f"its process ended ({_cause(process.exitcode)}), possibly because memory ran out"
        if event == "bug":
            raise RuntimeError(f"a training run failed:\n{value}")
        if event != "ended":
            self._pass_on(connection, job, event, value)
            return None
        self._watcher.ended(job, value)
        return value or ""

    def _pass_on(self, connection: Connection, job: int, event: str, value: Any) -> None:
        """Notify the watcher; after an epoch, the worker waits for an answer whether to continue."""
        go_on = True
        try:
            _notify(self._watcher, job, event, value)
        except Stopped:
            go_on = False
        if event == "epoch":
            with suppress(OSError):  # the worker is gone; the next receive notices it
                connection.send(go_on)

    def close(self) -> None:
        """End the workers; unfinished runs keep their last complete epoch."""
        for connection, process in self._workers.items():
            with suppress(OSError):
                connection.close()
            process.terminate()
        for process in self._workers.values():
            process.join()

    def _start(self) -> Connection:
        parent_end, worker_end = self._context.Pipe()
        arguments = (worker_end, self._conditions, self._threads)
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        worker_end.close()
        self._workers[parent_end] = process
        return parent_end


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(connection: Connection, conditions: Conditions, threads: int) -> None:
    """Train the jobs that arrive through the connection, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent handles it
    torch.set_num_threads(threads)
    relay = _Relay(partial(_send, connection))
    with suppress(EOFError, BrokenPipeError, ConnectionError):  # the parent is gone
        while True:
            job = connection.recv()
            try:
                with all_arrays_kept():
                    answer = ("ended", _train(job, conditions, relay))
            except (EOFError, BrokenPipeError, ConnectionError):
                raise
            except Exception:  # noqa: BLE001 - the parent raises it with this traceback
                answer = ("bug", traceback.format_exc())
            connection.send(answer)


def _send(connection: Connection, event: str, value: Any) -> None:
    """Send an event to the parent; after an epoch, wait for the answer whether to continue."""
    connection.send((event, value))
    if event == "epoch" and not connection.recv():
        raise Stopped
