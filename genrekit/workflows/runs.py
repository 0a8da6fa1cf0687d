"""Find runs on disk, and read their configurations, histories and results."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError, UsageError, few
from genrekit.io.files import cannot, is_file, read_json, read_toml, write_json, write_text
from genrekit.metrics.epochs import Epoch

RUN_FORMAT_VERSION = 1

HISTORY = "history.csv"
"""Name of the table of epochs in the folder of a run."""

_PRUNED = "pruned.json"
"""Name of the file that marks a run that a search stopped early."""

_TRIAL = "trial.json"
"""Name of the file that marks a run as a trial of a search."""


def read_config(path: Path) -> dict[str, Any]:
    """Read the values of a `TrainConfig` from a TOML file, or from the `config.json` of a run.

    Errors: GenrekitError if it cannot be read, UsageError with the path for an invalid value.
    """
    content = read_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(content, dict):
        raise GenrekitError(f"{path} is not a configuration: it must have names and values")
    values = {name: value for name, value in content.items() if name not in ("format_version", "data")}
    try:
        TrainConfig.of(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return values


def other_data(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the data fingerprints that differ."""
    return [name for name, fingerprint in now.items() if then.get(name) != fingerprint]


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Replace the table of all epochs. Resuming writes it again from the checkpoint."""
    text = io.StringIO()
    rows = [asdict(epoch) for epoch in history]
    columns = [column.name for column in fields(Epoch) if any(row[column.name] is not None for row in rows)]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read the table of all epochs.

    Errors: GenrekitError if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(
            Epoch(epoch=int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        problem = error if isinstance(error, OSError) else ValueError("it is not a table of epochs")
        raise cannot("read", path, problem) from error


def read_result(run: Path) -> dict[str, Any]:
    """Read the result of a finished run.

    Errors: GenrekitError if it cannot be read, or is of another format version.
    """
    path = run / "result.json"
    result = read_json(path)
    if not isinstance(result, dict) or result.get("format_version") != RUN_FORMAT_VERSION:
        raise GenrekitError(f"{path} is not a result of format {RUN_FORMAT_VERSION}")
    if missing := [name for name in ("parameters", "seconds", "split", "validation") if name not in result]:
        raise GenrekitError(f"{path} has no {missing[0]}")
    figures = result["validation"] if isinstance(result["validation"], dict) else {}
    if missing := [name for name in ("track_accuracy", "loss") if not isinstance(figures.get(name), (int, float))]:
        raise GenrekitError(f"{path} has no {missing[0]} on validation")
    return result


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
        raise GenrekitError(f"no finished run in {named}: train a model first")
    return list(dict.fromkeys(runs))


def _runs_in(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise GenrekitError(f"no folder {folder}: train a model first, or name the folder of its run")
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
    return is_file(folder / "result.json")


def mark_pruned(run: Path, search: str, trial: int, epoch: int) -> None:
    """Mark a run that a search stopped after an epoch."""
    values = {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial, "epoch": epoch}
    write_json(run / _PRUNED, values)


def mark_trial(run: Path, search: str, trial: int) -> None:
    """Mark a run as a trial of a search."""
    write_json(run / _TRIAL, {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial})


def is_trial(run: Path) -> bool:
    """Return whether a run is a trial of a search, whose figures are too high because of the selection."""
    return (run / _TRIAL).is_file()


def is_pruned(run: Path) -> bool:
    """Return whether a search stopped a run early. Such a run is never finished."""
    return (run / _PRUNED).is_file()


def pruned_after(run: Path) -> int:
    """Return the epoch after which a search stopped a run; 0 if none did."""
    return int(read_json(run / _PRUNED)["epoch"]) if is_pruned(run) else 0
