"""Many tasks on an executor: a bounded number in flight, errors raised, and the rest cancelled."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from genrekit.engines import bounded
from genrekit.engines.bounded import as_completed, in_order

Run = Callable[..., Generator[tuple[int, Future[object]]]]


@pytest.mark.parametrize("run", [as_completed, in_order])
def test_no_more_items_are_taken_than_may_be_in_flight(run: Run) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield number

    most, done = 0, list[int]()
    with ThreadPoolExecutor(2) as executor:
        for item, future in run(executor, lambda number: 2 * number, items(), lambda: 4):
            assert future.result() == 2 * item
            most = max(most, taken - len(done))
            done.append(item)
    assert most <= 4
    assert sorted(done) == list(range(1_000))
    assert run is as_completed or done == sorted(done)


def test_the_limit_may_change_between_tasks() -> None:
    limits = iter([1, 1, 8, 8, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    with ThreadPoolExecutor(2) as executor:
        assert len(list(as_completed(executor, abs, range(10), lambda: next(limits)))) == 10


@pytest.mark.parametrize("run", [as_completed, in_order])
def test_an_error_is_in_the_future_and_closing_cancels_what_has_not_started(run: Run) -> None:
    started: list[int] = []

    def fail(number: int) -> None:
        started.append(number)
        time.sleep(0.01)
        raise ValueError("of the task")

    with ThreadPoolExecutor(1) as executor, closing(run(executor, fail, range(100), lambda: 50)) as futures:
        _, future = next(futures)
        with pytest.raises(ValueError, match="of the task"):
            future.result()
    assert len(started) < 50


def test_closing_the_generator_cancels_what_has_not_started() -> None:
    release, started = threading.Event(), list[int]()

    def work(number: int) -> int:
        started.append(number)
        if number:
            release.wait(30)
        return number

    with ThreadPoolExecutor(1) as executor:
        with closing(as_completed(executor, work, range(100), lambda: 10)) as results:
            item, future = next(results)
            assert (item, future.result()) == (0, 0)
        release.set()
    assert len(started) <= 3


@pytest.mark.parametrize("run", [as_completed, in_order])
def test_while_no_task_is_done_an_error_of_the_limit_ends_the_wait(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "_LOOK_S", 0.01)
    release, limits = threading.Event(), iter([4, 4, 4])
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(run(executor, lambda _: release.wait(30), range(100), lambda: next(limits)))
        release.set()
