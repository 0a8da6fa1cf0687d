"""Closed, full and broken streams: a command does its work, its exit code says what was lost, without a traceback."""

import os
import subprocess
import sys
from multiprocessing import Barrier, get_context
from pathlib import Path
from threading import BrokenBarrierError

import pytest
from tiny_cli import CommandLine

from genrekit.workflows.train_folder import claimed_folder

GENREKIT = f"{sys.executable} -m genrekit"
TRAIN = f"{GENREKIT} train --arch mlp --hidden 8,8 --epochs 1 --wandb off --out runs/new"
DONE = Path("runs/new/result.json")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with bash; the exit code is that of the first command of a pipe."""
    script = f"{command}\nexit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        pytest.param(">&-", 1, id="closed stdout"),
        pytest.param("2>&-", 0, id="closed stderr"),
        pytest.param(">&- 2>&-", 1, id="both closed"),
        pytest.param("<&- >/dev/null", 0, id="closed stdin"),
        pytest.param(">/dev/full", 1, id="full stdout"),
        pytest.param("--json >/dev/full", 1, id="full stdout, JSON"),
        pytest.param("2>/dev/full", 0, id="full stderr"),
        pytest.param("2>&1 | true", 1, id="broken pipe of both"),
        pytest.param("2> >(true)", 0, id="broken pipe of stderr"),
    ],
)
def test_training_ends_whatever_happens_to_its_streams(here: Path, redirection: str, code: int) -> None:
    outcome = shell(f"{TRAIN} {redirection}")
    assert outcome.returncode == code, outcome
    assert (here / DONE).is_file()
    assert "Traceback" not in outcome.stderr
    assert "Exception ignored" not in outcome.stderr


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", "genrekit: the results cannot be written to stdout: Bad file descriptor; open stdout\n"),
        (
            "--json >/dev/full",
            "genrekit: the results cannot be written to stdout: No space left on device; make space or choose another "
            "path\n",
        ),
        ("| head -1", ""),
    ],
)
def test_results_that_are_lost_are_one_line(here: Path, redirection: str, message: str) -> None:
    outcome = shell(f"{GENREKIT} info data/cache.h5 --quiet {redirection}")
    assert outcome.stderr == message
    assert outcome.returncode in ((1,) if message else (0, 1))  # the pipe may have taken all before it breaks


def test_wrong_usage_keeps_its_code_if_stdout_is_full(here: Path) -> None:
    outcome = shell(f"{GENREKIT} info --nonsense --json >/dev/full")
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("genrekit: ")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("size", ["0", "1", "-5", "wide", "\u00b2", "9" * 5_000, ""])
def test_a_size_of_the_terminal_that_is_no_size_does_no_harm(
    genrekit: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        monkeypatch.setenv(name, size)
    for arguments in (["compare"], ["info", "data/cache.h5"], ["--help"], ["predict", "data/jazz"], ["study", "list"]):
        outcome = genrekit(*arguments)
        assert outcome.code == 0
        assert outcome.out


def _claim(barrier: Barrier, folder: Path) -> str:  # type: ignore[valid-type]
    barrier.wait(60)  # type: ignore[attr-defined]
    return str(claimed_folder(folder))


def _claim_and_write(barrier: Barrier, folder: Path, number: int) -> None:  # type: ignore[valid-type]
    try:
        (folder.parent / f"{number}.txt").write_text(_claim(barrier, folder))
    except BrokenBarrierError:
        os._exit(1)


def test_runs_that_start_at_the_same_time_get_different_folders(tmp_path: Path) -> None:
    context = get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=_claim_and_write, args=(barrier, tmp_path / "runs" / "name", number))
        for number in range(2)
    ]
    (tmp_path / "runs").mkdir()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    claimed = {(tmp_path / "runs" / f"{number}.txt").read_text() for number in range(2)}
    assert claimed == {str(tmp_path / "runs" / "name"), str(tmp_path / "runs" / "name-2")}
