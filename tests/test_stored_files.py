"""Each file that genrekit writes and reads again is held to its schema: a fault is one line, or a row left out."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_cli import CommandLine

from genrekit.data.cache.origin import read_origin
from genrekit.data.cache.reader import open_cache
from genrekit.data.splits.store import load_split
from genrekit.errors import GenrekitError
from genrekit.models.bundle import load_bundle, read_metadata
from genrekit.models.seen_audio import read_seen_audio
from genrekit.studies.plan import read_plan
from genrekit.studies.run_index import find_unreadable, index_runs
from genrekit.training.checkpoint import load_checkpoint
from genrekit.training.validation_log import load_answers
from genrekit.workflows.evaluation_counts import count_evaluation
from genrekit.workflows.info_folders import study_report
from genrekit.workflows.runs import (
    is_pruned,
    is_trial,
    mark_pruned,
    mark_trial,
    read_history,
    read_result,
    read_run_config,
)

RUN = Path("runs/mlp")
REPORT = {
    "study": "a",
    "head": {"split": "track, seed 0", "validation_tracks": 3, "command": "genrekit study run a", "genres": ["rock"]},
    "runs": [{"name": "b"}],
    "ranking": ["b"],
    "ties": ["b"],
    "findings": [{"claim": "c", "verdict": "supported", "p": 0.01}],
}
PLANS = {
    "study": {"format_version": 2, "study": "a", "data": {"cache": "b"}, "seeds": [0, 1], "amended": False},
    "search": {"format_version": 2, "search": "a", "data": {}, "options": {"epochs": 2}, "seeds": [0], "amended": True},
}

JSON_FILES: dict[str, tuple[Callable[[], object], str]] = {
    "runs/mlp/config.json": (lambda: read_run_config(RUN), "format_version data"),
    "runs/mlp/result.json": (
        lambda: read_result(RUN),
        "format_version run bundle epochs best_epoch parameters seconds split validation",
    ),
    "runs/mlp/pruned.json": (lambda: is_pruned(RUN), "format_version search trial epoch"),
    "runs/mlp/trial.json": (lambda: is_trial(RUN), "format_version search trial"),
    "runs/mlp/best/model.json": (
        lambda: read_metadata(RUN / "best"),
        "format_version genrekit_version versions created train prepare genres split split_seed training validation "
        "epochs best_epoch validation_figures parameters",
    ),
    "data/cache.splits/track-0.json": (
        lambda: load_split(Path("data/cache.splits/track-0.json")),
        "format_version policy seed parts left_out",
    ),
    "data/cache.splits/readings.json": (
        lambda: count_evaluation(open_cache("data/cache.h5"), ["a"]),
        "format_version readings",
    ),
    "study/plan.json": (
        lambda: read_plan(Path("study/plan.json"), Path("study"), "study"),
        "format_version study data seeds amended",
    ),
    "search/plan.json": (
        lambda: read_plan(Path("search/plan.json"), Path("search"), "search"),
        "format_version search data options seeds amended",
    ),
}
"""By path: a function that reads the file, and the keys that it needs."""


@pytest.fixture
def stored(here: Path) -> Path:
    """A copy of the workspace with all kinds of files."""
    mark_pruned(RUN, "search", 3, 2)
    mark_trial(RUN, "search", 3)
    count_evaluation(open_cache("data/cache.h5"), ["a"])
    for kind, values in PLANS.items():
        Path(kind).mkdir()
        Path(kind, "plan.json").write_text(json.dumps(values))
    return here


def broken(values: dict[str, Any], required: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the content of damaged files."""
    yield "empty", b""
    yield "truncated", json.dumps(values)[: len(json.dumps(values)) // 2].encode()
    yield "not text", b"\xff\xfe\x00"
    yield "deep", b"[" * 100_000
    others: tuple[Any, ...] = ([], None, "a", 3)
    for other in others:
        yield f"it is {other!r}", json.dumps(other).encode()
    for version in (0, 999, "1", None):
        yield f"version {version!r}", json.dumps({**values, "format_version": version}).encode()
    yield "a newer version", json.dumps({**values, "format_version": 999, "colour": 1}).encode()
    yield "unknown key", json.dumps({**values, "colour": 1}).encode()
    for key in required:
        yield from _broken_value(values, key)


def _broken_value(values: dict[str, Any], key: str) -> Iterator[tuple[str, bytes]]:
    """Yield the content of files in which a key is missing or has another type."""
    yield f"without {key}", json.dumps({name: value for name, value in values.items() if name != key}).encode()
    others: tuple[Any, ...] = ([{"a": [None]}], {"a": {"b": None}}, 1.5, "a\nb" * 1_000, None)
    for other in others:
        if type(other) is not type(values[key]):
            yield f"{key} is a {type(other).__name__}", json.dumps({**values, key: other}).encode()
    if type(values[key]) in (int, float):
        for text in ("NaN", "Infinity", "-1e400"):
            yield f"{key} {text}", json.dumps({**values, key: "HERE"}).replace('"HERE"', text).encode()


@pytest.mark.parametrize("path", JSON_FILES)
def test_a_damaged_json_file_is_one_line_with_its_name(stored: Path, path: str) -> None:
    read, required = JSON_FILES[path]
    values = json.loads(Path(path).read_text())
    read()
    cases = dict(broken(values, required.split()))
    assert len(cases) > 20
    for name, content in cases.items():
        Path(path).write_bytes(content)
        line = refusal(read, name)
        assert Path(path).name in line or path.rpartition("/")[0] in line, (name, line)
        if name == "a newer version":
            assert "999" in line, line
    Path(path).unlink()
    Path(path).mkdir()
    refusal(read, "a directory")


def refusal(read: Callable[[], object], name: str) -> str:
    """Return the line of an error."""
    line = ""
    try:
        read()
    except GenrekitError as error:
        line = str(error)
    assert line, f"{name} was read"
    assert "\n" not in line, (name, line)
    assert len(line) < 700, (name, line)
    return line


def test_an_origin_that_is_damaged_is_unknown(stored: Path) -> None:
    path, cache = Path("data/cache.origin.json"), open_cache("data/cache.h5")
    values = json.loads(path.read_text())
    assert read_origin(cache) is not None
    for _, content in broken(values, ["format_version"]):
        path.write_bytes(content)
        assert read_origin(cache) is None


HISTORIES = {
    "NaN": lambda rows: rows[0].__setitem__(2, "nan"),
    "infinity": lambda rows: rows[0].__setitem__(4, "inf"),
    "an epoch twice": lambda rows: rows[1].__setitem__(0, "1"),
    "from 0": lambda rows: rows[0].__setitem__(0, "0"),
    "an accuracy of 2": lambda rows: rows[0].__setitem__(3, "2"),
    "an accuracy below 0": lambda rows: rows[0].__setitem__(6, "-0.1"),
    "text": lambda rows: rows[0].__setitem__(1, "fast"),
    "a cell less": lambda rows: rows[0].pop(),
    "a cell more": lambda rows: rows[0].append("1"),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_damaged_history_is_refused(stored: Path, name: str) -> None:
    path = RUN / "history.csv"
    head, *lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    HISTORIES[name](rows)
    path.write_text("\n".join([head, *map(",".join, rows)]) + "\n")
    assert "is not a table of epochs" in refusal(lambda: read_history(path), name)


def change_tensors(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Change the tensors of a file and the JSON values in its metadata."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        stored = dict(file.metadata() or {})
    header, tensors = json.loads(stored.get("genrekit", "{}")), load_file(path)
    change(header, tensors)
    save_file(tensors, path, {"genrekit": json.dumps(header)} if stored else None)


def _first(tensors: dict[str, Any], prefix: str) -> str:
    return next(name for name in sorted(tensors) if name.startswith(prefix) and tensors[name].dtype == np.float32)


ANSWERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "NaN": lambda _, tensors: tensors["loss"].__setitem__((0, 0), np.nan),
    "another shape": lambda _, tensors: tensors.update(loss=tensors["loss"][:, 1:].copy()),
    "another type": lambda _, tensors: tensors.update(right=tensors["right"].astype("f4")),
    "no losses": lambda _, tensors: tensors.pop("loss"),
    "version 999": lambda header, _: header.update(format_version=999),
    "unknown key": lambda header, _: header.update(colour=1),
    "ids are numbers": lambda header, _: header.update(track_ids=[1] * len(header["track_ids"])),
    "ids are one text": lambda header, _: header.update(track_ids="x" * len(header["track_ids"])),
    "an id twice": lambda header, _: header.update(track_ids=["a"] * len(header["track_ids"])),
    "a cluster less": lambda header, _: header["clusters"].pop(),
    "best epoch 0": lambda header, _: header.update(best_epoch=0),
    "best epoch 99": lambda header, _: header.update(best_epoch=99),
    "no steps": lambda header, _: header.update(steps_per_epoch=0),
    "other resampling": lambda header, _: header.update(resampled="genres"),
    "training text": lambda header, _: header.update(training={"best": "good"}),
    "an accuracy of 2": lambda header, _: header["training"]["best"].update(track_accuracy=2),
    "dead channels NaN": lambda header, _: header.update(dead_channels=float("nan")),
    "no key": lambda header, _: header.pop("resampled"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_damaged_predictions_are_refused(stored: Path, name: str) -> None:
    path = RUN / "answers.safetensors"
    change_tensors(path, ANSWERS[name])
    assert str(path) in refusal(lambda: load_answers(path), name)


CHECKPOINTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "NaN": lambda _, tensors: tensors[_first(tensors, "model.")].__setitem__(..., np.nan),
    "NaN in the best": lambda _, tensors: tensors[_first(tensors, "best.")].__setitem__(..., np.inf),
    "version 999": lambda header, _: header.update(format_version=999),
    "unknown key": lambda header, _: header.update(colour=1),
    "groups text": lambda header, _: header.update(groups="all"),
    "no progress": lambda header, _: header.pop("progress"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_damaged_checkpoint_is_refused(stored: Path, name: str) -> None:
    path = RUN / "last.safetensors"
    change_tensors(path, CHECKPOINTS[name])
    assert str(path) in refusal(lambda: load_checkpoint(path), name)


PROGRESS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "best epoch 0": lambda header, _: header["progress"].update(best_epoch=0),
    "best epoch text": lambda header, _: header["progress"].update(best_epoch="1"),
    "best epoch 99": lambda header, _: header["progress"].update(best_epoch=99),
    "history text": lambda header, _: header["progress"]["history"][0].update(train_loss="low"),
    "history of number": lambda header, _: header["progress"].update(history=3),
    "an epoch less": lambda header, _: header["progress"]["history"].pop(),
    "schedule list": lambda header, _: header["progress"].update(schedule=[]),
    "no losses": lambda _, tensors: tensors.pop("answers.loss"),
}


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_its_run_ends_resuming_with_one_line(
    stored: Path, genrekit: CommandLine
) -> None:
    path = RUN / "last.safetensors"
    for name in ("result.json", "pruned.json", "trial.json"):
        (RUN / name).unlink()
    whole = path.read_bytes()
    for name, change in PROGRESS.items():
        path.write_bytes(whole)
        change_tensors(path, change)
        outcome = genrekit("train", "--resume", "--out", RUN, "--quiet")
        assert (outcome.code, "Traceback" in outcome.err) == (1, False), (name, outcome.err)
        assert str(path) in outcome.err, (name, outcome.err)


BUNDLES: dict[str, Callable[[dict[str, Any]], object]] = {
    "loss NaN": lambda values: values["validation_figures"].update(loss=float("nan")),
    "interval NaN": lambda values: values["validation_figures"]["track_accuracy"].update(low=float("nan")),
    "best epoch 99": lambda values: values.update(best_epoch=99),
    "a genre twice": lambda values: values.update(genres=["a", "a", "b"]),
    "an empty genre": lambda values: values.update(genres=["", "a", "b"]),
    "history NaN": lambda values: values["history"][0].update(train_loss=float("nan")),
    "an epoch missing": lambda values: values["history"].pop(0),
    "falling bandwidths": lambda values: values.update(bandwidth_hz=[2, 1]),
    "other hidden layers": lambda values: values["train"].update(hidden=[16, 9]),
    "a genre more": lambda values: values["genres"].append("zydeco"),
    "more mels": lambda values: values["prepare"]["front_end"].update(n_mels=17),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_damaged_bundle_is_refused(stored: Path, name: str) -> None:
    path = RUN / "best/model.json"
    values = json.loads(path.read_text())
    BUNDLES[name](values)
    path.write_text(json.dumps(values))
    assert str(RUN / "best") in refusal(lambda: load_bundle(RUN / "best"), name)


def test_damaged_landmarks_of_a_bundle_are_refused(stored: Path) -> None:
    path = RUN / "best/landmarks.npz"
    with np.load(path) as file:
        whole = dict(file)
    assert read_seen_audio(RUN / "best") is not None
    for name, changed in {
        "version": {**whole, "version": np.int64(9)},
        "types": {**whole, "code": whole["code"].astype("f8")},
        "counts": {**whole, "per_track": -whole["per_track"]},
        "objects": {**whole, "code": np.array([{}], dtype=object)},
        "missing": {"version": whole["version"]},
    }.items():
        np.savez(path, **changed)
        assert "landmarks.npz is damaged" in refusal(lambda: read_seen_audio(RUN / "best"), name)
    path.unlink()
    assert read_seen_audio(RUN / "best") is None


def test_a_bad_run_is_named_and_left_out(stored: Path, genrekit: CommandLine) -> None:
    """compare, info and the index of a study read the others."""
    for name in ("pruned.json", "trial.json"):
        (RUN / name).unlink()
    faults: dict[str, tuple[str, str | None]] = {
        "version": ("config.json", '{"format_version": 999}'),
        "mark": ("pruned.json", "{}"),
        "folder": ("result.json", None),
        "trial": ("trial.json", "[]"),
        "result": ("result.json", '{"format_version": 1}'),
    }
    for name, (file, text) in faults.items():
        path = shutil.copytree(RUN, Path("runs", name)) / file
        path.unlink(missing_ok=True)
        path.mkdir() if text is None else path.write_text(text)
    problems = {run.name for run in find_unreadable(Path("runs"))}
    assert problems == {"version", "mark", "folder", "trial"}
    assert not set(faults) & {run.name for run in index_runs(Path("runs")).values()}
    outcome = genrekit("compare", "runs", "--json")
    assert outcome.code == 0
    assert {"runs/trial", "runs/result"} <= {item["path"] for item in outcome.json["skipped"]}
    described = genrekit("info", "runs", "--json")
    assert described.code == 0
    assert "left out: " in described.json["facts"]["result"]


def test_a_damaged_database_of_trials_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from genrekit.studies.optuna_trials import open_trials
    from genrekit.studies.search_schema import read_search

    path = tmp_path / "search.toml"
    path.write_text(
        'format_version = 1\ntitle = "t"\nquestion = "q"\ntrials = 3\n[base]\narch = "mlp"\n'
        "[space]\nlr = { low = 1e-4, high = 1e-2, log = true }\n"
    )
    search, whole = read_search(path), tmp_path / "whole.db"
    with open_trials(whole, search) as trials:
        for number in range(2):
            trials.draw()
            trials.report(number, 1, 0.5)
            trials.finish(number, 0.5)
    statements = {
        "number": "UPDATE trial_user_attributes SET value_json = '7' WHERE trial_id = 1",
        "number text": "UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE trial_id = 1",
        "parameter": "UPDATE trial_params SET param_value = 5.0",
        "no parameter": "DELETE FROM trial_params",
        "objective": "UPDATE trial_values SET value = NULL, value_type = 'INF_POS'",
        "state": "UPDATE trials SET state = 'WAITING'",
        "epoch": "UPDATE trial_intermediate_values SET step = 4",
        "direction": "UPDATE study_directions SET direction = 'MINIMIZE'",
    }
    for name, statement in statements.items():
        damaged = Path(shutil.copy(whole, tmp_path / "damaged.db"))
        with sqlite3.connect(damaged) as connection:
            connection.execute(statement)
        connection.close()
        line = refusal(lambda: _open(open_trials(damaged, search)), name)  # noqa: B023 - it is called at once
        assert "damaged.db" in line
        assert "remove it to start over" in line


def _open(trials: AbstractContextManager[object]) -> None:
    with trials:
        pass


@pytest.mark.parametrize("key", REPORT)
def test_the_result_of_a_study_that_is_damaged_is_one_line(tmp_path: Path, key: str) -> None:
    """It has no format version, because only `info` reads it."""
    (tmp_path / "plan.json").write_text("{}")
    path = tmp_path / "result.json"
    path.write_text(json.dumps(REPORT))
    assert study_report(tmp_path)
    for value in (3, "x", [3], [[3]], {"a": 1}, [None], [{"a": 1}]):
        if key == "runs" and isinstance(value, list):
            continue  # they are only counted
        if type(value) is type(REPORT[key]) and key == "study":
            continue
        path.write_text(json.dumps({**REPORT, key: value}))
        assert str(path) in refusal(lambda: study_report(tmp_path), f"{key} {value}")
