"""Run many tasks on an executor, with a bounded number of them in flight.

A collection can have more tasks than a scheduler should hold. A task is submitted when an earlier one has ended, so the
memory of the scheduler and of this process does not grow with the number of tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_S = 1.0
"""Seconds after which `limit` is called again while no task is done: it raises an error if none can be."""


def as_completed(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], limit: Callable[[], int]
) -> Generator[tuple[Item, Future[Result]]]:
    """Call a function with each item; yield items and their futures as they are done.

    `limit` returns the number of tasks that may be in flight, which may change. When the generator is closed, tasks
    that have not started are cancelled.
    Errors: those of the executor and of `limit`. Those of the function are in the futures.
    """
    remaining, in_flight = iter(items), dict[Future[Result], Item]()
    try:
        while True:
            for item in islice(remaining, max(0, limit() - len(in_flight))):
                in_flight[executor.submit(function, item)] = item
            if not in_flight:
                return
            for future in wait(in_flight, _LOOK_S, FIRST_COMPLETED).done:
                yield in_flight.pop(future), future
    finally:
        for future in in_flight:
            future.cancel()


def in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], limit: Callable[[], int]
) -> Generator[tuple[Item, Future[Result]]]:
    """Call a function with each item; yield items and their futures in the order of the items. See `as_completed`."""
    remaining, in_flight = iter(items), deque[tuple[Item, Future[Result]]]()
    try:
        while True:
            for item in islice(remaining, max(0, limit() - len(in_flight))):
                in_flight.append((item, executor.submit(function, item)))
            if not in_flight:
                return
            if wait([in_flight[0][1]], _LOOK_S).done:
                yield in_flight.popleft()
    finally:
        for _, future in in_flight:
            future.cancel()
