"""Ctrl-C and SIGTERM become exceptions: at once, and once more at the next sign of progress.

Where something is to be brought to an end first, a signal waits; a second one does not.
Python drops an exception that a signal's handler raises while a destructor or a library's callback runs; a stop that
was lost so must not be lost for good.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


_KINDS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}

_heard: list[int] = []
_waiting: frozenset[int] = frozenset()


def listen() -> None:
    """Hear both signals from now on, and forget those of before."""
    _heard.clear()
    sys.unraisablehook = _pass_over_ours
    for number in _KINDS:
        signal.signal(number, _stop)


def check() -> None:
    """Raise what a signal has asked for and nothing has raised through to the end."""
    if _heard:
        raise _KINDS[_heard[-1]]


@contextmanager
def waiting(*numbers: int) -> Iterator[None]:
    """Let the first signal of these kinds wait, while the block runs, for the next `check`; the block ends with one."""
    global _waiting  # noqa: PLW0603 - handlers of signals are the process's own, and take no arguments
    before = _waiting
    _waiting = before | set(numbers)
    try:
        yield
    finally:
        _waiting = before
    check()


def _pass_over_ours(lost: sys.UnraisableHookArgs) -> None:
    """Show what else could not be raised; our own lost exceptions are raised later."""
    if lost.exc_type not in _KINDS.values():
        sys.__unraisablehook__(lost)


def _stop(number: int, _frame: FrameType | None) -> None:
    again = number in _heard
    _heard.append(number)
    if again or number not in _waiting:
        raise _KINDS[number]
