"""What `info` says about reports of studies, files of studies and searches, and folders of runs or bundles."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from genrekit.config import Config
from genrekit.errors import GenrekitError
from genrekit.io.files import read_toml
from genrekit.io.records import read_record
from genrekit.metrics.formatting import percent
from genrekit.models.bundle import is_bundle, read_metadata
from genrekit.workflows.runs import CONFIG, find_left_out, has_result, is_run, read_result

_TEXTS = ("title", "question", "source")
"""Keys of study and search files that are texts for people."""

_PLAN = "plan.json"
"""The file that a study or search writes into the folder of its report before the first run."""


class _Read(Config):
    """Fields of a JSON file that has others, too."""

    model_config = ConfigDict(extra="ignore")


class _Head(_Read):
    title: str = ""
    question: str = ""
    source: str = ""
    split: str
    validation_tracks: int
    command: str


class _Finding(_Read):
    claim: str
    verdict: str


class _Search(_Read):
    trials: tuple[Any, ...]
    finalists: tuple[str, ...]


class _Report(_Read):
    """What is described of the `result.json` of a study or a search. Fields that have a default may be missing."""

    study: str | None
    head: _Head | None = None
    search: _Search | None = None
    runs: tuple[Any, ...] = ()
    ranking: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    findings: tuple[_Finding, ...] = ()


def study_report(path: Path) -> dict[str, Any] | None:
    """Describe the folder of the report of a study or search; None if a path is none.

    Errors: GenrekitError if its result cannot be read.
    """
    if not (path / _PLAN).is_file() and not (path / "report.md").is_file():
        return None
    if not has_result(path):
        return {"state": "planned, without a report so far"}
    remedy = "run the study or the search again to write its report"
    return _result(read_record(_Report, path / "result.json", remedy))


def _result(result: _Report) -> dict[str, Any]:
    head, search = result.head, result.search
    return {
        **(_texts(head.model_dump()) if head else {}),
        "study": result.study,
        **({"split": head.split, "validation_tracks": head.validation_tracks} if head else {}),
        **({"trials": len(search.trials), "finalists": list(search.finalists)} if search else {}),
        "configurations": len(result.runs),
        "ranking": list(result.ranking),
        "ties": list(result.ties),
        "findings": {finding.claim: finding.verdict for finding in result.findings},
        **({"command": head.command} if head else {}),
    }


def study_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Return whether a TOML file is one of a study or of a search, and describe it. Its settings are not checked.

    Errors: GenrekitError if it cannot be read or is neither.
    """
    values = read_toml(path)
    if "title" not in values or "question" not in values:
        raise GenrekitError(f"{path} is neither a study nor a search file: it has no title or no question")
    is_search = "space" in values
    command = f"genrekit {'search' if is_search else 'study run'} {shlex.quote(str(path))}"
    try:
        facts = _search(values, command) if is_search else _study(values, command)
        json.dumps(facts, allow_nan=False)  # TOML also has dates, NaN and infinity
    except (AttributeError, TypeError, ValueError) as error:
        raise GenrekitError(f"{path} is invalid: {command} --dry-run names the line") from error
    return ("search file" if is_search else "study file"), facts


def _search(values: dict[str, Any], command: str) -> dict[str, Any]:
    return {
        **_texts(values),
        "trials": values.get("trials"),
        "space": sorted(values["space"]),
        "settings": dict(values.get("base", {})),
        "to_run": command,
    }


def _study(values: dict[str, Any], command: str) -> dict[str, Any]:
    axes = {**values.get("axes", {}), **values.get("grid", {})}
    return {
        **_texts(values),
        "axes": {axis: list(choices) for axis, choices in axes.items()},
        "include": values.get("include", []),
        "seeds": values.get("seeds", "default"),
        "settings": dict(values.get("base", {})),
        "hypotheses": [item.get("text", "") for item in values.get("hypotheses", values.get("claims", []))],
        "to_run": command,
    }


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _TEXTS if values.get(name)}


def folder(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Return whether a folder has bundles or runs, and describe each of them, or why it cannot be read.

    None if it has neither.
    """
    inside = sorted(item for item in path.glob("[!.]*") if item.is_dir())
    if bundles := [item for item in inside if is_bundle(item)]:
        return "folder of bundles", {item.name: _bundle(item) for item in bundles}
    finished = [item for item in inside if is_run(item)]
    left_out = find_left_out([path])
    if finished or left_out:
        runs = {item.name: _run(item) for item in finished}
        return "folder of runs", runs | {item.name: f"{_run(item)}; its model is deleted" for item in left_out}
    return None


def _bundle(path: Path) -> str:
    try:
        metadata = read_metadata(path)
    except GenrekitError as error:
        return f"left out: {error}"
    accuracy = metadata.validation_figures.track_accuracy.value
    return f"{percent(accuracy)} of validation tracks, {metadata.split_name} split"


def _run(path: Path) -> str:
    try:
        result = read_result(path)
    except GenrekitError as error:
        return f"left out: {error}"
    return f"{percent(result['validation']['track_accuracy'])} of validation tracks, {result['split']} split"


def no_description(path: Path) -> GenrekitError:
    """Return the error for a path that `info` cannot describe."""
    if not path.exists():
        return GenrekitError(f"{path} does not exist: name a cache, a run, a bundle, or a folder of them")
    if (path / CONFIG).is_file():
        return GenrekitError(f"{path} is a run that is not finished: resume it first")
    caches = sorted(path.glob("*.h5"))
    hint = f"; did you mean {caches[0]}?" if caches else ""
    return GenrekitError(f"{path} is not a cache, a finished run or a bundle, and has no runs or bundles{hint}")
