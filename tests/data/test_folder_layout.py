"""A split that folders declare is used or refused, and a genre may have the name of a subset."""

from pathlib import Path

import pytest

from genrekit.data.collection import scan_folder
from genrekit.errors import GenrekitError


def fill(root: Path, *names: str) -> Path:
    """Make files that are empty: nothing here opens audio."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def crossed(*folders: str) -> list[str]:
    """Files of two genres in each of some folders."""
    return [f"{folder}/{genre}/{index}.wav" for index, folder in enumerate(folders) for genre in ("blues", "jazz")]


@pytest.mark.parametrize(
    ("names", "subsets"),
    [
        (("train", "val", "test"), {"train", "validation", "test"}),
        (("Training", "dev", "Testing"), {"train", "validation", "test"}),
        (("TRAIN", "evaluation"), {"train", "test"}),
        (("train", "valid"), {"train", "validation"}),
        (("test", "dev"), {"test", "validation"}),
    ],
)
def test_folders_of_subsets_are_a_split_with_genres_below(
    names: tuple[str, ...], subsets: set[str], tmp_path: Path
) -> None:
    collection = scan_folder(fill(tmp_path, *crossed(*names)))
    assert collection.genres == ("blues", "jazz")
    assert {track.subset for track in collection.tracks} == subsets
    assert {track.id.split("/")[0] for track in collection.tracks} == set(names)


def test_subsets_may_be_folders_in_each_genre(tmp_path: Path) -> None:
    files = ["blues/train/Ann/1.wav", "blues/test/2.wav", "jazz/train/3.wav", "jazz/loose.wav"]
    tracks = scan_folder(fill(tmp_path, *files)).tracks
    assert {track.id: (track.genre, track.subset) for track in tracks} == {
        "blues/test/2": ("blues", "test"),
        "blues/train/Ann/1": ("blues", "train"),
        "jazz/loose": ("jazz", None),
        "jazz/train/3": ("jazz", "train"),
    }


def test_a_file_without_a_genre_folder_in_a_subset_is_skipped(tmp_path: Path) -> None:
    collection = scan_folder(fill(tmp_path, *crossed("train", "test"), "test/loose.wav"))
    assert [(file.path, file.reason) for file in collection.skipped] == [("test/loose.wav", "not in a genre's folder")]


@pytest.mark.parametrize("name", ["test", "Train", "dev", "fold1"])
def test_a_genre_may_be_called_like_a_subset(name: str, tmp_path: Path) -> None:
    collection = scan_folder(fill(tmp_path, "blues/1.wav", "jazz/2.wav", f"{name}/3.wav", f"{name}/An album/4.wav"))
    assert collection.genres == tuple(sorted(("blues", "jazz", name)))
    assert {track.subset for track in collection.tracks} == {None}


def test_an_album_called_test_is_not_a_subset(tmp_path: Path) -> None:
    collection = scan_folder(fill(tmp_path, "blues/test/1.wav", "blues/live/2.wav", "jazz/test/3.wav"))
    assert {track.subset for track in collection.tracks} == {None}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param(
            crossed("fold1", "fold2", "fold10"),
            "has folds (fold1, fold2, fold10), not genres: run genrekit manifest folders {root} --validation fold2 "
            "--test fold10, then genrekit prepare --manifest {root}/manifest.csv",
            id="folds",
        ),
        pytest.param(
            crossed("fold_1", "fold_2", "Test"),
            "run genrekit manifest folders {root} --validation fold_2, then",
            id="folds and a test set",
        ),
        pytest.param(
            crossed("fold1", "fold2"), "run genrekit manifest folders {root} --test fold2, then", id="two folds"
        ),
        pytest.param(
            ["blues/fold1/1.wav", "jazz/fold2/2.wav"], "has folds (fold1, fold2) in its genre folders", id="inner folds"
        ),
        pytest.param(
            ["train/1.wav", "test/2.wav"],
            "has folders that are not genres (test, train), without genre folders in them: make {root}/test/GENRE/",
            id="no genres",
        ),
        pytest.param(crossed("train"), "has only the folder train, which is not a genre: did you mean", id="one"),
        pytest.param(
            ["blues/1.wav", "jazz/2.wav", "test/blues/3.wav", "test/jazz/4.wav"],
            "has a folder test with genre folders (blues, jazz) beside other folders (blues, jazz): move these into",
            id="test set beside genres",
        ),
        pytest.param(
            [*crossed("train", "test"), "extra/1.wav"],
            "has a folder test with genre folders (blues, jazz) beside other folders (extra): move these into",
            id="another folder beside subsets",
        ),
    ],
)
def test_a_split_that_cannot_be_used_is_refused_with_what_to_do(files: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(GenrekitError) as refusal:
        scan_folder(fill(tmp_path, *files))
    assert problem.format(root=tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
