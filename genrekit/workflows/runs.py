"""Find runs on disk, and read their configurations, histories and results."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig
from genrekit.config.stored import stored_values
from genrekit.errors import GenrekitError, UsageError, few
from genrekit.io.csv_table import csv_text
from genrekit.io.files import cannot, is_file, read_json, read_toml, write_json, write_text
from genrekit.io.records import AnyRecord, as_record, read_record
from genrekit.io.regular_files import open_regular_text
from genrekit.metrics.epochs import Epoch, require_epochs
from genrekit.workflows.run_records import (
    RUN_FORMAT_VERSION,
    TRAIN_AGAIN,
    PruningMark,
    RunResult,
    RunStart,
    TrialMark,
)

CONFIG = "config.json"
"""Name of the file with the settings of a run."""

RESULT = "result.json"
"""Name of the file with the result of a run, which is written last."""

HISTORY = "history.csv"
"""Name of the table of epochs in the folder of a run."""

_PRUNED = "pruned.json"
"""Name of the file that marks a run that a search stopped early."""

_TRIAL = "trial.json"
"""Name of the file that marks a run as a trial of a search."""


_NOT_SETTINGS = frozenset(RunStart.model_fields)
"""What the `config.json` of a run has besides the fields of its `TrainConfig`."""


def read_config(path: Path) -> dict[str, Any]:
    """Read the values of a `TrainConfig` from a TOML file, or from the `config.json` of a run.

    Errors: GenrekitError if it cannot be read or has another format version, UsageError with the path for an invalid
    value.
    """
    if path.suffix == ".toml":
        return _settings(path, read_toml(path))
    if path.suffix != ".json" and path.exists():
        raise GenrekitError(f"{path} is not a configuration: name a TOML file, or config.json of a run")
    content = read_json(path)
    if not isinstance(content, dict):
        raise GenrekitError(f"{path} is not a configuration: it must have names and values")
    if "format_version" in content:  # a file that was written by hand needs none
        _start(path, content)
    return _settings(path, stored_values(content))


def read_run_config(run: Path) -> tuple[TrainConfig, RunStart]:
    """Read the settings of a run, and what it was started with.

    Errors: GenrekitError with the file and the key if it cannot be read, is damaged or has another format version.
    """
    path = run / CONFIG
    content = read_json(path)
    start = _start(path, content)
    try:
        return TrainConfig.of(_settings(path, stored_values(content))), start
    except UsageError as error:
        raise GenrekitError(f"{error}; {TRAIN_AGAIN}") from error


def _start(path: Path, content: Any) -> RunStart:
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name in _NOT_SETTINGS}
    return as_record(RunStart, content, path, TRAIN_AGAIN)


def _settings(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    if "question" in content:
        raise GenrekitError(f"{path} is a study or a search: genrekit info {shlex.quote(str(path))} says how to run it")
    values = {name: value for name, value in content.items() if name not in _NOT_SETTINGS}
    try:
        TrainConfig.of(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return values


def tracking_mode(run: Path) -> str | None:
    """Return how a run was tracked when it was started; None if this is not known."""
    with suppress(GenrekitError):
        return read_run_config(run)[1].tracking
    return None


def other_data(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the data fingerprints that differ."""
    return [name for name, fingerprint in now.items() if then.get(name) != fingerprint]


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Replace the table of all epochs. Resuming writes it again from the checkpoint."""
    rows = [asdict(epoch) for epoch in history]
    columns = [column.name for column in fields(Epoch) if any(row[column.name] is not None for row in rows)]
    write_text(path, csv_text(columns, [[row[name] for name in columns] for row in rows]))


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read the table of all epochs.

    Errors: GenrekitError if it cannot be read, or is not a table of the epochs from the first one on.
    """
    try:
        with open_regular_text(path) as file:
            rows = list(csv.DictReader(file))
        history = tuple(
            Epoch(epoch=int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows
        )
        require_epochs(history)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        problem = error if isinstance(error, OSError) else ValueError(f"it is not a table of epochs; {TRAIN_AGAIN}")
        raise cannot("read", path, problem) from error
    return history


def read_result(run: Path) -> dict[str, Any]:
    """Read the result of a finished run, which has the fields of a `RunResult`.

    Errors: GenrekitError if it cannot be read, is damaged, or is of another format version.
    """
    path = run / RESULT
    result = read_json(path)
    as_record(RunResult, result, path, TRAIN_AGAIN)
    return dict(result)


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the finished runs that have their models. Each folder is a run or contains runs.

    Errors: GenrekitError if a folder is missing, or there is no such run.
    """
    runs = [run for folder in folders for run in _runs_in(folder)]
    if not runs:
        named = ", ".join(str(folder) for folder in folders)
        if left_out := find_left_out(folders):
            without = few([str(run) for run in left_out])
            raise GenrekitError(f"no run in {named} has its model any more: the models of {without} are deleted")
        bundles = (path.parent for folder in folders for path in folder.glob("*/model.json"))
        if any(bundle.name != "best" for bundle in bundles):
            raise GenrekitError(f"{named} has bundles, not runs: name the runs, or run genrekit evaluate {named}")
        raise GenrekitError(f"no finished run in {named}: train a model first")
    return list(dict.fromkeys(runs))


def _runs_in(folder: Path) -> Iterator[Path]:
    if is_file(folder):
        raise GenrekitError(f"{folder} is a file: name the folder of a run, such as runs/NAME")
    if not folder.is_dir():
        raise GenrekitError(f"no folder {folder}: train a model first, or name the folder of a run, such as runs/NAME")
    if is_run(folder):
        yield folder
    elif has_result(folder):
        raise without_model(folder)
    else:
        yield from sorted(path for path in folder.iterdir() if _may_be_run(path))


def _may_be_run(folder: Path) -> bool:
    """Return whether a folder is a finished run or unreadable. Reading an unreadable one reports the error."""
    try:
        return is_run(folder)
    except PermissionError:
        return True


def find_left_out(folders: Sequence[Path]) -> list[Path]:
    """Return the finished runs that `find_runs` leaves out because their models are deleted."""
    paths = (path for folder in folders if not has_result(folder) for path in folder.iterdir())
    return sorted({path for path in paths if not _may_be_run(path) and has_result(path)})


def is_run(folder: Path) -> bool:
    """Return whether a folder is a finished run with its model."""
    return has_result(folder) and (folder / "best").is_dir()


def without_model(run: Path) -> GenrekitError:
    """Return the error for a finished run whose model is needed but deleted."""
    return GenrekitError(f"{run} is finished, but its model, {run / 'best'}, is deleted: only studies can use the run")


def has_result(folder: Path) -> bool:
    """Return whether a folder has the result of a run, which is written last.

    Errors: PermissionError if the folder cannot be read.
    """
    return is_file(folder / RESULT)


def mark_pruned(run: Path, search: str, trial: int, epoch: int) -> None:
    """Mark a run that a search stopped after an epoch."""
    values = {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial, "epoch": epoch}
    write_json(run / _PRUNED, values)


def mark_trial(run: Path, search: str, trial: int) -> None:
    """Mark a run as a trial of a search."""
    write_json(run / _TRIAL, {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial})


def is_trial(run: Path) -> bool:
    """Return whether a run is a trial of a search, whose figures are too high because of the selection.

    Errors: GenrekitError if its mark cannot be read.
    """
    return _mark(run / _TRIAL, TrialMark) is not None


def is_pruned(run: Path) -> bool:
    """Return whether a search stopped a run early. Such a run is never finished.

    Errors: GenrekitError if its mark cannot be read.
    """
    return pruned_after(run) > 0


def pruned_after(run: Path) -> int:
    """Return the epoch after which a search stopped a run; 0 if none did.

    Errors: GenrekitError if its mark cannot be read.
    """
    mark = _mark(run / _PRUNED, PruningMark)
    return 0 if mark is None else mark.epoch


def _mark(path: Path, kind: type[AnyRecord]) -> AnyRecord | None:
    """Return a mark in the folder of a run; None if there is none."""
    return read_record(kind, path, f"remove {path.parent}, or train it again") if os.path.lexists(path) else None
