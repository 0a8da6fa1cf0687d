"""Paths of files that do not exist, or that are of another kind than a command needs: one line says what is wrong."""

from pathlib import Path

import pytest
from tiny_cli import CommandLine

NOTES = "notes.md"
"""A file that no command reads."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path(NOTES).write_text("# Notes\n")
    Path("mine.toml").write_text('title = "Mine"\n')
    Path("search.toml").write_text(
        'title = "Mine"\nquestion = "Which?"\ntrials = 3\n[space]\nlr = { low = 1, high = 2 }\n'
    )
    Path("folder").mkdir()
    Path("model").mkdir()
    for name in ("model.json", "model.safetensors"):
        Path("model", name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("study run notes.md", "notes.md is not a TOML file: name a study file, such as notes.toml"),
        ("study report notes.md", "notes.md is not a TOML file: name a study file, such as notes.toml"),
        ("study run folder", "folder is a folder: name a study file, such as folder.toml"),
        ("study run absent.md", "absent.md does not exist: name a study file, such as absent.toml"),
        ("study run ./absent", "absent does not exist: name a study file, such as absent.toml"),
        ("study run absent.toml", "cannot read absent.toml: No such file or directory; check the path"),
        ("study run mine.toml", "mine.toml: question: field required"),
        ("study run search.toml", "search.toml, line 4: 'space' is a key of a search: genrekit search search.toml"),
        ("predict https://example.org/a.mp3", "https://example.org/a.mp3: a URL: download the file first"),
        ("search notes.md", "notes.md is not a TOML file: name a search file, such as notes.toml"),
        ("search folder", "folder is a folder: name a search file, such as folder.toml"),
        ("search absent", "absent does not exist: name a search file, such as absent.toml"),
        ("search absent.toml", "cannot read absent.toml: No such file or directory; check the path"),
        ("info notes.md", "notes.md is not a cache, a finished run or a bundle, and has no runs or bundles"),
        ("info absent.toml", "absent.toml does not exist: name a cache, a run, a bundle, or a folder of them"),
        ("train --recipe notes.md", "notes.md is not a recipe (fast, pretrained, scratch): read a file with --config"),
        ("train --recipe absent.toml", "absent.toml is not a recipe (fast, pretrained, scratch)"),
        ("train --config notes.md", "notes.md is not a configuration: name a TOML file, or config.json of a run"),
        ("train --config search.toml", "search.toml is a study or a search: genrekit info search.toml says how to run"),
        ("train --config absent.md", "cannot read absent.md: No such file or directory; check the path"),
        ("compare notes.md", "notes.md is a file: name the folder of a run, such as runs/NAME"),
        ("compare absent", "no folder absent: train a model first"),
        ("export notes.md", "notes.md is not a bundle: it needs model.json and model.safetensors"),
        ("evaluate model/model.json", "no bundle at model/model.json: did you mean model?"),
        ("evaluate model --data absent.csv", "no file absent.csv: check the path"),
        ("manifest fma absent.csv", "no file absent.csv: name FMA's tracks.csv"),
        ("predict absent.mp3", "absent.mp3: No such file or directory"),
        ("predict absent.mp3 none.mp3", "no file could be read: absent.mp3: No such file or directory, none.mp3: No"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(files: Path, genrekit: CommandLine, line: str, message: str) -> None:
    outcome = genrekit(*line.split())
    assert outcome.code in (1, 2)
    errors = [text for text in outcome.err.splitlines() if not text.startswith("note: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"genrekit: {message}")


def test_the_error_for_an_unknown_study_lists_what_study_list_lists(files: Path, genrekit: CommandLine) -> None:
    choices = genrekit("study", "run", "nothing").err.partition("(choices: ")[2]
    assert "cnn, " in choices
    assert "-as-run" not in choices


def test_a_misspelled_option_is_not_taken_for_a_hidden_one(files: Path, genrekit: CommandLine) -> None:
    message = genrekit("train", "--sched-bi", "step").err
    assert "(Possible options: --sched, " in message
    assert "--sched-by" not in message
    assert "--arms" not in genrekit("study", "run", "mlp", "--armz", "x").err
