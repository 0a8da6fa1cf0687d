"""Many trainings, side by side or one after another: a failed one does not stop the rest."""

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
from genrekit.errors import GenrekitError, system_problem
from genrekit.io.memory import all_arrays_kept
from genrekit.metrics.epochs import Epoch, Step
from genrekit.training.tracking import Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.train import train


@dataclass(frozen=True)
class Job:
    """One training to do: its configuration and its folder, and whether it goes on from a checkpoint there."""

    name: str
    values: Mapping[str, Any]
    run: Path
    resume: bool


@dataclass(frozen=True)
class Conditions:
    """What all trainings of a study have in common."""

    cache: Path
    best_models: Path | None
    tracking: Tracking
    strict: bool


@contextmanager
def shown(reporter: Reporter) -> Iterator[None]:
    """End what a reporter shows of trainings, and say of an interruption that they go on."""
    try:
        yield
    except BaseException as error:
        reporter.finished()
        if not isinstance(error, Exception):
            reporter.note("the same command goes on where this one was stopped")
        raise
    finally:
        reporter.finished()


class Stopped(Exception):  # noqa: N818 - it is no error
    """Raised by a watcher that wants no more of a training: the run stays as its last whole epoch left it."""


class Watcher:
    """Hears how trainings go on, by the place of their job; this one does nothing."""

    def started(self, place: int) -> None:
        """A training begins."""

    def epoch(self, place: int, epoch: Epoch) -> None:
        """An epoch has ended; `Stopped` ends the training here."""

    def step(self, place: int, step: Step) -> None:
        """Some steps have ended."""

    def ended(self, place: int, problem: str | None) -> None:
        """A training is finished or stopped, or has failed with a problem."""


def train_each(
    take: Callable[[], Job | None], conditions: Conditions, *, workers: int, watcher: Watcher
) -> dict[str, str]:
    """Do the jobs that `take` gives, at most `workers` at once, and return the problems of those that failed by name.

    It is asked for one whenever a worker is free, and where it has none, again after the next training has ended: what
    it gives may depend on how others went. Each worker has an equal part of the cores. An exception in the caller, such
    as Ctrl-C, ends the workers: their runs go on from their last whole epoch when they are asked for again.
    Errors: what a training raises that is no problem of the user's; of a worker's, RuntimeError with its traceback.
    """
    if workers <= 1:
        return _one_by_one(take, conditions, watcher)
    pool = _Pool(conditions, workers, watcher)
    try:
        return pool.run(take)
    finally:
        pool.close()


def _one_by_one(take: Callable[[], Job | None], conditions: Conditions, watcher: Watcher) -> dict[str, str]:
    problems = {}
    for place, job in enumerate(iter(take, None)):
        watcher.started(place)
        problem = _try(job, conditions, _Relay(partial(_hear, watcher, place)))
        if problem is not None:
            problems[job.name] = problem
        watcher.ended(place, problem)
    return problems


def _try(job: Job, conditions: Conditions, reporter: Reporter) -> str | None:
    """Train, and return the problem if there is one that a user can mend."""
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
        problem = system_problem(error)
        if problem is None:
            raise
        return problem
    return None


class _Relay(Reporter):
    """Passes on what a watcher wants to hear."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        self._tell = tell

    def epoch(self, epoch: Epoch, *, best: bool) -> None:  # noqa: ARG002 - the interface has it
        self._tell("epoch", epoch)

    def step(self, step: Step) -> None:
        self._tell("step", step)


def _hear(watcher: Watcher, place: int, event: str, value: Any) -> None:
    watcher.epoch(place, value) if event == "epoch" else watcher.step(place, value)


class _Pool:
    """Worker processes that take one job after another; one that dies is replaced."""

    def __init__(self, conditions: Conditions, workers: int, watcher: Watcher) -> None:
        self._conditions, self._watcher = conditions, watcher
        self._threads = max(1, available_cores() // workers)
        self._context = multiprocessing.get_context("spawn")
        self._most, self._workers = workers, dict[Connection, Any]()

    def run(self, take: Callable[[], Job | None]) -> dict[str, str]:
        taken: list[Job] = []
        busy: dict[Connection, int] = {}
        problems: dict[str, str] = {}
        while True:
            while len(busy) < self._most and (job := take()) is not None:
                connection = self._give(job, busy)
                busy[connection] = len(taken)
                taken.append(job)
                self._watcher.started(busy[connection])
            if not busy:
                return problems
            heard = set(wait(list(busy)))
            for connection in [worker for worker in busy if worker in heard]:
                problem = self._hear(connection, busy[connection])
                if problem is None:
                    continue
                job = taken[busy.pop(connection)]
                if problem:
                    problems[job.name] = problem

    def _give(self, job: Job, busy: Mapping[Connection, int]) -> Connection:
        """Give a job to a worker that has nothing to do, or to a new one."""
        for worker in [worker for worker in self._workers if worker not in busy]:
            with suppress(OSError):
                worker.send(job)
                return worker
            self._workers.pop(worker).join()  # it died while it had nothing to do
        worker = self._start()
        worker.send(job)
        return worker

    def _hear(self, connection: Connection, place: int) -> str | None:
        """Pass on what a worker says; return its problem when a job ends, an empty one if it is finished."""
        try:
            event, value = connection.recv()
        except (EOFError, OSError):
            process = self._workers.pop(connection)
            process.join()
            cause = _cause(process.exitcode)
            event, value = "ended", f"its process ended by itself ({cause}): was there enough memory?"
        if event == "bug":
            raise RuntimeError(f"a training failed:\n{value}")
        if event != "ended":
            self._tell(connection, place, event, value)
            return None
        self._watcher.ended(place, value)
        return value or ""

    def _tell(self, connection: Connection, place: int, event: str, value: Any) -> None:
        """Tell the watcher; after an epoch the worker waits to hear whether it goes on."""
        goes_on = True
        try:
            _hear(self._watcher, place, event, value)
        except Stopped:
            goes_on = False
        if event == "epoch":
            with suppress(OSError):  # it is gone, and will be heard to be
                connection.send(goes_on)

    def close(self) -> None:
        """End the workers: what they have not finished stays as its last whole epoch left it."""
        for connection, process in self._workers.items():
            with suppress(OSError):
                connection.close()
            process.terminate()
        for process in self._workers.values():
            process.join()

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._conditions, self._threads), daemon=True)
        process.start()
        theirs.close()
        self._workers[ours] = process
        return ours


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(connection: Connection, conditions: Conditions, threads: int) -> None:
    """Train what comes through the connection, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    torch.set_num_threads(threads)
    relay = _Relay(partial(_send, connection))
    with suppress(EOFError, BrokenPipeError, ConnectionError):  # the parent is gone
        while True:
            job = connection.recv()
            try:
                with all_arrays_kept():
                    answer = ("ended", _try(job, conditions, relay))
            except (EOFError, BrokenPipeError, ConnectionError):
                raise
            except Exception:  # noqa: BLE001 - a bug keeps its traceback, and is raised where it can be seen
                answer = ("bug", traceback.format_exc())
            connection.send(answer)


def _send(connection: Connection, event: str, value: Any) -> None:
    """Pass an event to the parent, and hear after an epoch whether the training goes on."""
    connection.send((event, value))
    if event == "epoch" and not connection.recv():
        raise Stopped
