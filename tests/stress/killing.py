"""Helpers of the scripts that kill processes: their command line, and waiting."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE_S = 120.0
"""For a run that hangs; nothing else depends on it."""


def read_command_line(description: str, kills: int, meaning: str) -> argparse.Namespace:
    """Read the number of `kills` that must hit, with its `meaning` for the help text, and the `seed` of their times."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kills", type=int, default=kills, help=meaning)
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until the process and all of its descendants have ended; return its exit code and stderr.

    The descendants share its stderr, which is closed when the last of them ends.
    """
    try:
        stderr = process.communicate(timeout=PATIENCE_S)[1]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("a process lives on") from None
    return process.returncode, stderr


def wait_until(process: subprocess.Popen[str], there: Callable[[], bool], complaint: str) -> None:
    """Wait until a condition is true, while a process is running."""
    give_up = time.monotonic() + PATIENCE_S
    while not there():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < give_up, complaint
        time.sleep(0.002)
