"""`genrekit prepare` with pauses where a kill could do the most damage. The code of genrekit is unchanged.

    python tests/stress/slow_prepare.py PAUSE_S prepare ...

A kill at a random time would rarely hit phases that take microseconds. There is a pause after the space of a new file
is allocated, after each copied track, in the middle of each write of rows and of a track's results, before each fsync,
and before and after each file replaces another one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from genrekit.data.cache import rows

write_at, write_track = rows.write_at, rows.write_track  # as they are before they are slowed down


def slow(pause_s: float, before: float, function: Callable[..., Any], after: float) -> Callable[..., Any]:
    """Return the function with a number of pauses before and after it."""

    def paused(*args: Any, **kwargs: Any) -> Any:
        time.sleep(before * pause_s)
        found = function(*args, **kwargs)
        time.sleep(after * pause_s)
        return found

    return paused


def torn_write_at(pause_s: float, descriptor: int, offset: int, values: Any) -> None:
    """Write the first half, pause, and write the rest."""
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    half = len(data) // 2
    write_at(descriptor, offset, data[:half])
    time.sleep(pause_s)
    write_at(descriptor, offset + half, data[half:])


def torn_write_track(pause_s: float, *args: Any) -> Any:
    """Process a track as a worker does, with a pause in the middle of each write."""
    setattr(*(rows, "write_at"), partial(torn_write_at, pause_s))
    return write_track(*args)


def main(pause_s: float, arguments: list[str]) -> int:
    """Run the command line with pauses."""
    import slow_prepare  # worker processes import this module by its name, not as __main__

    from genrekit.cli.app import run
    from genrekit.data.cache import builder, executors, reuse

    slowly = partial(slow, pause_s)
    for module, name, replacement in (
        (executors, "write_track", partial(slow_prepare.torn_write_track, pause_s)),
        (builder, "write_at", partial(torn_write_at, pause_s)),
        (reuse, "copy_rows", slowly(0, rows.copy_rows, 1)),
        (os, "posix_fallocate", slowly(0, os.posix_fallocate, 15)),
        (os, "fsync", slowly(10, os.fsync, 0)),
        (os, "replace", slowly(10, os.replace, 5)),
    ):
        setattr(module, name, replacement)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
