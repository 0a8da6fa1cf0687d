"""What workers of a cluster run: calls that first compare versions, and checks of paths."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from genrekit._version import __version__
from genrekit.errors import GenrekitError
from genrekit.io.memory import all_arrays_kept

_MOST_FOLDERS = 1_000

Item = TypeVar("Item")
Result = TypeVar("Result")


def this_process() -> tuple[str, int]:
    """Return the host and the ID of this process."""
    return socket.gethostname(), os.getpid()


def call(function: Callable[[Item], Result], version: str, caller: tuple[str, int], item: Item) -> Result:
    """Call a function on a worker, if the worker has the version of genrekit that submitted the call.

    Workers may join after the first task, so each call compares the versions. A worker that is not a thread of the
    calling process keeps the memory of arrays during the call.
    Errors: GenrekitError with both versions.
    """
    require_version(version)
    with nullcontext() if this_process() == caller else all_arrays_kept():
        return function(item)


def require_version(version: str) -> None:
    """Make sure that this worker has the version of genrekit that submitted a task.

    Errors: GenrekitError with both versions.
    """
    if version != __version__:
        raise other_version(socket.gethostname(), __version__, version)


def other_version(worker: str, theirs: str, ours: str = __version__) -> GenrekitError:
    """Return the error for a worker with another version of genrekit."""
    return GenrekitError(
        f"worker {worker} has genrekit {theirs}, but this command is genrekit {ours}: "
        f"install genrekit {ours} on all workers, and start them again"
    )


def unseen(worker: str, path: Path) -> GenrekitError:
    """Return the error for a path that a worker does not see."""
    return GenrekitError(
        f"worker {worker} does not see {path}: use a folder on a file system that all hosts share, at the same path"
    )


@contextmanager
def shared_token(folder: Path) -> Iterator[Path]:
    """Yield a file that only hosts see that share this folder; another folder at the same path does not have it."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".shared-{uuid.uuid4().hex}"
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)


def folders_of(paths: Iterable[Path]) -> list[Path]:
    """Return the folders of some files, at most 1,000 of them, to check that workers see them."""
    return sorted({path.parent for path in paths})[:_MOST_FOLDERS]


def first_missing(paths: Sequence[Path]) -> Path | None:
    """Return the first path that does not exist on this host; None if all do."""
    return next((path for path in paths if not path.exists()), None)


def require_seen(paths: Sequence[Path]) -> None:
    """Make sure that paths exist on this host.

    Errors: GenrekitError with the host and the first path that is missing.
    """
    missing = first_missing(paths)
    if missing is not None:
        raise unseen(socket.gethostname(), missing)
