"""Find finished and interrupted runs by their configuration and data."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot
from genrekit.io.regular_files import open_regular
from genrekit.training.validation_log import ANSWERS, load_answers
from genrekit.workflows.runs import (
    CONFIG,
    HISTORY,
    RESULT,
    has_result,
    is_pruned,
    is_trial,
    read_history,
    read_result,
    read_run_config,
)


def identity(config: TrainConfig, data: Any) -> str:
    """Return a key that two runs share if one of them is enough: the settings and the data, without the device."""
    return repr((sorted(config.model_dump(mode="json", exclude={"device"}).items()), sorted((data or {}).items())))


def index_runs(runs: Path, *, pruned: bool = False) -> dict[str, Path]:
    """Return the runs in a folder by their identity; of equal ones, a finished one.

    Damaged runs are left out. Runs that a search stopped early are returned with `pruned` only, without the others.
    """
    index: dict[str, Path] = {}
    for key, run in runs_by_identity(runs):
        if is_pruned(run) != pruned or (has_result(run) and not is_usable(run)):
            continue
        if key not in index or (is_usable(run) and not is_usable(index[key])):
            index[key] = run
    return index


def runs_by_identity(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield the identity and the folder of each run; those that `find_unreadable` returns are left out."""
    for run in _candidates(runs):
        with suppress(GenrekitError):
            yield _identity(run), run


def find_unreadable(runs: Path) -> dict[Path, str]:
    """Return the runs in a folder whose settings or marks cannot be read, and why."""
    problems = {}
    for run in _candidates(runs):
        try:
            _identity(run)
        except GenrekitError as error:
            problems[run] = str(error)
    return problems


def _candidates(runs: Path) -> list[Path]:
    return sorted({path.parent for name in (CONFIG, RESULT) for path in runs.glob(f"*/{name}")})


def _identity(run: Path) -> str:
    """Read what identifies a run.

    Errors: GenrekitError if something of it cannot be read.
    """
    for name in (CONFIG, RESULT, ANSWERS, HISTORY):
        if (run / name).is_dir():
            raise GenrekitError(f"{run / name} is a directory; remove {run}, or train it again")
    config, start = read_run_config(run)
    is_pruned(run)
    is_trial(run)
    return identity(config, start.data)


def is_usable(run: Path) -> bool:
    """Return whether a run is finished and has what a study reads; its weights may have been deleted."""
    return has_result(run) and not damage(run)


def damage(run: Path) -> str:
    """Return why the files that a study reads of a finished run cannot be read, or "" if they can.

    Errors: OSError if the operating system does not let a file be read; the run need not be damaged.
    """
    try:
        _require_complete(run, tuple(_state(run / name) for name in (RESULT, ANSWERS, HISTORY)))
    except GenrekitError as error:
        return str(error)
    return ""


def _state(path: Path) -> tuple[int, ...]:
    """Numbers that change when a file changes; none if there is no file."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        return ()
    except IsADirectoryError as error:
        raise cannot("read", path, error) from error
    return (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


@lru_cache(maxsize=10_000)
def _require_complete(run: Path, _states: tuple[tuple[int, ...], ...]) -> None:
    """Read the files of a run. A success is cached until a file changes.

    Errors: GenrekitError if a file is missing or does not fit the others.
    """
    read_result(run)
    expected, written = len(load_answers(run / ANSWERS).right), len(read_history(run / HISTORY))
    if written != expected:
        raise GenrekitError(f"{run / HISTORY} has {written} of {expected} epochs")


def free_path(runs: Path, stem: str, taken: Collection[Path]) -> Path:
    """Return a folder for a new run: STEM, or STEM-2, STEM-3, ... if it exists or is taken."""
    names = (runs / (f"{stem}-{number}" if number > 1 else stem) for number in range(1, 1_000_000))
    return next(path for path in names if path not in taken and not path.exists())


def is_own(run: Path, stem: str) -> bool:
    """Return whether `free_path` could have returned this folder for a stem."""
    return re.fullmatch(rf"{re.escape(stem)}(-\d+)?", run.name) is not None
