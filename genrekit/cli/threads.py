"""How the threads of torch wait for each other. Only the command line sets this: a library must not."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPIN_COUNT = "1000"
"""Rounds in which a thread of GNU's OpenMP looks for work before it sleeps; 300,000 if nothing is set."""

BLOCK_TIME_MS = "1"
"""The same for LLVM's OpenMP, as a time; 200 if nothing is set."""

_USER_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads sleep soon, unless the user has chosen how they wait.

    torch splits each operation among the cores. By default, a thread that has finished its share keeps its core busy
    while it waits for the others. If another process needs the core, all threads wait longer: beside one busy process
    on two cores, a training step took 2.8 times as long as alone, and 1.9 times with threads that sleep
    (`benchmarks/busy.py`). OpenMP reads these variables when torch is imported, so call this first.
    """
    if not any(name in environment for name in _USER_SETTINGS):
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
        environment["KMP_BLOCKTIME"] = BLOCK_TIME_MS
