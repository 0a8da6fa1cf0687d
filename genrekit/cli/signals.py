"""Ctrl-C, SIGTERM and SIGUSR1 as exceptions, raised immediately and again at the next report of progress.

They are raised again because Python drops an exception that a signal handler raises in a destructor or in a callback of
a library. Within `waiting`, the first signal is raised only at the end of the block; a second one is raised at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


class Terminated(BaseException):
    """The process received SIGTERM."""


class TimeLimitNear(BaseException):
    """The process received SIGUSR1, which batch systems send shortly before the time limit of a job."""


_EXCEPTIONS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
if hasattr(signal, "SIGUSR1"):
    _EXCEPTIONS[signal.SIGUSR1] = TimeLimitNear

ENDING = tuple(number for number in _EXCEPTIONS if number != signal.SIGINT)
"""The signals that end a process after its current step: those that a batch system or a system sends."""

_received: list[int] = []
_deferred: frozenset[int] = frozenset()


def listen() -> None:
    """Install the handlers for these signals, and forget signals received before."""
    _received.clear()
    sys.unraisablehook = _ignore_dropped_signals
    for number in _EXCEPTIONS:
        signal.signal(number, _handle)


def check() -> None:
    """Raise the exception of the last signal received, if there is one."""
    if _received:
        raise _EXCEPTIONS[_received[-1]]


@contextmanager
def waiting(*numbers: int) -> Iterator[None]:
    """Defer the first signal of these kinds to the end of the block, or to a `check` in it."""
    global _deferred  # noqa: PLW0603 - signal handlers belong to the process and take no arguments
    before = _deferred
    _deferred = before | set(numbers)
    try:
        yield
    finally:
        _deferred = before
    check()


def leave(code: int) -> NoReturn:
    """End the process with an exit code. After a second signal, do not wait for threads that are still working."""
    if len(_received) > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _ignore_dropped_signals(dropped: sys.UnraisableHookArgs) -> None:
    """Print exceptions that Python drops, except those of signals, which are raised again."""
    if dropped.exc_type not in _EXCEPTIONS.values():
        sys.__unraisablehook__(dropped)


def _handle(number: int, _frame: FrameType | None) -> None:
    repeated = number in _received
    _received.append(number)
    if repeated or number not in _deferred:
        raise _EXCEPTIONS[number]
