"""The runs on disk: finding them, and reading how they were configured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError, UsageError
from genrekit.files import read_json, read_toml


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


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Finished runs among folders: each is a run itself or holds some.

    Errors: GenrekitError where a folder is missing, or none holds a finished run.
    """
    found = [run for folder in folders for run in _runs_in(folder)]
    if not found:
        named = ", ".join(str(folder) for folder in folders)
        raise GenrekitError(f"no finished run in {named}: train a model first")
    return list(dict.fromkeys(found))


def _runs_in(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise GenrekitError(f"no folder {folder}: train a model first, or name the folder of its run")
    if is_run(folder):
        yield folder
    else:
        yield from sorted(path for path in folder.iterdir() if is_run(path))


def is_run(folder: Path) -> bool:
    """Whether a folder is a finished run."""
    return (folder / "result.json").is_file() and (folder / "best").is_dir()
