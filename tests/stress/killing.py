"""What the harnesses that kill share: their command line, and waiting for a process or for what it does."""

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
    """How many `kills` of that `meaning` must land, and the `seed` of their instants."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kills", type=int, default=kills, help=meaning)
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until the process and all that have come from it have ended; return its exit code and what stderr says.

    They share stderr, which ends with the last of them.
    """
    try:
        said = process.communicate(timeout=PATIENCE_S)[1]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("a process lives on") from None
    return process.returncode, said


def wait_until(process: subprocess.Popen[str], there: Callable[[], bool], complaint: str) -> None:
    """Wait for what a process that goes on is to do."""
    give_up = time.monotonic() + PATIENCE_S
    while not there():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < give_up, complaint
        time.sleep(0.002)
