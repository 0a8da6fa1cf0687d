"""A genre folder `other` trains a class for music that has none of the genres."""

from pathlib import Path

import pytest
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

from genrekit.models.bundle import read_metadata


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genrekit: CommandLine) -> str:
    """A model of blues, jazz and other; the tunes of `other` are those of metal."""
    monkeypatch.chdir(tmp_path)
    music = write_collection(tmp_path / "music", {"blues": 8, "jazz": 8, "metal": 8}, duration_s=1.1, sample_rate=8_000)
    (music / "metal").rename(music / "Other")
    genrekit("prepare", music, *SMALL, "--workers", "1", "--quiet")
    return str(genrekit("train", "--arch", "lda", "--json").json["bundle"])


def test_a_rejected_file_is_printed_as_none_of_the_genres_and_never_tagged(bundle: str, genrekit: CommandLine) -> None:
    assert read_metadata(Path(bundle)).genres == ("Other", "blues", "jazz")
    command = ("predict", "music", "--model", bundle)
    files = genrekit(*command, "--write-tags", "--tags-out", "tagged", "--json").json["files"]
    rejected = [file for file in files if file["genre"] == "Other"]
    assert 0 < len(rejected) < len(files)
    assert all(file["rejected"] == (file in rejected) for file in files)
    assert all((file["tagged"] is None) == file["rejected"] for file in files)
    assert genrekit(*command).out.count("Other (none of the genres)") == len(rejected)


def test_unknown_audio_that_is_rejected_is_not_accepted(bundle: str, genrekit: CommandLine) -> None:
    rejected = [
        Path(file["path"]).name
        for file in genrekit("predict", "music/Other", "--model", bundle, "--json").json["files"]
        if file["rejected"]
    ]
    (model,) = genrekit("evaluate", bundle, "--unknown", "music/Other", "--json").json["models"]
    accepted = {file["path"]: file["accepted"] for file in model["unknown"]["files"]}
    assert rejected
    assert not any(accepted[name] for name in rejected)
