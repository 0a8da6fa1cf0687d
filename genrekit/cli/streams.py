"""Standard streams that are closed, full or broken.

A command still does its work. Its exit code says if results were lost.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from genrekit.errors import GenrekitError, advice

_FEWEST = {"COLUMNS": 20, "LINES": 5, "TERMINAL_WIDTH": 20}
"""The size of the smallest terminal that tables are made for, by the variables that set a size."""

_SIZE = re.compile("0*([1-9][0-9]{0,3})", re.ASCII)


class OutputError(GenrekitError):
    """The results cannot be written to stdout. The message is empty if its reader has closed it."""


class _Stream:
    """A stream whose errors in writing are handled by `_fail`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def _fail(self, error: OSError | ValueError) -> None:
        raise NotImplementedError


class _Results(_Stream):
    """Standard output: an error ends the command."""

    def _fail(self, error: OSError | ValueError) -> None:
        _discard(self._stream)
        if isinstance(error, BrokenPipeError):
            raise OutputError from error
        text = error.strerror if isinstance(error, OSError) else str(error)
        remedy = advice(error) if isinstance(error, OSError) and error.errno == errno.ENOSPC else "open stdout"
        raise OutputError(f"the results cannot be written to stdout: {text}; {remedy}") from error


class _Progress(_Stream):
    """Standard error: without it, the work goes on."""

    def _fail(self, error: OSError | ValueError) -> None:  # noqa: ARG002 - nobody reads what could be said
        _discard(self._stream)


@contextmanager
def guarded() -> Iterator[None]:
    """Raise OutputError if stdout fails inside the block. Errors of stderr are ignored."""
    _open_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # characters that its encoding lacks
    before = sys.stdout, sys.stderr
    results, progress = _Results(sys.stdout), _Progress(sys.stderr)
    sys.stdout, sys.stderr = results, progress
    try:
        yield
    finally:
        progress.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def separate_stderr() -> Iterator[None]:
    """Collect what libraries print to the descriptor of stderr, and let Python's stderr write to another one."""
    from genrekit.audio.decoder_messages import shared_stderr

    before = sys.stderr

    def keep(descriptor: int) -> None:
        with suppress(OSError, AttributeError):  # stderr may not be a file, as in tests
            if before.fileno() == 2:
                text = open(descriptor, "w", 1, before.encoding, before.errors, closefd=False)  # noqa: SIM115
                sys.stderr = _Progress(text)

    with shared_stderr(keep):
        try:
            yield
        finally:
            sys.stderr.flush()
            sys.stderr = before


def flush_results() -> None:
    """Write what is buffered of the results.

    Errors: OutputError.
    """
    sys.stdout.flush()


def repair_size(environment: MutableMapping[str, str]) -> None:
    """Drop a size of the terminal that is not a number above 0, and use at least that of the smallest terminal.

    >>> variables = {"COLUMNS": "0", "LINES": "1", "TERMINAL_WIDTH": "wide"}
    >>> repair_size(variables)
    >>> variables
    {'LINES': '5'}
    """
    for name, fewest in _FEWEST.items():
        if name in environment:
            size = _SIZE.fullmatch(environment[name])
            if size is None:
                del environment[name]
            else:
                environment[name] = str(max(int(size[1]), fewest))


def _discard(stream: TextIO) -> None:
    """Send what a stream has buffered nowhere, so that Python does not try again at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def _open_closed() -> None:
    """Open each closed standard stream, so that no file gets its number and then what libraries print.

    Writing to a closed stdout is an error, because results would be lost; stdin is empty, and stderr goes nowhere.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
