"""The workers of `prepare`: a thread of this process, or worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Self

from genrekit.config import PrepareConfig
from genrekit.data.cache.rows import Extent, RowCountMismatch, TrackRows, Written, warm_up, write_track
from genrekit.errors import GenrekitError
from genrekit.io.memory import keep_small_arrays


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_executor(workers: int) -> Executor:
    """Return an executor: one worker is a thread, more are processes.

    Processes are spawned, not forked, so they inherit no open file, lock or thread. They ignore the terminal's
    interrupt, because the parent handles it and ends them. They exit if the parent is killed: otherwise they would
    write rows into a file that the next run has laid out differently.
    """
    if workers == 1:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    keep_small_arrays()  # this process is genrekit's
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Workers:
    """Workers that start when there is work, and import what they need while the file is laid out."""

    def __init__(self, open_executor: Callable[[], Executor], config: PrepareConfig) -> None:
        self._open_executor, self._config = open_executor, config
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the workers. After an error, cancel the work that has not started."""
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
    ) -> Iterator[Written | RowCountMismatch]:
        """Transform tracks and write their rows; yield the results as they are done.

        Errors: GenrekitError if a worker process dies.
        """
        submit = self.start().submit
        try:
            for future in as_completed([submit(write_track, file, extents, slot, self._config) for slot in slots]):
                yield future.result()
        except BrokenProcessPool as error:
            raise GenrekitError(
                "a worker process died, possibly because memory ran out: "
                "run prepare again to resume, with fewer workers if it happens again"
            ) from error
