"""Files that are not regular: opening one may block, and reading one may never end."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket must be short
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


SPECIAL: dict[str, Callable[[Path], None]] = {"pipe": _pipe, "endless": _endless, "socket": _socket}
"""How to make each kind of special file."""


def replace(path: Path, kind: str) -> None:
    """Put a special file where a file may be."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    SPECIAL[kind](path)


@contextmanager
def not_blocking(seconds: int = 60) -> Iterator[None]:
    """Raise TimeoutError in a block that waits for a special file."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError("the block waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
