"""genrekit manifest, as it is typed."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

from genrekit.data.splits.gtzan import index

FMA_HEADER = [
    ["", "artist", "set", "set", "track", "track"],
    ["", "name", "split", "subset", "genre_top", "title"],
    ["track_id", "", "", "", "", ""],
]


def write_noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 4_000), 8_000)


def read(path: Path) -> dict[str, tuple[str, str, str]]:
    """Genre, artist and split by path."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["path"]: (row["genre"], row["artist"], row["split"]) for row in csv.DictReader(file)}


@pytest.fixture
def fma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FMA's folders: tracks 2, 5, 10 and 1,000, of which one has no top genre; 3 has no audio."""
    monkeypatch.chdir(tmp_path)
    lines = [
        ["2", "AWOL", "training", "small", "Hip-Hop", "Food"],
        ["3", "AWOL", "training", "medium", "Hip-Hop", "Electric Ave"],
        ["5", "A;B", "validation", "small", "Rock", "This World"],
        ["10", "Kurt Vile", "test", "small", "", "Freeway"],
        ["1000", "Nicky Cook", "test", "small", "Rock", "Spiritual Level"],
    ]
    (tmp_path / "fma_metadata").mkdir()
    with open(tmp_path / "fma_metadata" / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(FMA_HEADER + lines)
    for number in (2, 5, 10, 1000):
        write_noise(tmp_path / "fma_small" / f"{number:06d}"[:3] / f"{number:06d}.wav")
    return tmp_path


def test_fma_has_its_top_genres_artists_and_split(fma: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("manifest", "fma", "fma_metadata/tracks.csv")
    assert outcome.code == 0, outcome.err
    assert read(fma / "fma_small" / "manifest.csv") == {
        "000/000002.wav": ("Hip-Hop", "AWOL", "train"),
        "000/000005.wav": ("Rock", "A,B", "validation"),
        "001/001000.wav": ("Rock", "Nicky Cook", "test"),
    }
    assert "3 tracks, 2 genres (train 1, validation 1, test 1), 3 with an artist" in " ".join(outcome.out.split())
    assert "warning: left out without a top genre: 1 track" in outcome.err


def test_the_manifest_can_be_prepared(fma: Path, genrekit: CommandLine) -> None:
    genrekit("manifest", "fma", "fma_metadata/tracks.csv", "--out", "fma.csv")
    outcome = genrekit("prepare", *SMALL, "--workers", "1", "--manifest", "fma.csv", "--json")
    assert (outcome.code, outcome.json["tracks"], outcome.json["skipped"]) == (0, 3, [])


def test_a_csv_that_is_not_fmas_is_refused(fma: Path, genrekit: CommandLine) -> None:
    (fma / "genres.csv").write_text("genre_id,#tracks,parent,title,top_level\n1,2,3,4,5\n" * 5)
    outcome = genrekit("manifest", "fma", "genres.csv", "--audio", "fma_small")
    assert outcome.code == 1
    assert "genres.csv is not FMA's tracks.csv: its first two rows do not name track.genre_top" in outcome.err


def test_a_missing_or_ambiguous_audio_folder_is_asked_for_with_the_option(fma: Path, genrekit: CommandLine) -> None:
    write_noise(fma / "fma_medium" / "000" / "000002.wav")
    outcome = genrekit("manifest", "fma", "fma_metadata/tracks.csv")
    assert outcome.code == 1
    assert "(fma_medium, fma_small): pass one with --audio" in outcome.err
    outcome = genrekit("manifest", "fma", "fma_metadata/tracks.csv", "--audio", "fma_large")
    assert (outcome.code, outcome.out) == (1, "")
    assert "fma_large is not a folder" in outcome.err
    (fma / "empty").mkdir()
    outcome = genrekit("manifest", "fma", "fma_metadata/tracks.csv", "--audio", "empty")
    assert "empty has no audio of the tracks in fma_metadata/tracks.csv" in outcome.err


def test_an_existing_manifest_is_replaced_only_with_the_option(fma: Path, genrekit: CommandLine) -> None:
    target = fma / "fma_small" / "manifest.csv"
    target.write_text("mine")
    outcome = genrekit("manifest", "fma", "fma_metadata/tracks.csv")
    assert (outcome.code, target.read_text()) == (1, "mine")
    assert "replace it with --overwrite" in outcome.err
    assert genrekit("manifest", "fma", "fma_metadata/tracks.csv", "--overwrite").code == 0
    assert len(read(target)) == 3


@pytest.mark.parametrize("layout", ["Data/genres_original", "genres", "."])
def test_gtzan_is_found_in_any_published_layout(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "gtzan"
    left_out = next(name for name, entry in index().items() if entry.subset is None)
    for name in ("blues.00000", "rock.00099", left_out):
        write_noise(data / layout / name.split(".")[0] / f"{name}.wav")
    write_noise(data / layout / "blues" / "mine.wav")
    outcome = genrekit("manifest", "gtzan", "gtzan", "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert (result["tracks"], result["left_out"]) == (3, 1)
    rows = {Path(path).stem: row for path, row in read(data / "manifest.csv").items()}
    assert rows["blues.00000"] == ("blues", "John Lee Hooker", "validation")
    assert rows[left_out][2] == ""


def test_a_folder_without_gtzan_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    write_noise(tmp_path / "data" / "blues" / "song.wav")
    outcome = genrekit("manifest", "gtzan", "data")
    assert outcome.code == 1
    assert "data has no file with a GTZAN name such as blues.00000.wav" in outcome.err


def test_subset_folders_become_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("Train", "valid", "test"):
        write_collection(tmp_path / "data" / folder, {"blues": 2, "jazz": 2}, duration_s=0.6, sample_rate=8_000)
    outcome = genrekit("manifest", "folders", "data", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["subsets"] == {"test": 4, "train": 4, "validation": 4}
    assert outcome.json["genres"] == {"blues": 6, "jazz": 6}
    assert read(tmp_path / "data" / "manifest.csv")["Train/blues/blues-0.wav"] == ("blues", "", "train")


def test_folds_are_named_by_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3, 4):
        write_noise(tmp_path / "data" / f"fold{number}" / "blues" / f"{number}.wav")
    outcome = genrekit("manifest", "folders", "data")
    assert outcome.code == 1
    assert "data/fold1 does not name a subset: pass the folders" in outcome.err
    outcome = genrekit("manifest", "folders", "data", "--test", "fold5")
    assert "data has no folder fold5; it has fold1, fold2, fold3, fold4" in outcome.err
    outcome = genrekit("manifest", "folders", "data", "--test", "fold4", "--validation", "fold3")
    assert outcome.code == 0
    rows = read(tmp_path / "data" / "manifest.csv")
    assert {path.split("/")[0]: row[2] for path, row in rows.items()} == {
        "fold1": "train",
        "fold2": "train",
        "fold3": "validation",
        "fold4": "test",
    }


@pytest.mark.parametrize("content", [{}, {"train": None}, {"train/loose.wav": "file"}])
def test_a_folder_without_subset_and_genre_folders_is_refused(
    content: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, kind in content.items():
        write_noise(tmp_path / "data" / name) if kind else (tmp_path / "data" / name).mkdir()
    outcome = genrekit("manifest", "folders", "data")
    assert (outcome.code, outcome.out) == (1, "")
    assert "data has no" in outcome.err
