"""Worker processes that depend on neither the caller's script nor the current folder.

multiprocessing imports the caller's script in each worker, so a script without `if __name__ == "__main__":` would start
itself again. Its workers and helper processes also look for modules in the current folder first, so a file `signal.py`
beside the music would run. Workers from this module do neither. They look for modules where Python does by default, and
last in the other folders of the caller's `sys.path`.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_PACKAGE = Path(__file__).resolve().parents[1]
_PROGRAM = Path(__file__).resolve().with_name("worker_main.py")


class WorkerProcess:
    """A Python process that calls `target(connection, *arguments)`, where `connection` leads to this object's.

    The process inherits no open file, lock or thread. It ignores Ctrl-C and SIGUSR1, because the parent handles them,
    and exits if the parent is killed. `target` and `arguments` are pickled, so they must come from modules that can be
    imported.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.connection, other_end = Pipe()
        command = [sys.executable, *_interpreter_flags(), str(_PROGRAM)]
        descriptor = other_end.fileno()
        with other_end, _shared_signals_blocked():
            self._process = subprocess.Popen(  # noqa: S603 - this Python, with a file of genrekit
                command,
                stdin=subprocess.PIPE,
                pass_fds=[descriptor],
                bufsize=0,
            )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        with suppress(OSError):  # it has died, which the next receive notices
            self._stdin.write(str(descriptor).encode())
            send(self.connection, (str(_PACKAGE), [folder or str(Path.cwd()) for folder in sys.path]))
            send(self.connection, (target, arguments))

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> int:
        """Close the connection, wait until the process has ended, and return its exit code: below 0 for a signal."""
        self.connection.close()
        code = self._process.wait()
        self._stdin.close()
        return code


class ProcessPool(ThreadPoolExecutor):
    """An executor whose calls run in worker processes. Each process belongs to a thread that waits for its results.

    `kill` ends the processes at once. Calls that were running then raise BrokenProcessPool, as after a process died.
    """

    def __init__(self, workers: int, initializer: Callable[[], None] | None = None) -> None:
        super().__init__(workers)
        self._begin = initializer
        self._own, self._lock = threading.local(), threading.Lock()
        self._started: list[WorkerProcess] = []
        self._killed = False

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Call a function in a worker process."""
        return super().submit(self._call, fn, args, kwargs)

    def _call(self, function: Callable[..., Result], args: Any, kwargs: Any) -> Result:
        worker = self._worker()
        try:
            send(worker.connection, (function, args, kwargs))
            done, value = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise BrokenProcessPool("a worker process died") from error
        if not done:
            raise value
        result: Result = value
        return result

    def _worker(self) -> WorkerProcess:
        """Return the process of this thread, and start it if necessary."""
        worker: WorkerProcess | None = getattr(self._own, "worker", None)
        if worker is None:
            with self._lock:
                if self._killed:
                    raise BrokenProcessPool("the worker processes were ended")
                worker = WorkerProcess(_answer_calls, self._begin)
                self._started.append(worker)
            self._own.worker = worker
        return worker

    def kill(self) -> None:
        """End the worker processes without waiting for their calls, and cancel calls that have not started."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._killed = True
            for worker in self._started:
                worker.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Start no more calls. With `wait`, return when all calls and processes have ended."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for worker in self._started:
                worker.close()


def send(connection: Connection, value: Any) -> None:
    """Send a pickled value, which `Connection.recv` receives.

    `Connection.send` would pass tensors as descriptors of shared memory, which needs helper processes of
    multiprocessing.
    """
    connection.send_bytes(pickle.dumps(value))


def _answer_calls(connection: Connection, begin: Callable[[], None] | None) -> None:
    """Call the functions that arrive and send back what they return or raise, until the connection closes."""
    if begin is not None:
        begin()
    with suppress(EOFError, ConnectionError):
        while True:
            function, args, kwargs = connection.recv()
            try:
                answer = (True, function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - the parent raises it
                answer = (False, _with_traceback(error))
            send(connection, answer)


def _with_traceback(error: Exception) -> Exception:
    """Return an error that can be sent, with the traceback of this process as a note."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"\nIn the worker process:\n{text}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own error
    except Exception:  # noqa: BLE001 - exceptions may raise anything when they are pickled
        return RuntimeError(f"an error in a worker process:\n{text}")
    return error


def _interpreter_flags() -> list[str]:
    """The flags that keep modules of the current folder and of the script out, and those that this process has."""
    flags = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return ["-P", *(flag for flag, given in flags.items() if given)]


@contextmanager
def _shared_signals_blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGUSR1 in this thread, and so in a process that it starts, until that ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGUSR1])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
