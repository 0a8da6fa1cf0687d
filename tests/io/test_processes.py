"""Worker processes: errors, ends, and independence from the caller's script and the current folder."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from tiny_cli import SMALL
from tiny_music import write_collection

from genrekit.errors import GenrekitError
from genrekit.io.processes import ProcessPool

REPOSITORY = Path(__file__).parents[2]

STANDARD = ("signal", "socket", "random", "numpy", "struct", "pickle", "selectors", "torch", "multiprocessing", "os")
"""Names of modules that Python processes import."""


class UnsendableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def fail(error: str) -> NoReturn:
    raise GenrekitError(f"{error} failed")


def fail_unsendably() -> NoReturn:
    raise UnsendableError("one", "two")


def test_an_error_in_a_worker_keeps_its_type_and_its_traceback() -> None:
    with ProcessPool(2) as pool:
        with pytest.raises(GenrekitError, match=r"^song\.mp3 failed\n*") as raised:
            pool.submit(fail, "song.mp3").result()
        assert str(raised.value) == "song.mp3 failed"
        assert "in fail" in raised.value.__notes__[0]
        with pytest.raises(RuntimeError, match="in fail_unsendably"):
            pool.submit(fail_unsendably).result()
        assert pool.submit(os.getppid).result() == os.getpid()


def test_tensors_are_sent_both_ways() -> None:
    """They are pickled whole: shared memory needs processes that these workers do not have."""
    with ProcessPool(2) as pool:
        assert torch.equal(pool.submit(torch.add, torch.ones(3), 1).result(), torch.full((3,), 2.0))


def test_a_process_that_ends_breaks_its_calls() -> None:
    with ProcessPool(2) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(os._exit, 3).result()


def test_killed_processes_break_running_calls_and_start_no_more() -> None:
    pool = ProcessPool(2)
    worker = pool.submit(os.getpid).result()
    running = pool.submit(time.sleep, 600)
    while not running.running():
        time.sleep(0.01)
    pool.kill()
    pool.shutdown()
    assert isinstance(running.exception(), BrokenProcessPool)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_processes_end_with_their_pool() -> None:
    with ProcessPool(2) as pool:
        worker = pool.submit(os.getpid).result()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_an_interrupt_does_not_reach_a_worker_that_is_starting() -> None:
    """Ctrl-C reaches the whole process group, also while Python starts."""
    with ProcessPool(2) as pool:
        started = pool.submit(os.getpid)
        children = Path(f"/proc/{os.getpid()}/task")
        while not started.done():
            for child in " ".join(path.read_text() for path in children.glob("*/children")).split():
                if b"worker_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGINT)
        assert started.result() != os.getpid()


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with data/."""
    folder = tmp_path / "music"
    write_collection(folder / "data", {"blues": 4, "jazz": 4}, duration_s=1.1, sample_rate=8_000)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return folder


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_script_without_a_main_guard_prepares_with_workers(music: Path, how: str) -> None:
    script = (
        "import genrekit\n"
        "features = genrekit.FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)\n"
        "print(genrekit.prepare('data', out='cache.h5', features=features, workers=2).tracks)\n"
    )
    (music / "script.py").write_text(script)
    command = [sys.executable, "script.py" if how == "file" else "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\n", "")


@pytest.fixture
def planted(music: Path, tmp_path: Path) -> Path:
    """Plant modules with the names of others beside the music; return the file that they leave if they are run."""
    traces = tmp_path / "traces.txt"
    for name in STANDARD:
        (music / f"{name}.py").write_text(f"open({str(traces)!r}, 'a').write({name!r} + ' ran\\n')\n")
    return traces


def as_installed(tmp_path: Path) -> list[str]:
    """The command line as an installed program runs it: from a file in another folder."""
    program = tmp_path / "bin" / "genrekit"
    program.parent.mkdir()
    program.write_text("from genrekit.cli.main import main\nmain()\n")
    return [sys.executable, str(program)]


def test_prepare_runs_no_module_of_the_current_folder(tmp_path: Path, planted: Path) -> None:
    command = [*as_installed(tmp_path), "prepare", "--workers", "2", "--quiet", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert not planted.exists(), planted.read_text()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_study_and_tracking_run_no_module_of_the_current_folder(tmp_path: Path, planted: Path) -> None:
    Path("tiny.toml").write_text(
        'title = "Tiny"\nquestion = "Which?"\nseeds = 1\n'
        'base = { arch = "mlp", hidden = [4, 4], epochs = 1, split = "track" }\n'
        "[axes.rate]\nlow = { lr = 0.001 }\nhigh = { lr = 0.01 }\n"
    )
    genrekit = as_installed(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    for command in (
        ("prepare", "--workers", "2", *SMALL),
        ("study", "run", "tiny.toml", "--workers", "2", "--device", "cpu", "--wandb", "offline"),
    ):
        done = subprocess.run(
            [*genrekit, *command, "--quiet"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not planted.exists(), planted.read_text()
        assert (done.returncode, done.stderr) == (0, ""), command


SLEEPY = """
import os, sys, time
from pathlib import Path

def write_track(*_):
    Path("working").touch()
    time.sleep(600)

if __name__ == "__main__":
    import sleepy
    from genrekit.cli import main
    from genrekit.data.cache import executors
    executors.write_track = executors._write_in_process = sleepy.write_track
    main.main()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_interrupt_ends_prepare_and_its_workers(music: Path, workers: int) -> None:
    (music / "sleepy.py").write_text(SLEEPY)
    command = [sys.executable, "sleepy.py", "prepare", "--workers", str(workers), *SMALL]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            while not Path("working").exists():
                assert process.poll() is None
                time.sleep(0.02)
            for _ in range(2):
                send_to_group(process.pid, signal.SIGINT)
                time.sleep(0.2)
            _, err = process.communicate(timeout=60)
        finally:
            send_to_group(process.pid, signal.SIGKILL)
    assert process.returncode in (130, -signal.SIGINT)  # the second may arrive while Python is already exiting
    assert "genrekit: interrupted" in err
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def send_to_group(leader: int, number: int) -> None:
    """Send a signal to a process group, if it has not ended."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
