"""Where prepare's work runs: a thread of this process, or worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from genrekit.io.memory import keep_of_small


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_executor(workers: int) -> Executor:
    """Return an executor with that many workers; one worker is a thread, more are fresh processes.

    Processes are spawned, not forked, so that no open file, lock or thread of this process comes along. They ignore
    the terminal's interrupt: the parent hears it and ends them. They end with the parent, however that ends: one that
    lived on would write rows where the next build may have planned others.
    """
    if workers == 1:
        return ThreadPoolExecutor(1, initializer=keep_of_small)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    keep_of_small()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
