"""The runs on disk: finding them, and reading how they were configured."""

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
"""The table of epochs in the folder of a run."""

_PRUNED = "pruned.json"
"""Says in a run's folder that a search gave it up."""

_TRIAL = "trial.json"
"""Says in a run's folder that a search chose by it."""


def read_config(path: Path) -> dict[str, Any]:
    """Read the values of a training from a TOML file, or from the `config.json` of any run.

    Errors: GenrekitError where it cannot be read, UsageError with the path for a value that no training accepts.
    """
    found = read_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(found, dict):
        raise GenrekitError(f"{path} holds no configuration: it needs names and values")
    values = {name: value for name, value in found.items() if name not in ("format_version", "data")}
    try:
        TrainConfig.of(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return values


def other_data(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of fingerprints of data that are not what they were."""
    return [name for name, found in now.items() if then.get(name) != found]


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Replace the table of all epochs: one that is in no checkpoint, or only there, is put right by resuming."""
    text = io.StringIO()
    rows = [asdict(epoch) for epoch in history]
    columns = [column.name for column in fields(Epoch) if any(row[column.name] is not None for row in rows)]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read the table of all epochs.

    Errors: GenrekitError where it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(
            Epoch(epoch=int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        problem = error if isinstance(error, OSError) else ValueError("it is no table of epochs")
        raise cannot("read", path, problem) from error


def read_result(run: Path) -> dict[str, Any]:
    """What a finished run wrote of itself.

    Errors: GenrekitError where it cannot be read, or is of another format version.
    """
    path = run / "result.json"
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format_version") != RUN_FORMAT_VERSION:
        raise GenrekitError(f"{path} is no result of format {RUN_FORMAT_VERSION}")
    if lacking := [name for name in ("parameters", "seconds", "split", "validation") if name not in found]:
        raise GenrekitError(f"{path} has no {lacking[0]}")
    figures = found["validation"] if isinstance(found["validation"], dict) else {}
    if lacking := [name for name in ("track_accuracy", "loss") if not isinstance(figures.get(name), (int, float))]:
        raise GenrekitError(f"{path} has no {lacking[0]} on validation")
    return found


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Finished runs with their models among folders: each is a run itself or holds some.

    Errors: GenrekitError where a folder is missing, or none holds such a run.
    """
    found = [run for folder in folders for run in _runs_in(folder)]
    if not found:
        named = ", ".join(str(folder) for folder in folders)
        if left_out := find_left_out(folders):
            gone = few([str(run) for run in left_out])
            raise GenrekitError(f"no run in {named} has its model any more: those of {gone} are gone")
        raise GenrekitError(f"no finished run in {named}: train a model first")
    return list(dict.fromkeys(found))


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
    """Whether a folder is a finished run, or cannot be looked into: reading it says why."""
    try:
        return is_run(folder)
    except PermissionError:
        return True


def find_left_out(folders: Sequence[Path]) -> list[Path]:
    """Finished runs in folders of runs that `find_runs` passes over: their models are gone."""
    held = (path for folder in folders if not has_result(folder) for path in folder.iterdir())
    return sorted({path for path in held if not _may_be_run(path) and has_result(path)})


def is_run(folder: Path) -> bool:
    """Whether a folder is a finished run with its model."""
    return has_result(folder) and (folder / "best").is_dir()


def without_model(run: Path) -> GenrekitError:
    """What to say of a finished run whose model is asked for and gone."""
    return GenrekitError(f"{run} is finished, but its model, {run / 'best'}, is gone: only studies count it")


def has_result(folder: Path) -> bool:
    """Whether a folder has what a run writes last.

    Errors: PermissionError if that cannot be found out.
    """
    return is_file(folder / "result.json")


def mark_pruned(run: Path, search: str, trial: int, epoch: int) -> None:
    """Write into a run's folder that a search gave it up after an epoch."""
    values = {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial, "epoch": epoch}
    write_json(run / _PRUNED, values)


def mark_trial(run: Path, search: str, trial: int) -> None:
    """Write into a run's folder that a search chose by it."""
    write_json(run / _TRIAL, {"format_version": RUN_FORMAT_VERSION, "search": search, "trial": trial})


def is_trial(run: Path) -> bool:
    """Whether a search chose by a run: its figures owe something to that."""
    return (run / _TRIAL).is_file()


def is_pruned(run: Path) -> bool:
    """Whether a run is one that a search gave up: it is not finished, and is not to be."""
    return (run / _PRUNED).is_file()


def pruned_after(run: Path) -> int:
    """The epoch after which a search gave a run up; 0 where none did."""
    return int(read_json(run / _PRUNED)["epoch"]) if is_pruned(run) else 0
