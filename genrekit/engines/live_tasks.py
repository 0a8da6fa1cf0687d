"""Tasks on a dask cluster that send messages while they run, and can wait for an answer.

Messages are events of dask: a worker logs them under a topic, and the client has subscribed to it. Answers come back
through a queue of dask, which exists while a task waits for one.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from genrekit._version import __version__
from genrekit.engines.remote import require_version
from genrekit.errors import GenrekitError, counted

if TYPE_CHECKING:
    from distributed import Client, Queue

Item = TypeVar("Item")

_CHECK_S = 2.0
"""Seconds after which the connection to the scheduler is checked if no message arrives."""

_SHORTEST_POLL_S, _LONGEST_POLL_S = 0.01, 0.5


class TaskGivenUpError(GenrekitError):
    """A task that dask gave up, because too many workers died while running it."""

    def __init__(self, deaths: int) -> None:
        super().__init__(f"{counted(deaths, 'worker')} died while running it, possibly because memory ran out")


class TaskCancelled(Exception):  # noqa: N818 - it is not an error
    """Raised by a task, on a worker, whose `TaskLink` is cancelled."""


@dataclass(frozen=True)
class Message:
    """What a running task sent. If `reply_to` is not empty, the task waits for an answer."""

    task: int
    value: Any
    reply_to: str = ""


@dataclass(frozen=True)
class Ended:
    """The end of a task: its result, or the error that it raised."""

    task: int
    value: Any = None
    error: BaseException | None = None


class LiveTasks:
    """Numbered tasks on the workers of a cluster. `DaskEngine.live_tasks` returns this."""

    def __init__(
        self,
        client: Client,
        executor: Executor,
        resources: Mapping[str, float],
        check: Callable[[], object],
        lost: Callable[[], GenrekitError],
    ) -> None:
        self._client, self._executor, self._resources = client, executor, dict(resources)
        self._check, self._lost = check, lost
        self._topic = f"genrekit-{uuid.uuid4().hex}"
        self._events = SimpleQueue[Message | tuple[int, Future[Any]]]()
        self._in_flight: dict[int, Future[Any]] = {}
        client.subscribe_topic(self._topic, self._received)

    def __len__(self) -> int:
        return len(self._in_flight)

    def submit(self, task: int, function: Callable[[Item, TaskLink], Any], item: Item) -> None:
        """Let a worker call a function with an item and a link to this process. A task that has ended can run again."""
        link = partial(TaskLink, self._topic, task, self._resources)
        future = self._executor.submit(_call, function, __version__, item, link)
        self._in_flight[task] = future
        future.add_done_callback(lambda ended: self._events.put((task, ended)))

    def next_event(self) -> Message | Ended | None:
        """Wait for the next message or end of a task; None if there was none for two seconds.

        A task ends after its last message.
        Errors: GenrekitError if the scheduler is lost.
        """
        try:
            event = self._events.get(timeout=_CHECK_S)
        except Empty:
            self._check()
            return None
        if isinstance(event, Message):
            return event if event.task in self._in_flight else None
        return self._ended(*event)

    def answer(self, message: Message, value: bool) -> None:
        """Answer a task that waits. If its worker has died, nobody reads the answer."""
        queue = _open_queue(message.reply_to, self._client)
        queue.put(value)
        queue.close()

    def close(self) -> None:
        """Cancel the tasks that have not ended. Those that run see it within a second."""
        if self._client.status == "running":  # otherwise dask has cancelled them
            self._client.unsubscribe_topic(self._topic)
            for future in self._in_flight.values():
                future.cancel()

    def _received(self, event: tuple[float, tuple[int, str, bytes]]) -> None:
        """Take a message in dask's own thread."""
        _, (task, reply_to, value) = event
        self._events.put(Message(task, pickle.loads(value), reply_to))  # noqa: S301 - dask itself pickles, too

    def _ended(self, task: int, future: Future[Any]) -> Ended:
        from distributed.scheduler import KilledWorker

        del self._in_flight[task]
        if future.cancelled():
            raise self._lost()
        error = future.exception()
        if isinstance(error, KilledWorker):
            error = TaskGivenUpError(error.allowed_failures + 1)
        return Ended(task, None if error else future.result(), error)


class TaskLink:
    """The way of a task, on a worker, to the process that submitted it."""

    def __init__(self, topic: str, task: int, resources: Mapping[str, float]) -> None:
        from distributed import get_worker

        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self._topic, self._task, self._resources = topic, task, resources

    @property
    def threads(self) -> int:
        """The threads of the worker for this task, if it runs as many such tasks at once as it can."""
        state = self._worker.state
        return max(1, state.nthreads // max(1, slots(state.nthreads, state.total_resources, self._resources)))

    @property
    def cancelled(self) -> bool:
        """Whether to stop: nobody waits for the result any more, or the worker shuts down."""
        from distributed.core import Status

        state = self._worker.state.tasks.get(self._key)
        working = self._worker.status in (Status.running, Status.paused, Status.closing_gracefully)
        return not working or state is None or state.state == "cancelled"

    def send(self, value: Any) -> None:
        """Send a value that can be pickled."""
        self._send(value, "")

    def ask(self, value: Any) -> Any:
        """Send a value, and wait for the answer.

        Errors: TaskCancelled if there will be none.
        """
        from distributed import get_client

        queue = _open_queue(f"{self._topic}-{uuid.uuid4().hex}", get_client())
        try:
            self._send(value, queue.name)
            pause_s = _SHORTEST_POLL_S
            while not queue.qsize():  # get() with a time limit would log each end of it as an error of the scheduler
                if self.cancelled:
                    raise TaskCancelled
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_POLL_S)
            return queue.get()
        finally:
            queue.close()

    def _send(self, value: Any, reply_to: str) -> None:
        self._worker.log_event(self._topic, (self._task, reply_to, pickle.dumps(value)))


def slots(threads: int, resources: Mapping[str, float], needed: Mapping[str, float]) -> int:
    """Return how many tasks a worker can run at once.

    >>> slots(8, {}, {}), slots(8, {"GPU": 2}, {"GPU": 1}), slots(8, {}, {"GPU": 1})
    (8, 2, 0)
    """
    return min([threads, *(int(resources.get(name, 0) // amount) for name, amount in needed.items())])


def _open_queue(name: str, client: Client) -> Queue:
    from distributed import Queue

    return Queue(name, client=client)


def _call(function: Callable[[Item, TaskLink], Any], version: str, item: Item, link: Callable[[], TaskLink]) -> Any:
    """Call a function on a worker, if it has the version of genrekit that submitted the task.

    Errors: GenrekitError with both versions; Reschedule if the worker shuts down, so that another one runs the task.
    """
    from distributed import Reschedule

    require_version(version)
    try:
        return function(item, link())
    except TaskCancelled:
        raise Reschedule from None
