"""Make malloc keep freed memory for the next arrays instead of returning it to the system, if the C library is glibc.

These settings hold for the whole process. So only the command line and worker processes use them, never a function of
the Python API.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Option numbers of mallopt, from glibc's malloc.h."""

_LARGE_BYTES = 32 << 20
"""The largest value that glibc accepts as the size from which arrays are mapped from the system one by one."""

_DEFAULT_MMAP_MAX = 65_536
"""glibc's default for the number of arrays that are mapped at once."""

_NO_MMAP, _NO_TRIM = 0, -1

_lock = threading.Lock()
_users = 0


def keep_small_arrays() -> None:
    """Keep the memory of arrays up to 32 MiB from now on.

    By default, glibc returns much of it to the system after each track. Getting it again takes about a tenth of the
    time of `prepare`.
    """
    _set({_M_TRIM_THRESHOLD: _LARGE_BYTES, _M_MMAP_THRESHOLD: _LARGE_BYTES})


@contextmanager
def all_arrays_kept() -> Iterator[None]:
    """Keep the memory of arrays of any size during the block, and return it to the system afterwards.

    By default, glibc gets each array above 32 MiB from the system, which clears every page first. The activations of a
    network are such arrays: this takes a third to a half of the time of a training step on a CPU. Blocks may overlap,
    also in several threads. After the last one, the process keeps up to 32 MiB of freed memory.
    """
    _enter(1)
    try:
        yield
    finally:
        _enter(-1)


def _enter(change: int) -> None:
    global _users  # noqa: PLW0603 - the settings of the C library are global, too
    with _lock:
        _users += change
        if _users == change:
            _set({_M_MMAP_MAX: _NO_MMAP, _M_TRIM_THRESHOLD: _NO_TRIM})
        elif _users == 0:
            _set({_M_MMAP_MAX: _DEFAULT_MMAP_MAX, _M_TRIM_THRESHOLD: _LARGE_BYTES, _M_MMAP_THRESHOLD: _LARGE_BYTES})
            _call("malloc_trim", 0)


def _set(values: dict[int, int]) -> None:
    for number, value in values.items():
        _call("mallopt", number, value)


def _call(name: str, *values: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # another C library, or another system
        getattr(ctypes.CDLL(None), name)(*values)
