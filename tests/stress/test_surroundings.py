"""A limit of the size of files: each command prints one line that names a file, and goes on without the limit."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_cli import SMALL

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="files have no limit here"),
]

BASE = (
    'title = "T"\nquestion = "Q?"\nseeds = 1\nbase = { arch = "mlp", hidden = [16, 16], epochs = 2, split = "track" }\n'
)
STUDY = BASE + "[axes.rate]\nlow = { lr = 0.001 }\nhigh = { lr = 0.01 }\n"
SPACE = BASE + "[space.lr]\nlow = 0.001\nhigh = 0.01\n"

TRAIN = ("train", "--arch", "mlp", "--hidden", "16,16", "--epochs", "2", "--wandb", "off", "--out", "runs/new")
COMMANDS = {
    "prepare": ("prepare", *SMALL, "--workers", "2", "--out", "new.h5"),
    "train": TRAIN,
    "study": ("study", "run", "rates.toml", "--wandb", "off"),
    "search": ("search", "space.toml", "--wandb", "off"),
    "search, 2 workers": ("search", "space.toml", "--wandb", "off", "--workers", "2"),
    "evaluate": ("evaluate", "runs/mlp/best", "--report", "new.html"),
    "predict": ("predict", "data/jazz/jazz-0.wav", "--write-tags", "--tags-out", "new"),
    "export": ("export", "runs/mlp/best", "--out", "new.onnx"),
}

REASONS = ("File too large", "disk I/O error", "disk is full", "No usable temporary directory")
"""What the system, SQLite and Python say."""


def limited(arguments: tuple[str, ...], limit: int) -> "subprocess.CompletedProcess[str]":
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "genrekit", *arguments, "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit_files)


@pytest.mark.parametrize("limit", [0, 3_000, 20_000])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_size_limit_is_one_line_and_spends_nothing(here: Path, command: str, limit: int) -> None:
    (here / "rates.toml").write_text(STUDY)
    (here / "space.toml").write_text(SPACE.replace("seeds = 1", "seeds = 1\ntrials = 2\nfinalists = 1"))
    arguments = COMMANDS[command]
    done = limited(arguments, limit)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("warning: ", "note: "))]
    assert "Traceback" not in done.stderr, done.stderr
    assert "remove" not in done.stderr, done.stderr
    if done.returncode == 0:  # its files are smaller
        return
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1 or command == "predict", done.stderr
    assert any(reason in done.stderr for reason in REASONS), done.stderr
    if arguments == TRAIN and (here / "runs/new/config.json").exists():
        arguments = ("train", "--resume", "--out", "runs/new", "--wandb", "off")
    elif arguments == TRAIN:
        shutil.rmtree(here / "runs/new", ignore_errors=True)
    again = limited(arguments, resource.RLIM_INFINITY)
    assert again.returncode == 0, again.stderr
    if command.startswith("search"):
        assert "trials failed" not in again.stderr
