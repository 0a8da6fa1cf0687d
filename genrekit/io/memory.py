"""Whether the C library keeps the memory that arrays have given up, where it has settings for that, as glibc has."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""mallopt's numbers, from glibc's malloc.h."""

_MOST_BYTES = 32 << 20
"""The most that glibc takes as the size from which each array has memory of its own."""

_MOST_MAPPED = 65_536
"""How many arrays have memory of their own at once, if nobody says otherwise."""

_NEVER, _NO_TRIM = 0, -1

_lock = threading.Lock()
_users = 0


def keep_of_small() -> None:
    """Keep what arrays up to 32 MiB took, in this process and from now on.

    glibc would give much of it back to the system after each track, and a tenth of prepare's time would go into
    fetching it again.
    """
    _set({_M_TRIM_THRESHOLD: _MOST_BYTES, _M_MMAP_THRESHOLD: _MOST_BYTES})


@contextmanager
def kept() -> Iterator[None]:
    """Keep what arrays of any size took until the block ends, and then give it back.

    glibc fetches each array above 32 MiB anew from the system, which clears every page of it first. A network's
    activations are such arrays, by the dozen in each step: a third to a half of a step's time on a CPU. Blocks may
    overlap, in several threads too.
    """
    _enter(1)
    try:
        yield
    finally:
        _enter(-1)


def _enter(more: int) -> None:
    global _users  # noqa: PLW0603 - the C library's settings are the process's, too
    with _lock:
        _users += more
        if _users == more:
            _set({_M_MMAP_MAX: _NEVER, _M_TRIM_THRESHOLD: _NO_TRIM})
        elif _users == 0:
            _set({_M_MMAP_MAX: _MOST_MAPPED, _M_TRIM_THRESHOLD: _MOST_BYTES, _M_MMAP_THRESHOLD: _MOST_BYTES})
            _call("malloc_trim", 0)


def _set(values: dict[int, int]) -> None:
    for number, value in values.items():
        _call("mallopt", number, value)


def _call(name: str, *values: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # another C library, or another system
        getattr(ctypes.CDLL(None), name)(*values)
