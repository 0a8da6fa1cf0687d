"""Permissions that bind whoever runs the tests: in containers that is root, whom they do not bind by themselves."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_VERSION = 0x20080522
_OVERRIDE = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with them, permissions of files are not looked at."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def binding_permissions() -> Iterator[None]:
    """Obey permissions in this thread while the block runs, also as root; processes that it starts may not."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("only Linux lets root obey permissions")
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = _Header(_VERSION, 0), (_Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), held) == 0
    before = held[0].effective
    held[0].effective &= ~_OVERRIDE
    assert libc.capset(ctypes.byref(header), held) == 0
    try:
        yield
    finally:
        held[0].effective = before
        assert libc.capset(ctypes.byref(header), held) == 0


@contextmanager
def closed(path: Path, mode: int) -> Iterator[None]:
    """Give a file or folder other permissions, which bind, while the block runs."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        with binding_permissions():
            yield
    finally:
        path.chmod(before)
