"""Errors in one run, and architectures that worker processes can import or not."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tiny_workflow import EventLog, two_genres

from genrekit import Architecture, register_architecture
from genrekit.config import architectures
from genrekit.models.mlp import build_mlp
from genrekit.studies.worker_pool import Conditions, Job, Problem, Watcher, train_jobs, usable_workers
from genrekit.training.tracking import NO_TRACKING


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_genres(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(architectures, "_REGISTERED", dict(architectures._REGISTERED))
    monkeypatch.chdir(tmp_path)


def build_broken(*_: Any) -> NoReturn:
    raise ZeroDivisionError("nothing to divide by")


class Ends(Watcher):
    """Keeps the problem of each job."""

    def __init__(self) -> None:
        self.problems: dict[int, Problem | None] = {}

    def ended(self, job: int, problem: Problem | None) -> None:
        self.problems[job] = problem


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_unexpected_error_ends_only_its_run(cache: Path, workers: int) -> None:
    register_architecture(Architecture("broken", build_broken, inputs=("mel",)))
    small = {"epochs": 1, "split": "track", "device": "cpu"}
    settings: list[dict[str, Any]] = [
        {"arch": "broken"},
        {"arch": "mlp", "hidden": [4, 4]},
        {"arch": "lda", "fragments": "first"},
    ]
    jobs = iter([Job(str(item["arch"]), {**small, **item}, Path(str(item["arch"])), False) for item in settings])
    ends = Ends()
    conditions = Conditions(cache, None, NO_TRACKING, strict=False)
    problems = train_jobs(lambda: next(jobs, None), conditions, workers=workers, watcher=ends)
    assert problems.keys() == {"broken"}
    assert problems["broken"].startswith(
        "unexpected ZeroDivisionError: nothing to divide by (test_worker_pool.py, line"
    )
    assert [ends.problems[number] is not None for number in range(3)] == [True, False, False]
    assert Path("mlp/result.json").is_file()


def test_an_architecture_of_the_script_itself_is_trained_without_worker_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = EventLog()
    register_architecture(Architecture("mine", build_mlp))
    assert (usable_workers(2, events), events.notes) == (2, [])
    monkeypatch.setattr(sys.modules["__main__"], "build_here", build_broken, raising=False)
    monkeypatch.setattr(build_broken, "__module__", "__main__")
    monkeypatch.setattr(build_broken, "__qualname__", "build_here")
    register_architecture(Architecture("here", build_broken))
    register_architecture(Architecture("nameless", lambda *given: build_mlp(*given[:3])))
    assert (usable_workers(1, events), events.notes) == (1, [])
    assert usable_workers(2, events) == 1
    assert events.notes == [
        "here, nameless are defined in the script that runs, which worker processes do not import: training one run at "
        "a time. To use several workers, define architectures in a module"
    ]


LONG = """
title = "Long"
question = "Which one?"
seeds = 1
base = { arch = "mlp", hidden = [4, 4], epochs = 5000, patience = 0, split = "track" }
[axes.rate]
low = { lr = 0.001 }
high = { lr = 0.01 }
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)],
    ids=["INT", "TERM", "USR1"],
)
def test_a_signal_ends_a_study_and_its_workers(cache: Path, number: signal.Signals, code: int) -> None:
    Path("long.toml").write_text(LONG, encoding="utf-8")
    command = [sys.executable, "-m", "genrekit", "study", "run", "long.toml", "--workers", "2", "--cache", str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [*command, "--device", "cpu"], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            while len(list(Path("runs").glob("*/history.csv"))) < 2:
                assert process.poll() is None
                time.sleep(0.05)
            # Ctrl-C and batch systems reach all processes; a service manager or `kill` only the first one.
            (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
            _, err = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "to resume, run the same command again" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
