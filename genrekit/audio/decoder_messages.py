"""Messages that decoder libraries print to stderr themselves, without the name of the file.

A worker process has stderr for itself, so what is printed while it decodes a file is about that file. Threads share it:
what is printed while several of them decode can be about any of their files. So each of these files is decoded once
more, alone in a process. Most collections never need it, because intact files print nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from genrekit.audio.source import open_audio
from genrekit.errors import UnreadableAudioError
from genrekit.io.printable import printable
from genrekit.io.processes import ProcessPool

_STDERR = 2
_SOURCE_LINE = re.compile(r"^\[[^\]]*\]\s*")
_BLOCK = 1 << 18


@contextmanager
def decoder_messages(messages: list[str]) -> Iterator[None]:
    """Add what is printed to the file descriptor of stderr during the block to `messages`, each line once.

    This holds for all threads, so it is only for a process that does nothing else.
    """
    with _redirected_stderr() as (descriptor, _):
        try:
            yield
        finally:
            messages += dict.fromkeys(filter(None, map(_text, _lines(descriptor))))


class _SharedStderr:
    """What all threads of this process, and the processes that it starts, print to the descriptor of stderr."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock, self._process = threading.Lock(), ProcessPool(1)
        self._explained: set[str] = set()

    def size(self) -> int:
        """Return the number of bytes so far."""
        return os.fstat(self._descriptor).st_size

    def messages_of(self, path: Path) -> list[str]:
        """Decode a file alone, and return what is printed."""
        with suppress(BrokenProcessPool):
            messages = self._process.submit(_messages_of, path).result()
            with self._lock:
                self._explained.update(messages)
            return messages
        return []

    def close(self) -> list[str]:
        """Return the lines that no file explains, such as warnings of other libraries, each once."""
        self._process.shutdown()
        return [line for line in dict.fromkeys(_lines(self._descriptor)) if _text(line) not in {"", *self._explained}]


_shared: _SharedStderr | None = None


@contextmanager
def shared_stderr(keep: Callable[[int], None] = lambda _descriptor: None) -> Iterator[None]:
    """Collect what is printed to the descriptor of stderr during the block, for `file_messages`.

    `keep` is called with another descriptor that leads to where stderr did, for output that must not be collected.
    Lines about no file are printed at the end. If nothing can be collected, the block runs without it.
    """
    global _shared  # noqa: PLW0603 - stderr belongs to the process
    if _shared is not None:
        yield
        return
    rest: list[str] = []
    with ExitStack() as stack:
        with suppress(OSError):  # stderr is closed, or there is no folder for temporary files
            descriptor, original = stack.enter_context(_redirected_stderr())
            keep(original)
            _shared = _SharedStderr(descriptor)
        try:
            yield
        finally:
            if _shared is not None:
                rest, _shared = _shared.close(), None
    with suppress(OSError):  # nobody reads it any more
        for line in rest:
            os.write(_STDERR, f"{printable(line)}\n".encode())


@contextmanager
def file_messages(path: Path, messages: list[str]) -> Iterator[None]:
    """Add what decoders print about a file that is decoded in the block to `messages`, if stderr is collected.

    Several threads may do this at the same time.
    """
    shared = _shared
    before = 0 if shared is None else shared.size()
    try:
        yield
    finally:
        if shared is not None and shared.size() > before:
            messages += shared.messages_of(path)


def _messages_of(path: Path) -> list[str]:
    messages: list[str] = []
    with decoder_messages(messages), suppress(UnreadableAudioError), open_audio(path) as file:
        while len(file.read(_BLOCK, always_2d=True)):
            pass
    return messages


@contextmanager
def _redirected_stderr() -> Iterator[tuple[int, int]]:
    """Redirect the descriptor of stderr to a temporary file.

    Returns the file's descriptor, and one that leads to where stderr did.
    """
    original = os.dup(_STDERR)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), _STDERR)
            try:
                yield file.fileno(), original
            finally:
                os.dup2(original, _STDERR)
    finally:
        os.close(original)


def _lines(descriptor: int) -> list[str]:
    """Return all lines of a file without moving its position, at which other processes write."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace").splitlines()


def _text(line: str) -> str:
    """Return a line without the place in the source code that printed it."""
    return _SOURCE_LINE.sub("", line).strip()
