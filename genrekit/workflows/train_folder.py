"""The folder of a training run: its name, its lock, and the checks before a run is resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig
from genrekit.data.splits.folds import data_fingerprints
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import exclusive_lock, remove_torn, write_json
from genrekit.workflows.run_records import RUN_FORMAT_VERSION
from genrekit.workflows.runs import CONFIG, has_result, other_data, pruned_after, read_config, read_run_config
from genrekit.workflows.train_run import TrainRun

LOCK = ".lock"
"""A process holds this file's lock while it trains the run."""


def new_run(values: Mapping[str, Any], out: Path | None, runs: Path) -> tuple[TrainConfig, Path]:
    """Return the configuration and the folder of a new run, without creating the folder.

    Without `out`, the folder is named after the time and the model, and `claimed_folder` must make the name unique. In
    `out`, a lock alone, of a run that did not start because the disk was full, does not count as content.
    Errors: UsageError for an invalid value, GenrekitError if `out` is not empty.
    """
    config = TrainConfig.of(values)
    if out is not None:
        if out.exists() and (not out.is_dir() or any(not path.name.startswith(LOCK) for path in out.iterdir())):
            raise _exists(out)
        return config, out
    return config, runs / f"{datetime.now():%Y%m%d-%H%M%S}-{config.stem}"


def claimed_folder(folder: Path) -> Path:
    """Create the folder of a run without --out, and return it: NAME, or NAME-2, NAME-3, ... if it exists.

    Processes that start at the same time get different folders, because only one can create each.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder.with_name(f"{folder.name}-{number}") if number > 1 else folder
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("there is always a next number")


def resumed_run(values: Mapping[str, Any], out: Path | None) -> tuple[TrainConfig, Path]:
    """Return the configuration and the folder of an interrupted run. Only the device may differ from the stored one.

    Errors: UsageError for a value that differs, GenrekitError if the run cannot be resumed.
    """
    if out is None:
        raise UsageError("to resume a run, name its folder: --out runs/NAME")
    stored = read_config(out / CONFIG)
    if has_result(out):
        raise GenrekitError(f"{out} is finished: there is nothing to resume")
    if epoch := pruned_after(out):
        raise GenrekitError(f"a search stopped {out} after epoch {epoch}: start a new run with --config {out / CONFIG}")
    before, config = TrainConfig.of(stored), TrainConfig.of({**stored, **values})
    for key in dict.fromkeys(name.partition(".")[0] for name in values):
        old, new = getattr(before, key), getattr(config, key)
        if old != new and key != "device":
            raise UsageError(
                f"{out} was started with {key} {old}, got {new}: leave {key} out, or start a new run without --resume"
            )
    return config, out


def _exists(folder: Path) -> GenrekitError:
    return GenrekitError(f"{folder} already exists: choose another folder with --out, or resume the run with --resume")


@contextmanager
def locked_folder(run: TrainRun, *, resume: bool) -> Iterator[None]:
    """Hold the lock of a run's folder inside the block. The folder is created, or with `resume` checked and cleaned up.

    Errors: GenrekitError if another process holds the lock or has created the run, or if the cache has changed.
    """
    with exclusive_lock(run.folder / LOCK, f"cannot train {run.folder}"):
        data = data_fingerprints(run.cache, run.split)
        if resume:
            _require_same_data(run.folder, data)
            _remove_partial_files(run.folder)
        else:
            _create(run, data)
        yield


def _create(run: TrainRun, data: dict[str, str]) -> None:
    path = run.folder / CONFIG
    if path.exists():  # another process has created it since new_run()
        raise _exists(run.folder)
    values = run.config.model_dump(mode="json")
    start = {"recipe": run.recipe, "tracking": run.tracking}
    known = {name: value for name, value in start.items() if value}
    write_json(path, {"format_version": RUN_FORMAT_VERSION, "data": data, **known, **values})


def _require_same_data(folder: Path, data: dict[str, str]) -> None:
    if other := other_data(read_run_config(folder)[1].data, data):
        raise GenrekitError(
            f"{folder} was started with another cache (different {', '.join(other)}): "
            "resume with that cache (--cache), or start a new run without --resume"
        )


def _remove_partial_files(folder: Path) -> None:
    """Remove files and bundles that were being written when the process was killed."""
    remove_torn(folder)
    remove_torn(folder / "plots")
    for partial in folder.glob(".best.*"):
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def resume_hint(run: TrainRun) -> Iterator[None]:
    """Report how to resume the run if the block is stopped, or fails after the first checkpoint."""
    try:
        yield
    except BaseException as error:
        has_checkpoint = run.checkpoint.exists()
        if has_checkpoint or not isinstance(error, Exception):
            run.reporter.finished()
            run.reporter.resumable(str(run.folder), str(run.cache.path), has_checkpoint=has_checkpoint)
        raise
