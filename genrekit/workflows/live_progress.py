"""Progress of the Python API: one line in a terminal or a notebook, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from importlib import import_module
from typing import Any, ParamSpec, Protocol, TypeVar

from genrekit.metrics.epochs import Epoch, Step
from genrekit.workflows.reporter import Reporter, RunProgress

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PAUSE_S = 0.1
"""Least time between two changes of the line, which would slow down short steps."""


class Screen(Protocol):
    """Where the line of progress is shown."""

    def show(self, text: str) -> None:
        """Replace the line."""

    def clear(self) -> None:
        """Remove the line."""


class TerminalScreen:
    """The last line of stderr in a terminal."""

    def show(self, text: str) -> None:
        """Replace the line."""
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        self.show("")


class NotebookScreen:
    """An output of a notebook's cell. It is empty when the work is done."""

    def __init__(self) -> None:
        self._output: Any = None

    def show(self, text: str) -> None:
        """Replace the line."""
        data = {"text/plain": text, "text/html": f"<small>{escape(text)}</small>"}
        if self._output is None:
            display = import_module("IPython.display")  # a notebook has imported it
            self._output = display.display(data, raw=True, display_id=True)
        else:
            self._output.update(data, raw=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._output is not None:
            self._output.update({}, raw=True)
            self._output = None


class LiveProgress(Reporter):
    """Shows the progress of a workflow on one line, which is removed at the end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown = False
        self._next = 0.0
        self._accuracy = ""

    def tracks_done(self, done: int, of: int) -> None:
        """Show the tracks, files or models."""
        self._show(f"processed: {done:,} of {of:,}", last=done == of)

    def fragments_altered(self, done: int, of: int) -> None:
        """Show the fragments."""
        self._show(f"changing tempo and pitch of fragments: {done:,} of {of:,}", last=done == of)

    def statistics_done(self, done: int, of: int) -> None:
        """Show the fragments."""
        self._show(f"features of fragments: {done:,} of {of:,}", last=done == of)

    def step(self, step: Step) -> None:
        """Show the epoch, the step and the last validation accuracy."""
        self._show(f"epoch {step.epoch} of {step.epochs}, step {step.step} of {step.steps}{self._accuracy}")

    def epoch(self, epoch: Epoch, *, best: bool) -> None:  # noqa: ARG002 - the base class has it
        """Remember the validation accuracy."""
        self._accuracy = f", {100 * epoch.validation_track_accuracy:.1f} % of validation tracks"

    def runs(self, runs: Sequence[RunProgress]) -> None:
        """Show how many runs of a study are finished."""
        done = sum(run.state not in ("waiting", "running") for run in runs)
        self._show(f"runs: {done} of {len(runs)}", last=done == len(runs))

    def finished(self) -> None:
        """Remove the line."""
        if self._shown:
            self._screen.clear()
            self._shown = False

    def _show(self, text: str, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now >= self._next:
            self._screen.show(text)
            self._shown, self._next = True, now + _PAUSE_S


def automatic_reporter() -> Reporter:
    """Return a reporter that shows progress if a person watches: in a notebook, or if stderr is a terminal."""
    if _in_notebook():
        return LiveProgress(NotebookScreen())
    if sys.stderr is not None and sys.stderr.isatty():
        return LiveProgress(TerminalScreen())
    return Reporter()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def with_progress(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Show the progress of a function of the Python API if it is called without a `reporter`."""

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if "reporter" in kwargs:
            return function(*args, **kwargs)
        reporter = automatic_reporter()
        kwargs["reporter"] = reporter
        try:
            return function(*args, **kwargs)
        finally:
            reporter.finished()

    return called
