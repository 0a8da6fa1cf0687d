"""genrekit prepare on collections as they are published: it works, or names the right folder or command."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_manifest_command import FMA_HEADER
from tiny_cli import SMALL, CommandLine

from genrekit.data.cache.reader import open_cache

PREPARE = ("prepare", *SMALL, "--workers", "1", "--out", "cache.h5")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_noise(*paths: str) -> None:
    for number, path in enumerate(paths):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, 8_000), 8_000)


def write_fma(metadata: str = "fma_metadata") -> None:
    """Write FMA's folders: tracks 2, 5, 10 and 1,000, of which 10 has no top genre."""
    lines = [
        ["2", "AWOL", "training", "small", "Hip-Hop", "Food"],
        ["5", "Kurt Vile", "validation", "small", "Rock", "This World"],
        ["10", "Kurt Vile", "test", "small", "", "Freeway"],
        ["1000", "Nicky Cook", "test", "small", "Rock", "Spiritual Level"],
    ]
    Path(metadata).mkdir(parents=True, exist_ok=True)
    with open(Path(metadata) / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(FMA_HEADER + lines)
    write_noise(*(f"fma_small/{number:06d}"[:13] + f"/{number:06d}.wav" for number in (2, 5, 10, 1000)))


@pytest.mark.parametrize("metadata", ["fma_metadata", "fma_small", ".", "fma_small/fma_metadata"])
def test_fma_has_the_genres_artists_and_split_of_its_csv(metadata: str, genrekit: CommandLine) -> None:
    write_fma(metadata)
    outcome = genrekit(*PREPARE, "fma_small", "--json")
    assert outcome.code == 0, outcome.err
    assert {track.id: (track.genre, track.artists, track.subset) for track in open_cache("cache.h5").tracks} == {
        "000/000002": ("Hip-Hop", ("AWOL",), "train"),
        "000/000005": ("Rock", ("Kurt Vile",), "validation"),
        "001/001000": ("Rock", ("Nicky Cook",), "test"),
    }
    assert outcome.json["notes"] == [
        f"genres, artists and split are those of {Path(metadata) / 'tracks.csv'}; 1 track without a top genre not used",
        "the split of the manifest or of the folders has 1 training, 1 validation and 1 test tracks",
    ]


def test_fma_without_its_csv_is_refused_with_the_command(genrekit: CommandLine) -> None:
    write_fma()
    Path("fma_metadata/tracks.csv").write_text("path,genre\na.wav,rock\n")
    outcome = genrekit(*PREPARE, "fma_small")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "run genrekit manifest fma TRACKS_CSV --audio fma_small, then genrekit prepare --manifest" in outcome.err
    Path("fma_small/manifest.csv").touch()
    assert "is near: genrekit prepare --manifest fma_small/manifest.csv" in genrekit(*PREPARE, "fma_small").err


def test_the_folder_above_fmas_audio_is_refused_with_the_right_one(genrekit: CommandLine) -> None:
    write_fma()
    assert "did you mean fma_small?" in genrekit(*PREPARE, ".").err
    write_noise("fma_large/000/000002.wav")
    assert "fma_large has FMA's audio, so fma_large is not a genre: did you mean fma_large?" in (
        genrekit(*PREPARE, ".").err
    )


def test_genres_may_be_numbers(genrekit: CommandLine) -> None:
    write_noise("data/001/a.wav", "data/002/b.wav")
    assert genrekit(*PREPARE, "data", "--json").json["tracks"] == 2


GTZAN = ("blues/blues.00000.wav", "rock/rock.00099.wav")


@pytest.mark.parametrize("layout", ["Data/genres_original", "genres", "."])
def test_gtzans_genre_folders_are_prepared_and_those_above_named(layout: str, genrekit: CommandLine) -> None:
    write_noise(*(f"gtzan/{layout}/{name}" for name in GTZAN))
    Path("gtzan/Data/images_original/blues").mkdir(parents=True)
    Path("gtzan/Data/images_original/blues/blues00000.png").touch()
    right = Path("gtzan") / layout
    assert genrekit(*PREPARE, right, "--json").json["tracks"] == 2
    for above in right.parents[:-1]:
        assert f"did you mean {right}?" in genrekit(*PREPARE, above).err
    below = genrekit(*PREPARE, right / "blues")
    assert f"has only GTZAN's blues, without a genre folder: did you mean {right}?" in below.err


def test_gtzans_files_in_one_folder_are_refused_with_the_command(genrekit: CommandLine) -> None:
    write_noise("flat/blues.00000.wav", "flat/rock.00099.wav")
    outcome = genrekit(*PREPARE, "flat")
    assert outcome.code == 1
    assert "run genrekit manifest gtzan flat, then genrekit prepare --manifest flat/manifest.csv" in outcome.err
    assert genrekit("manifest", "gtzan", "flat").code == 0
    assert genrekit(*PREPARE, "--manifest", "flat/manifest.csv").code == 0


def test_gtzans_folder_beside_other_music_is_not_a_genre(genrekit: CommandLine) -> None:
    write_noise(*(f"data/genres_original/{name}" for name in GTZAN), "data/mine/song.wav")
    outcome = genrekit(*PREPARE, "data")
    assert "genres_original is not a genre: did you mean data/genres_original?" in outcome.err


def test_gtzans_genres_may_be_grouped(genrekit: CommandLine) -> None:
    names = ("calm/jazz/jazz.00001.wav", "calm/pop/pop.00001.wav", "loud/metal/metal.00001.wav")
    write_noise(*(f"data/{name}" for name in names))
    assert genrekit(*PREPARE, "data", "--json").json["tracks"] == 3


def test_a_split_in_folders_reaches_training(genrekit: CommandLine) -> None:
    names = [f"data/train/{genre}/{n}.wav" for n in range(4) for genre in "ab"]
    write_noise(*names, "data/test/a/1.wav", "data/test/b/2.wav")
    outcome = genrekit(*PREPARE, "data", "--json")
    assert outcome.json["notes"] == ["the split of the manifest or of the folders has 8 training and 2 test tracks"]
    trained = genrekit("train", "--cache", "cache.h5", "--arch", "lda", "--out", "run", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["split"] == "manifest"
    assert trained.json["notes"] == [
        "using the split of the manifest or of the folders",
        "the manifest's split has no validation set: 2 of its 8 training tracks, drawn by track, "
        "are used for validation",
    ]
