"""Named pipes, devices and sockets in the place of files: each is refused in one line, before it is opened."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from special_files import SPECIAL, not_blocking, replace
from tiny_cli import CommandLine

from genrekit.io.regular_files import open_regular

STUDY = """
title = "T"
question = "Q"
seeds = 2

[base]
epochs = 1
hidden = [16, 16]

[axes.arch]
mlp = { arch = "mlp" }
cel = { arch = "cel", channels = [4] }
"""

PLACES = {
    "manifest": ("special", ["prepare", "--manifest", "special"]),
    "aliases": ("special.toml", ["prepare", "data", "--genre-aliases", "special.toml"]),
    "cache to write": ("special.h5", ["prepare", "data", "--out", "special.h5"]),
    "cache": ("special.h5", ["train", "--cache", "special.h5"]),
    "config in TOML": ("special.toml", ["train", "--config", "special.toml"]),
    "config in JSON": ("special.json", ["train", "--config", "special.json"]),
    "environment": (".env", ["train"]),
    "study": ("special.toml", ["study", "run", "special.toml"]),
    "included study": ("special.toml", ["study", "run", "including.toml"]),
    "search": ("special.toml", ["search", "special.toml"]),
    "features": ("special.onnx", ["train", "--features", "special.onnx", "--features-rate", "8000"]),
    "unknown audio": ("special", ["evaluate", "runs/mlp/best", "--unknown", "special"]),
    "FMA": ("special.csv", ["manifest", "fma", "special.csv", "--audio", "data"]),
    "labelled folder": ("special", ["evaluate", "runs/mlp/best", "--data", "special"]),
    "labelled manifest": ("special.csv", ["evaluate", "runs/mlp/best", "--data", "special.csv"]),
    "bundle's JSON": ("runs/mlp/best/model.json", ["predict", "song.wav", "--model", "runs/mlp/best"]),
    "bundle's tensors": ("runs/mlp/best/model.safetensors", ["predict", "song.wav", "--model", "runs/mlp/best"]),
    "information": ("special", ["info", "special"]),
    "result of a run": ("runs/mlp/result.json", ["compare", "runs/mlp"]),
    "history of a run": ("runs/mlp/history.csv", ["train", "--resume", "--out", "runs/mlp", "--epochs", "9"]),
    "plan of a study": ("reports/plain/plan.json", ["study", "run", "plain.toml"]),
    "plan of a search": ("reports/space/plan.json", ["search", "space.toml"]),
    "config of a run": ("runs/mlp/config.json", ["train", "--resume", "--out", "runs/mlp"]),
    "song": ("special.wav", ["predict", "special.wav", "--model", "runs/mlp/best"]),
}
"""Where a special file is, and the command that reads it."""


@pytest.mark.parametrize("place", PLACES)
def test_a_special_file_is_refused_in_one_line(genrekit: CommandLine, here: Path, place: str) -> None:
    path, command = PLACES[place]
    shutil.copy(here / "data" / "jazz" / "jazz-0.wav", "song.wav")
    Path("including.toml").write_text(STUDY + 'include = ["special.toml"]\n')
    Path("plain.toml").write_text(STUDY)
    Path("space.toml").write_text(SEARCH)
    for kind in SPECIAL:
        replace(here / path, kind)
        with not_blocking():
            outcome = genrekit(*command, "--quiet")
        assert outcome.code in (1, 2), (kind, outcome)
        assert len(outcome.err.splitlines()) <= 2, (kind, outcome.err)
        assert Path(path).name in outcome.err or str(Path(path).parent) in outcome.err


SEARCH = """
title = "T"
question = "Q"
trials = 1
seeds = 1
finalists = 1
base = { arch = "mlp", hidden = [4, 4], epochs = 1 }

[space.lr]
low = 0.01
high = 0.1
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*SPECIAL, "link", "directory"])
def test_trials_are_not_read_from_or_written_to_what_is_not_a_plain_file(
    genrekit: CommandLine, here: Path, kind: str
) -> None:
    """SQLite would wait for a named pipe, and would add its tables to the file that a link leads to."""
    pytest.importorskip("optuna")
    Path("space.toml").write_text(SEARCH)
    command = ("search", "space.toml", "--wandb", "off", "--quiet")
    assert genrekit(*command).code == 0
    foreign = Path("foreign.db")
    sqlite3.connect(foreign).close()
    for ending in ("", "-journal", "-wal"):
        path = here / f"reports/space/search.db{ending}"
        path.unlink(missing_ok=True)
        if kind in SPECIAL:
            replace(path, kind)
        else:
            path.mkdir() if kind == "directory" else path.symlink_to(foreign.absolute())
        with not_blocking():
            outcome = genrekit(*command)
        assert outcome.code == 1, (ending, outcome)
        assert outcome.err.startswith(f"genrekit: {path.relative_to(here)} must be a file, but it is a "), outcome.err
        assert outcome.err.count("\n") == 1
        assert foreign.stat().st_size == 0
        path.rmdir() if kind == "directory" else path.unlink()


TEXTS = ("manifest", "aliases", "config in TOML", "config in JSON", "study", "included study", "search", "FMA")


@pytest.mark.parametrize("place", TEXTS)
def test_a_folder_in_the_place_of_a_text_is_refused_in_one_line(genrekit: CommandLine, here: Path, place: str) -> None:
    path, command = PLACES[place]
    Path("including.toml").write_text(STUDY + 'include = ["special.toml"]\n')
    Path("plain.toml").write_text(STUDY)
    Path("space.toml").write_text(SEARCH)
    (here / path).mkdir()
    outcome = genrekit(*command, "--quiet")
    assert outcome.code in (1, 2)
    assert len(outcome.err.splitlines()) == 1
    assert Path(path).name in outcome.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"WANDB_PROJECT=caf\xe9\n", "it is not UTF-8: byte 17 is 0xe9", id="not UTF-8"),
        pytest.param(b"WANDB_PROJECT=a\0b\n", "it is not text: it has NUL bytes", id="NUL"),
        pytest.param(b"#" * (1 << 20) + b"\n", "it has more than 1 MiB; name a smaller file", id="huge"),
    ],
)
def test_an_environment_file_that_cannot_be_used_is_one_line(
    genrekit: CommandLine, here: Path, content: bytes, reason: str
) -> None:
    (here / ".env").write_bytes(content)
    outcome = genrekit("train")
    assert (outcome.code, outcome.err) == (1, f"genrekit: cannot read .env: {reason}\n")


def test_a_virtual_environment_may_be_called_like_the_environment_file(genrekit: CommandLine, here: Path) -> None:
    (here / ".env").mkdir()
    assert genrekit("train", "--print-config").code == 0
    assert genrekit("train", "--epochs", "1", "--arch", "mlp", "--hidden", "8,8").code == 0


def test_a_file_that_is_replaced_by_a_pipe_between_check_and_opening_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.csv"
    replace(path, "pipe")
    regular = (tmp_path / "regular").write_text("") or (tmp_path / "regular").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with not_blocking(), pytest.raises(OSError, match="named pipe"):
        open_regular(path)


def test_a_list_of_files_that_never_ends_is_refused(genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genrekit.cli.predict.SMALL", 1 << 20)
    with open("/dev/zero") as endless, not_blocking():
        monkeypatch.setattr("sys.stdin", endless)
        outcome = genrekit("predict", "-")
    assert outcome.code == 2
    assert outcome.err == "genrekit: the list of files on stdin has more than 1 MiB: name folders instead\n"
