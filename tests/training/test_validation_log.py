"""Stored predictions are restored exactly and replaced atomically. Other files are refused; no code in them runs."""

import errno
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import EpochFigures
from genrekit.training.validation_log import FORMAT_VERSION, Answers, load_answers, save_answers

EXAMPLE = Answers(
    track_ids=("blues/a", "jazz/ü", "rock/c"),
    clusters=("blues/a", "blues/a", "rock/c"),
    right=np.array([[True, False, True], [False, True, True]]),
    loss=np.array([[1 / 3, 2.5, 0.0], [1e-7, 708.4, 1.0]], np.float32),
    steps_per_epoch=7,
    best_epoch=2,
    resampled="artists",
    training={"best": EpochFigures(0.1, 2 / 3, 1.0), "last": EpochFigures(0.2, 1 / 3, 0.5)},
    dead_channels=1 / 7,
    genres=("blues", "jazz", "rock"),
    predicted={"best": np.array([0, 1, 2]), "last": np.array([1, 1, 2])},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "answers.safetensors"
    save_answers(path, EXAMPLE)
    return path


def assert_equal(first: Answers, second: Answers) -> None:
    for field in fields(Answers):
        left, right = getattr(first, field.name), getattr(second, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
        elif field.name == "predicted":
            assert {at: values.tolist() for at, values in left.items()} == {at: v.tolist() for at, v in right.items()}
        else:
            assert left == right


def test_predictions_are_restored_exactly(path: Path) -> None:
    assert_equal(load_answers(path), EXAMPLE)


def test_predictions_of_earlier_versions_have_no_genres(path: Path) -> None:
    save_answers(path, replace(EXAMPLE, genres=(), predicted={}))
    assert load_answers(path).predicted == {}


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_memory_layout_of_arrays_does_not_matter(path: Path, order: Any) -> None:
    save_answers(path, replace(EXAMPLE, right=np.asarray(EXAMPLE.right, order=order), dead_channels=None))
    assert_equal(load_answers(path), replace(EXAMPLE, dead_channels=None))


@pytest.mark.parametrize(
    "change",
    [
        {"track_ids": ("one",)},
        {"clusters": ("one",)},
        {"loss": EXAMPLE.loss[:1]},
        {"right": EXAMPLE.right[0]},
        {"best_epoch": 3},
        {"best_epoch": 0},
        {"predicted": {"last": np.array([0])}},
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_together_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tracks|best epoch"):
        replace(EXAMPLE, **change)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_prediction_that_is_no_genre_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="a prediction is not one of 3 genres"):
        replace(EXAMPLE, predicted={"last": np.array([0, 1, number])})


def test_a_full_disk_is_an_error_of_one_line_and_the_old_file_is_unchanged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(GenrekitError, match=r"cannot write .*answers\.safetensors: No space left on device"):
            save_answers(path, replace(EXAMPLE, best_epoch=1))
    assert_equal(load_answers(path), EXAMPLE)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match=r"no predictions at .*answers\.safetensors: train the run again"):
        load_answers(tmp_path / "answers.safetensors")


def rewritten(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a complete file with other metadata; a key whose value is None is left out."""

    def rewrite(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["genrekit"]) | changes
        kept = {key: value for key, value in metadata.items() if value is not None}
        return save({"right": EXAMPLE.right, "loss": EXAMPLE.loss}, {"genrekit": json.dumps(kept)})

    return rewrite


def of(**tensors: Any) -> Callable[[bytes], bytes]:
    """Return a complete file with other tensors."""
    return lambda data: save(tensors, {"genrekit": _metadata(data)})


def _metadata(data: bytes) -> str:
    return str(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["genrekit"])


DAMAGES: list[Any] = [
    pytest.param(lambda data: b"", id="empty"),
    pytest.param(lambda data: data[:100], id="half-a-header"),
    pytest.param(lambda data: data[:-1], id="a-byte-short"),
    pytest.param(lambda data: b"no answers\n", id="text"),
    pytest.param(lambda data: pickle.dumps({"right": []}), id="pickle"),
    pytest.param(lambda data: save({"right": EXAMPLE.right}), id="tensors-alone"),
    pytest.param(lambda data: save({"right": EXAMPLE.right}, {"genrekit": "[]"}), id="metadata-a-list"),
    pytest.param(lambda data: save({"right": EXAMPLE.right}, {"genrekit": "{"}), id="half-the-metadata"),
    pytest.param(of(right=EXAMPLE.right), id="no-losses"),
    pytest.param(of(right=EXAMPLE.right, loss=EXAMPLE.loss[:, :1]), id="losses-of-other-tracks"),
    pytest.param(of(right=EXAMPLE.loss, loss=EXAMPLE.loss), id="answers-are-numbers"),
    pytest.param(of(right=EXAMPLE.right, loss=EXAMPLE.loss.astype(np.float64)), id="losses-are-doubles"),
    pytest.param(rewritten(track_ids=["one"]), id="one-track"),
    pytest.param(rewritten(best_epoch="two"), id="no-number"),
    pytest.param(rewritten(training=None), id="no-figures"),
    pytest.param(rewritten(training=[1]), id="figures-a-list"),
    pytest.param(rewritten(training={"best": {"loss": 1.0}}), id="half-the-figures"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_with_one_line(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(GenrekitError, match=r"is damaged \(.*\): train the run again") as caught:
        load_answers(path)
    assert "\n" not in str(caught.value)


def test_another_format_version_is_refused_with_the_remedy(path: Path) -> None:
    path.write_bytes(rewritten(format_version=99)(path.read_bytes()))
    says = f"has predictions format 99, but this version reads {FORMAT_VERSION}: train the run again"
    with pytest.raises(GenrekitError, match=says):
        load_answers(path)
