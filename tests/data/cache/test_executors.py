import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from genrekit.data.cache.executors import available_cores, open_executor


def test_one_worker_is_a_thread_of_this_process() -> None:
    with open_executor(1) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()
        assert executor.submit(threading.get_ident).result() != threading.get_ident()
        assert executor.submit(signal.getsignal, signal.SIGINT).result() is signal.getsignal(signal.SIGINT)


def test_more_workers_are_processes_that_an_interrupt_does_not_end() -> None:
    with open_executor(2) as executor:
        workers = {future.result() for future in wait([executor.submit(os.getpid) for _ in range(8)]).done}
        assert 1 <= len(workers) <= 2
        assert os.getpid() not in workers
        for worker in workers:
            os.kill(worker, signal.SIGINT)
        assert list(executor.map(divmod, range(8), [3] * 8)) == [divmod(n, 3) for n in range(8)]
        assert executor.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN


def test_two_workers_work_at_the_same_time(tmp_path: Path) -> None:
    """Opening one end of a named pipe waits until another process opens the other end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open_executor(2) as executor:
        ends = [executor.submit(os.open, pipe, flags) for flags in (os.O_RDONLY, os.O_WRONLY)]
        try:
            assert not wait(ends, timeout=60).not_done
        finally:
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # both ends, so that nobody waits any longer


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """Else they would go on to write rows where the next build may have planned others."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from genrekit.data.cache.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    with open_executor(2) as executor:\n"
        "        print(executor.submit(os.getpid).result(), flush=True)\n"
        "        executor.submit(time.sleep, 600).result()\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    give_up = time.monotonic() + 60
    try:
        while _lives(worker):
            assert time.monotonic() < give_up, "the worker lives on"
            time.sleep(0.02)
    finally:
        if _lives(worker):
            os.kill(worker, signal.SIGKILL)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_no_open_file_of_this_process_comes_along_to_the_workers() -> None:
    held = os.dup2(1, 500)  # a number that a worker does not come to by itself
    try:
        with open_executor(2) as executor, pytest.raises(OSError, match="Bad file descriptor"):
            executor.submit(os.fstat, held).result()
    finally:
        os.close(held)


def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1
