"""`genrekit prepare` with pauses where a kill would hurt most; the product's code runs as it is.

    python tests/stress/slow_prepare.py PAUSE_S prepare ...

Phases that take microseconds would hardly ever be hit by a kill at a random instant. So there is a pause after the
space of a new file is set aside, after each copied track, between the two halves of every write of rows and of a
track's results, before each fsync, and before and after each file takes another's place.
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
    """The function with so many pauses before and after it."""

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
    """What a worker does, with its writes torn."""
    setattr(*(rows, "write_at"), partial(torn_write_at, pause_s))
    return write_track(*args)


def main(pause_s: float, arguments: list[str]) -> int:
    """Run the command line, slowly."""
    from genrekit.cli.app import run
    from genrekit.data.cache import builder, executors, reuse

    slowly = partial(slow, pause_s)
    for module, name, replacement in (
        (executors, "write_track", partial(torn_write_track, pause_s)),
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
