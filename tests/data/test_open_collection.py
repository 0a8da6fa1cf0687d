"""What is not a folder of genre folders is refused with the right remedy."""

from pathlib import Path

import pytest
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a collection and other paths that a user may name."""
    monkeypatch.chdir(tmp_path)
    write_collection(Path("my music"), {"blues": 2, "jazz": 2}, duration_s=0.6, sample_rate=8_000)
    write_collection(Path("songs"), {"flat": 2}, duration_s=0.6, sample_rate=8_000)
    for name in ("music.zip", "music.tar.gz", "list.csv", "notes.txt"):
        Path(name).write_bytes(b"PK")
    return tmp_path


PATTERN = "is a pattern, which is not expanded inside quotes: leave out the quotes, or name the folder my music"
NO_GENRES = "has audio files but no genre folders"

REFUSED = {
    "music.zip": "music.zip is an archive: unpack it first, then name its folder",
    "music.tar.gz": "music.tar.gz is an archive: unpack it first, then name its folder",
    "https://example.org/gtzan.zip": "https://example.org/gtzan.zip is a URL: download the file first, then name",
    "my music/*/*.wav": f"my music/*/*.wav {PATTERN}\n",
    "missing.zip": "no file missing.zip: name the folder of the unpacked archive",
    "list.csv": "list.csv is a file, not a folder: use it as a manifest with --manifest list.csv",
    "notes.txt": "notes.txt is a file: name the folder that has one folder of audio files per genre",
    "my music/jazz/jazz-0.wav": "is one audio file: name the folder that has one folder per genre, or run genrekit pre",
    "my music/jazz": f"my music/jazz {NO_GENRES}, and beside it are other folders of audio (blues): did you mean my mu",
    "songs/flat": f"songs/flat {NO_GENRES}: move them into one folder per genre, or list them in a CSV file",
}


@pytest.mark.parametrize("path", REFUSED)
def test_prepare_says_what_to_do_about_a_path_that_is_no_collection(
    music: Path, genrekit: CommandLine, path: str
) -> None:
    outcome = genrekit("prepare", path, "--out", "cache.h5")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert REFUSED[path] in outcome.err


@pytest.mark.parametrize("out", [".", "my music", "/"])
def test_a_directory_as_the_new_file_is_one_line(music: Path, genrekit: CommandLine, out: str) -> None:
    """`prepare --out .` was a traceback."""
    for subset in ("train", "test"):
        write_collection(Path("parts", subset), {"blues": 1, "jazz": 1}, duration_s=0.6, sample_rate=8_000)
    for outcome, name in (
        (genrekit("prepare", "my music", *SMALL, "--out", out), "cache.h5"),
        (genrekit("manifest", "folders", "parts", "--out", out, "--overwrite"), "manifest.csv"),
    ):
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert f"{out} is a directory: name a file in it, such as --out " in outcome.err
        assert name in outcome.err


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("music.zip", "music.zip: an archive: unpack it first", id="archive"),
        pytest.param("https://example.org/a.mp3", "/example.org/a.mp3: a URL: download the file first", id="URL"),
        pytest.param("my music/*.mp3", "leave out the quotes, or name the folder my music", id="pattern"),
    ],
)
def test_predict_says_what_to_do_about_a_path_that_is_no_audio(
    music: Path, genrekit: CommandLine, path: str, reason: str
) -> None:
    outcome = genrekit("predict", path)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert reason in outcome.err


def test_a_file_whose_name_looks_like_a_pattern_is_used(music: Path, genrekit: CommandLine) -> None:
    song = Path("my music/jazz/jazz-0.wav").rename("what? [live].wav")
    assert genrekit("predict", song).code == 0


def test_a_folder_as_the_cache_is_named(music: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("train", "--cache", "my music")
    assert outcome.err.endswith("it is a directory, so name a file in it, such as my music/cache.h5\n")
