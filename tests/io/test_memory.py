import os
import subprocess
import sys
import threading

import pytest

from genrekit._version import __version__
from genrekit.data.cache.executors import open_executor
from genrekit.engines.remote import call, this_process
from genrekit.io import memory


class Library:
    """A C library that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, _name: None) -> "Library":
        return self

    def mallopt(self, number: int, value: int) -> None:
        self.calls.append((number, value))

    def malloc_trim(self, pad: int) -> None:
        self.calls.append((pad,))


KEPT = [(-4, 0), (-1, -1)]
GIVEN_BACK = [(-4, 65_536), (-1, 32 << 20), (-3, 32 << 20), (0,)]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr("ctypes.CDLL", made)
    return made


def test_memory_is_kept_within_the_block_and_given_back_after_it(library: Library) -> None:
    with memory.all_arrays_kept():
        assert library.calls == KEPT
    assert library.calls == KEPT + GIVEN_BACK


def test_memory_is_given_back_after_a_block_that_fails(library: Library) -> None:
    with pytest.raises(ValueError, match="no"), memory.all_arrays_kept():
        raise ValueError("no")
    assert library.calls == KEPT + GIVEN_BACK


def test_of_blocks_that_overlap_the_last_gives_back(library: Library) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with memory.all_arrays_kept():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with memory.all_arrays_kept():
        thread.start()
        assert entered.wait(60)
        with memory.all_arrays_kept():
            pass
    assert library.calls == KEPT
    leave.set()
    thread.join()
    assert library.calls == KEPT + GIVEN_BACK


def test_a_task_of_a_cluster_keeps_memory_unless_its_worker_is_a_thread_of_the_caller(library: Library) -> None:
    assert call(lambda _: list(library.calls), __version__, this_process(), None) == []
    assert call(lambda _: list(library.calls), __version__, ("another host", 1), None) == KEPT
    assert library.calls == KEPT + GIVEN_BACK


def test_small_memory_is_kept_from_now_on(library: Library) -> None:
    memory.keep_small_arrays()
    assert library.calls == [(-1, 32 << 20), (-3, 32 << 20)]


@pytest.mark.parametrize("missing", [OSError, AttributeError, TypeError])
def test_a_c_library_without_these_settings_does_not_matter(
    missing: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def library(_name: None) -> None:
        raise missing

    monkeypatch.setattr("ctypes.CDLL", library)
    memory.keep_small_arrays()
    with memory.all_arrays_kept():
        pass
    with open_executor(1) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()


@pytest.mark.skipif("glibc" not in __import__("platform").libc_ver(), reason="only glibc has these settings")
def test_large_arrays_reuse_freed_memory() -> None:
    """Pages that the system hands out are counted; an array of 64 MiB has 16,384 of them, or some large ones."""
    script = """
import resource
import numpy as np
from genrekit.io.memory import all_arrays_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.empty(16 << 20, np.float32)[::1024] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

outside, before = faults(), resident()
with all_arrays_kept():
    faults()
    within, held = faults(), resident()
print(outside, within, held - before, resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True)
    outside, within, held, after = map(float, done.stdout.split())
    assert within < outside / 4
    assert held > 50
    assert after < 20
