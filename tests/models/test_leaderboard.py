"""The five best bundles of a split are kept, under names that say what they are."""

import errno
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bundle import describe, edit, lived_in
from tiny_training import FRONT_END, tiny_config

from genrekit.errors import BundleError
from genrekit.models.bundle import find_bundles, load_bundle, read_metadata, save_bundle
from genrekit.models.leaderboard import choose_best, keep_best


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "best_models"


SEEDS = count()
"""A seed for each training, so that none repeats another."""


def made(tmp_path: Path, accuracy: float, loss: float = 1.0, *, seed: int | None = None, **values: Any) -> Path:
    """A bundle with these validation figures."""
    place, config = tmp_path / "run" / "best", tiny_config(arch="mlp", seed=next(SEEDS) if seed is None else seed)
    track, fragment = ({"value": value, "low": 0.0, "high": 1.0} for value in (accuracy, 1 - accuracy))
    figures = {"loss": loss, "fragment_accuracy": fragment, "track_accuracy": track}
    save_bundle(place, lived_in(config), describe(config, validation_figures=figures, **values))
    return place


def keep(folder: Path, accuracy: float, loss: float = 1.0, **values: Any) -> Path | None:
    return keep_best(made(folder.parent, accuracy, loss, **values), folder)


def kept(folder: Path) -> list[tuple[float, float]]:
    """Accuracy and loss of the bundles in a folder, best first."""
    ranks = sorted(read_metadata(path).rank for path in find_bundles(folder))
    return [(-accuracy, loss) for accuracy, loss in ranks]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_five_are_kept_and_the_worst_falls_out(folder: Path) -> None:
    for accuracy in (0.3, 0.5, 0.1, 0.4, 0.2, 0.6, 0.35):
        assert keep(folder, accuracy) is not None
        assert accuracy in [one for one, _ in kept(folder)]
    assert [accuracy for accuracy, _ in kept(folder)] == [0.6, 0.5, 0.4, 0.35, 0.3]


def test_equal_accuracies_are_ranked_by_loss(folder: Path) -> None:
    for loss in (0.5, 0.9, 0.7, 0.6, 0.8, 0.4):
        assert keep(folder, 0.5, loss) is not None
    assert kept(folder) == [(0.5, 0.4), (0.5, 0.5), (0.5, 0.6), (0.5, 0.7), (0.5, 0.8)]


@pytest.mark.parametrize(
    ("accuracy", "loss"),
    [
        pytest.param(0.4, 0.1, id="less-accurate"),
        pytest.param(0.5, 1.1, id="higher-loss"),
        pytest.param(0.5, 1.0, id="equal"),
    ],
)
def test_one_that_is_no_better_than_the_fifth_changes_nothing(folder: Path, accuracy: float, loss: float) -> None:
    for number in range(5):
        keep(folder, 0.5 + number / 10)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_dir()}
    assert keep(folder, accuracy, loss) is None
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_dir()} == before


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"split": "track"}, id="policy"),
        pytest.param({"split_seed": 4}, id="seed"),
        pytest.param({"genres": ("blues", "jazz")}, id="genres"),
    ],
)
def test_bundles_of_another_split_or_collection_are_no_rivals(folder: Path, other: dict[str, Any]) -> None:
    for number in range(5):
        keep(folder, 0.5 + number / 10)
    for number in range(6):
        keep(folder, 0.1 + number / 100, **other)
    assert [accuracy for accuracy, _ in kept(folder)] == pytest.approx(
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.15, 0.14, 0.13, 0.12, 0.11]
    )


def test_a_seed_is_no_difference_where_a_split_is_not_drawn(folder: Path) -> None:
    for seed in range(6):
        keep(folder, 0.1 + seed / 10, split="fault-filtered", split_seed=seed)
    assert len(kept(folder)) == 5


def test_the_copy_gives_the_same_logits_and_the_original_stays(folder: Path) -> None:
    original = made(folder.parent, 0.5)
    copy = keep_best(original, folder)
    assert copy is not None
    assert copy.parent == folder
    inputs = torch.rand(3, *FRONT_END.shape("mel"))
    first, second = load_bundle(original), load_bundle(copy)
    assert first.metadata == second.metadata
    assert torch.equal(first.model(inputs), second.model(inputs))


def test_names_say_what_a_model_is_and_are_unique(folder: Path) -> None:
    found = [keep(folder, accuracy) for accuracy in (0.75, 0.75, 0.7501, 0.5)]
    assert [path.name for path in found if path] == [
        "mlp-mel-adam-none-0.750",
        "mlp-mel-adam-none-0.750-2",
        "mlp-mel-adam-none-0.750-3",
        "mlp-mel-adam-none-0.500",
    ]
    assert len(kept(folder)) == 4


@pytest.mark.parametrize("accuracy", [0.75, 0.5, 0.9])
def test_a_repeated_training_replaces_its_earlier_copy(folder: Path, accuracy: float) -> None:
    """Otherwise copies of one model push the others out."""
    keep(folder, 0.75, seed=1)
    keep(folder, 0.8)
    again = keep(folder, accuracy, seed=1)
    assert again is not None
    assert again.name == f"mlp-mel-adam-none-{accuracy:.3f}"
    assert sorted(one for one, _ in kept(folder)) == sorted([0.8, accuracy])
    keep(folder, 0.6, seed=1, training={"blues/a": "another recording", "rock/ü": "d2"})
    assert len(kept(folder)) == 3


def test_a_name_that_became_free_is_used_again(folder: Path) -> None:
    first = keep(folder, 0.75)
    assert first is not None
    keep(folder, 0.75)
    shutil.rmtree(first)
    assert keep(folder, 0.75) == first


def test_what_cannot_be_read_is_no_rival_and_is_left_alone(folder: Path) -> None:
    for number in range(5):
        keep(folder, 0.5 + number / 10)
    damaged = folder / "mlp-mel-adam-none-0.500"
    (damaged / "model.json").write_text("damaged")
    (folder / "notes").mkdir()
    assert keep(folder, 0.1) is not None
    assert keep(folder, 0.2) is not None
    assert (damaged / "model.json").read_text() == "damaged"
    assert (folder / "notes").is_dir()
    shutil.rmtree(damaged)
    assert [accuracy for accuracy, _ in kept(folder)] == [0.9, 0.8, 0.7, 0.6, 0.2]


def test_hidden_folders_are_no_rivals(folder: Path) -> None:
    """What an interrupted copy leaves is hidden."""
    for number in range(5):
        shutil.copytree(made(folder.parent, 0.9), folder / f".new.{number}")
    assert keep(folder, 0.1) is not None
    assert len([name for name in names(folder) if name.startswith(".new")]) == 5


def test_the_number_to_keep_can_be_chosen(folder: Path) -> None:
    for accuracy in (0.1, 0.3, 0.2):
        keep_best(made(folder.parent, accuracy), folder, limit=1)
    assert kept(folder) == [(0.3, 1.0)]


def test_a_larger_collection_than_the_limit_shrinks_to_it(folder: Path) -> None:
    for number in range(5):
        keep(folder, 0.1 + number / 10)
    keep_best(made(folder.parent, 0.9), folder, limit=2)
    assert [accuracy for accuracy, _ in kept(folder)] == [0.9, 0.5]


def test_what_is_no_bundle_is_not_kept(folder: Path) -> None:
    bundle = made(folder.parent, 0.5)
    edit(bundle, lambda values: values.update(format_version=99))
    with pytest.raises(BundleError, match="bundle format 99"):
        keep_best(bundle, folder)
    assert not folder.exists()


def test_a_full_disk_is_told_in_a_line_and_leaves_what_was_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        keep(folder, 0.5 + number / 10)
    before, bundle = names(folder), made(folder.parent, 0.95)

    def full(_source: Path, target: Path) -> None:
        (target / "half").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy", full)
        with pytest.raises(BundleError, match=r"cannot keep a bundle in .*best_models: No space left on device"):
            keep_best(bundle, folder)
    assert names(folder) == before
    assert keep_best(bundle, folder) is not None


def test_a_file_in_the_folders_place_is_told_in_a_line(folder: Path) -> None:
    folder.touch()
    with pytest.raises(BundleError, match=r"cannot keep a bundle in .*best_models: File exists"):
        keep(folder, 0.5)


def test_a_single_bundle_is_chosen_without_a_note(folder: Path) -> None:
    copy = keep(folder, 0.5)
    assert copy is not None
    for path in (folder, copy):
        choice = choose_best(path)
        assert (choice.bundle, choice.note, choice.problems) == (copy, "", ())


def test_the_note_says_why_a_bundle_was_chosen(folder: Path) -> None:
    for accuracy in (0.25, 0.75, 0.5):
        keep(folder, accuracy)
    best = folder / "mlp-mel-adam-none-0.750"
    choice = choose_best(folder)
    assert choice.bundle == best
    assert choice.note == f"{best} is used: the best of 3 on validation (75.0 % of tracks)"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param({"split": "track"}, "their splits differ (artist, seed 3; track, seed 3)", id="policy"),
        pytest.param({"split_seed": 4}, "their splits differ (artist, seed 3; artist, seed 4)", id="seed"),
        pytest.param({"validation": {"blues/d": "d4"}}, "their validation tracks differ", id="tracks"),
    ],
)
def test_the_note_names_accuracies_that_cannot_be_compared(folder: Path, other: dict[str, Any], why: str) -> None:
    keep(folder, 0.5)
    keep(folder, 0.75, **other)
    note = choose_best(folder).note
    assert note.endswith(f"; {why}, so their accuracies cannot be compared: choose one with --model")


def test_bundles_of_different_genres_are_not_chosen_from(folder: Path) -> None:
    keep(folder, 0.5)
    best = keep(folder, 0.75, genres=("blues", "jazz"))
    with pytest.raises(BundleError, match=r"have different genres \(.* differ in jazz, rock\): choose one") as raised:
        choose_best(folder)
    assert str(raised.value).endswith(f"--model {best}")
    assert "\n" not in str(raised.value)


def test_a_damaged_bundle_is_reported_and_the_others_are_chosen_from(folder: Path) -> None:
    damaged, other = keep(folder, 0.75), keep(folder, 0.5)
    assert damaged is not None
    (damaged / "model.json").write_text("{")
    choice = choose_best(folder)
    assert (choice.bundle, choice.note) == (other, "")
    assert len(choice.problems) == 1
    assert str(damaged) in choice.problems[0]
