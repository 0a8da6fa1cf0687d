"""The workers of `prepare`: their protocol, and those on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from genrekit.audio.decoder_messages import decoder_messages, file_messages
from genrekit.config import PrepareConfig
from genrekit.data.cache.rows import Extent, RowCountMismatch, TrackRows, Written, warm_up, write_track
from genrekit.errors import GenrekitError
from genrekit.io.memory import keep_small_arrays
from genrekit.io.processes import ProcessPool


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_executor(workers: int) -> Executor:
    """Return an executor: one worker is a thread, more are processes.

    Processes exit if the parent is killed: otherwise they would write rows into a file that the next run has laid out
    differently.
    """
    return ThreadPoolExecutor(1) if workers == 1 else ProcessPool(workers, keep_small_arrays)


def _write_in_process(
    file: Path, extents: dict[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    """Write a track in a worker process, which has stderr for itself."""
    messages: list[str] = []
    with decoder_messages(messages):
        outcome = write_track(file, extents, slot, config)
    return _with_messages(outcome, messages)


def write_in_thread(
    file: Path, extents: Mapping[str, Extent], slot: TrackRows, config: PrepareConfig
) -> Written | RowCountMismatch:
    """Write a track in a thread, which shares stderr with the rest of the process."""
    messages: list[str] = []
    with file_messages(slot.path, messages):
        outcome = write_track(file, extents, slot, config)
    return _with_messages(outcome, messages)


def _with_messages(outcome: Written | RowCountMismatch, messages: list[str]) -> Written | RowCountMismatch:
    return replace(outcome, messages=tuple(messages)) if isinstance(outcome, Written) else outcome


class Workers(Protocol):
    """What transforms tracks and writes their rows into a file that is laid out. It is entered before it is used."""

    def __enter__(self) -> Self:
        """Return the workers, which do not run yet."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the workers."""

    def start(self) -> object:
        """Start the workers before the file is laid out, so that they are ready afterwards."""

    def write_tracks(
        self, file: Path, extents: dict[str, Extent], slots: list[TrackRows]
    ) -> Generator[Written | RowCountMismatch]:
        """Transform tracks and write their rows; yield the results as they are done."""


class LocalWorkers:
    """Workers on this machine that start when there is work, and import what they need while the file is laid out."""

    def __init__(self, open_executor: Callable[[], Executor], config: PrepareConfig) -> None:
        self._open_executor, self._config = open_executor, config
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the workers. After an error or an interruption, end processes, and threads after their track."""
        if kind is not None and isinstance(self._executor, ProcessPool):
            self._executor.kill()  # rows that they were writing do not count as done
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=kind is not None)

    def start(self) -> Executor:
        """Return the executor, and start it if necessary."""
        if self._executor is None:
            self._executor = self._open_executor()
            with suppress(BrokenProcessPool):  # write_tracks raises it again
                self._executor.submit(warm_up, self._config)
        return self._executor

    def write_tracks(
        self, file: Path, extents: dict[str, Extent], slots: list[TrackRows]
    ) -> Generator[Written | RowCountMismatch]:
        """Transform tracks and write their rows; yield the results as they are done.

        Errors: GenrekitError if a worker process dies.
        """
        executor = self.start()
        write = _write_in_process if isinstance(executor, ProcessPool) else write_in_thread
        try:
            for future in as_completed([executor.submit(write, file, extents, slot, self._config) for slot in slots]):
                yield future.result()
        except BrokenProcessPool as error:
            raise GenrekitError(
                "a worker process died, possibly because memory ran out: "
                "run genrekit prepare again to resume, with fewer --workers if it happens again"
            ) from error
