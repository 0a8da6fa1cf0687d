"""Run tasks on a dask cluster: one whose scheduler runs already, or one that is started for the command."""

from __future__ import annotations

import logging
import pkgutil
import shlex
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genrekit._version import __version__
from genrekit.config import EngineConfig
from genrekit.engines.bounded import as_completed, in_order
from genrekit.engines.cluster_file import ClusterFile, read_cluster_file
from genrekit.engines.live_tasks import LiveTasks, slots
from genrekit.engines.remote import call, first_missing, other_version, this_process, unseen
from genrekit.errors import GenrekitError, UsageError, counted, missing_extra

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

ANSWER_S = 10.0
"""Seconds in which a scheduler must answer."""

FIRST_WORKER_S = 60.0
"""Seconds in which a scheduler that runs already must have a worker."""

TASKS_PER_THREAD = 2
"""Tasks in flight for each thread of the workers: one that runs, and one that waits."""

MEMORY_OF_WORKERS = (
    "possibly because memory ran out: start workers with more memory or fewer threads, then run the same command again "
    "to resume"
)

_REFRESH_S = 2.0
_CLOSE_S = 5.0


class DaskEngine:
    """The workers of a dask cluster. `open_dask` returns one.

    `most_workers` is the number to which the cluster grows if it has more tasks; 0 if it does not grow.
    """

    def __init__(self, client: Client, address: str, patience_s: float, most_workers: int = 0) -> None:
        self._client, self.address, self._patience_s, self._most_workers = client, address, patience_s, most_workers
        self._workers: Mapping[str, Mapping[str, Any]] = {}
        self._asked_at, self._last_worker_at = -_REFRESH_S, time.monotonic()

    def executor(self, **resources: float) -> Executor:
        """Return an executor; its tasks need these resources of a worker, such as `GPU=1`."""
        return self._client.get_executor(pure=False, **({"resources": resources} if resources else {}))

    def limit(self) -> int:
        """Return the number of tasks that may be in flight: a few for each thread of the workers.

        Errors: as those of `threads`.
        """
        return TASKS_PER_THREAD * max(1, self.threads())

    def threads(self) -> int:
        """Return the number of threads of all workers, as it was at most two seconds ago.

        Errors: GenrekitError if the scheduler is lost, or has had no worker for the time that a first one may take.
        """
        return sum(worker["nthreads"] for worker in self._known_workers().values())

    def slots(self, resources: Mapping[str, float]) -> int:
        """Return the number of tasks that need these resources of a worker and can run at once.

        A cluster that grows counts with its most workers.
        Errors: as those of `threads`.
        """
        each = [slots(item["nthreads"], item["resources"], resources) for item in self._known_workers().values()]
        return max(sum(each), self._most_workers * max(each, default=1))

    def require_resources(self, resources: Mapping[str, float]) -> None:
        """Make sure that a worker has these resources.

        Errors: GenrekitError with a command that starts such a worker; as those of `threads`.
        """
        if resources and not any(
            slots(item["nthreads"], item["resources"], resources) for item in self._known_workers().values()
        ):
            named = ",".join(f"{name}={amount:g}" for name, amount in resources.items())
            option = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
            raise GenrekitError(
                f"no worker of {self.address} has the resources {named}: start one with dask worker {self.address} "
                f"--resources {shlex.quote(option)}"
            )

    def _known_workers(self) -> Mapping[str, Mapping[str, Any]]:
        """The workers by their address, as they were at most two seconds ago.

        Errors: as those of `threads`.
        """
        if self._client.status != "running":
            raise self._lost()
        if time.monotonic() - self._asked_at > _REFRESH_S:
            try:
                self._workers = self._client.scheduler_info(n_workers=-1)["workers"]
            except OSError as error:
                raise self._lost() from error
            self._asked_at = time.monotonic()
            if self._workers:
                self._last_worker_at = self._asked_at
            elif self._asked_at - self._last_worker_at > self._patience_s:
                raise GenrekitError(
                    f"the dask scheduler at {self.address} has had no worker for {self._patience_s:g} s: start "
                    "workers, then run the same command again to resume"
                )
        return self._workers

    @contextmanager
    def live_tasks(self, resources: Mapping[str, float]) -> Iterator[LiveTasks]:
        """Yield tasks that send messages while they run; each needs these resources of a worker.

        Those that have not ended at the end of the block are cancelled.
        """
        tasks = LiveTasks(self._client, self.executor(**resources), resources, self._known_workers, self._lost)
        try:
            yield tasks
        finally:
            tasks.close()

    def as_completed(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        on_death: Callable[[Item, str], None] | None = None,
        *,
        at_once: int | None = None,
    ) -> Generator[tuple[Item, Result]]:
        """Call a function with each item on the workers; yield items and results as they are done.

        `on_death` is called with an item at which several workers died, and with a text that says so; other tasks may
        have caused it, unless `at_once`, the most tasks in flight, is 1.
        Errors: those of the function and of `on_death`; GenrekitError if the scheduler or all workers are lost, or if
        several workers died at one task and `on_death` is not given.
        """
        yield from self._run(as_completed, function, items, on_death, at_once)

    def in_order(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        on_death: Callable[[Item, str], None] | None = None,
    ) -> Generator[tuple[Item, Result]]:
        """Call a function with each item on the workers; yield items and results in the order of the items.

        Errors: as those of `as_completed`.
        """
        yield from self._run(in_order, function, items, on_death, None)

    def _run(
        self,
        run: Any,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        on_death: Callable[[Item, str], None] | None,
        at_once: int | None,
    ) -> Iterator[Any]:
        from distributed.scheduler import KilledWorker

        called = partial(call, function, __version__, this_process())
        try:
            with closing(
                run(self.executor(), called, items, lambda: min(self.limit(), at_once or sys.maxsize))
            ) as futures:
                for item, future in futures:
                    try:
                        result = future.result()
                    except KilledWorker as error:
                        (on_death or _give_up)(item, f"{counted(error.allowed_failures + 1, 'worker')} died")
                        continue
                    yield item, result
        except CancelledError as error:
            raise self._lost() from error

    def require_same_version(self) -> None:
        """Make sure that all workers have this version of genrekit.

        Errors: GenrekitError with the first worker that has another one, or none.
        """
        for worker, version in self._on_each_worker(pkgutil.resolve_name, "genrekit._version:__version__"):
            if isinstance(version, Exception):
                raise GenrekitError(
                    f"worker {worker} cannot import genrekit ({version}): install genrekit {__version__} there"
                )
            if version != __version__:
                raise other_version(worker, version)

    def require_seen(self, paths: Sequence[Path]) -> None:
        """Make sure that all workers see some paths.

        Errors: GenrekitError with the first worker and path.
        """
        for worker, missing in self._on_each_worker(first_missing, paths):
            if isinstance(missing, Exception):
                raise missing
            if missing is not None:
                raise unseen(worker, missing)

    def _on_each_worker(self, function: Callable[..., Any], *arguments: Any) -> list[tuple[str, Any]]:
        """Return what a function returns or raises on each worker, without those that are lost meanwhile."""
        outcomes = self._client.run(function, *arguments, on_error="return")
        answers = [item for item in outcomes.items() if not _is_lost(item[1])]
        return sorted(answers, key=lambda item: item[0])

    def _lost(self) -> GenrekitError:
        return GenrekitError(
            f"the connection to the dask scheduler at {self.address} was lost: start it and its workers again, then "
            "run the same command again to resume"
        )


@contextmanager
def open_dask(config: EngineConfig, on_note: Callable[[str], None] | None = None) -> Iterator[DaskEngine]:
    """Connect to a cluster, or start one, for the length of the block. All workers have this version of genrekit.

    `on_note` is called with a line before waiting for the first worker.
    Errors: GenrekitError if dask is not installed, the scheduler does not answer, no worker joins in time, or a worker
    has another version of genrekit; UsageError if the file of the cluster is not valid.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise missing_extra("--engine dask", "cluster", [error.name or "distributed"]) from error
    most_workers = 0
    with ExitStack() as stack:
        stack.enter_context(_errors_only_raised())
        if config.scheduler is not None:
            target, address, patience_s = config.scheduler, config.scheduler, FIRST_WORKER_S
        else:
            assert config.engine_config is not None
            file = read_cluster_file(config.engine_config)
            target = stack.enter_context(_started(file, config.engine_config))
            address, patience_s = target.scheduler_address, file.wait_s
            most_workers = (file.adapt or {}).get("maximum", 0)
        try:
            client = Client(target, timeout=ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise GenrekitError(
                f"no dask scheduler answers at {address} within {ANSWER_S:g} s: start one with dask scheduler, or "
                "correct --scheduler"
            ) from error
        stack.callback(client.close, timeout=_CLOSE_S)
        _wait_for_worker(client, address, patience_s, on_note)
        engine = DaskEngine(client, address, patience_s, most_workers)
        engine.require_same_version()
        yield engine


def _is_lost(outcome: object) -> bool:
    """Whether the scheduler could not reach a worker; errors of the worker's own files have a number."""
    return isinstance(outcome, OSError) and outcome.errno is None


@contextmanager
def _errors_only_raised() -> Iterator[None]:
    """Keep dask's client from also printing a traceback when it loses the scheduler."""
    logger = logging.getLogger("distributed.client")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _give_up(_item: object, deaths: str) -> None:
    raise GenrekitError(f"{deaths} while running a task, {MEMORY_OF_WORKERS}")


def _wait_for_worker(client: Client, address: str, patience_s: float, on_note: Callable[[str], None] | None) -> None:
    if client.nthreads():
        return
    if on_note is not None:
        on_note(f"waiting for a worker of the dask scheduler at {address}, at most {patience_s:g} s")
    try:
        client.wait_for_workers(1, timeout=patience_s)
    except TimeoutError as error:
        raise GenrekitError(
            f"no worker joined the dask scheduler at {address} within {patience_s:g} s: start one with "
            f"dask worker {address}, or see why the jobs of the workers do not start"
        ) from error


@contextmanager
def _started(file: ClusterFile, path: Path) -> Iterator[Any]:
    """Start a cluster, and stop it at the end of the block."""
    try:
        kind = getattr(import_module(file.module), file.cluster)
    except ModuleNotFoundError as error:
        if file.module == "dask_jobqueue":
            raise missing_extra(file.cluster, "cluster", ["dask-jobqueue"]) from error
        raise GenrekitError(f"{file.cluster} needs dask-kubernetes: pip install dask-kubernetes") from error
    options: dict[str, Any] = {"n_workers": file.workers or 0}
    if file.cluster == "LocalCluster":
        options |= {"threads_per_worker": 1, "dashboard_address": ":0"}
    try:
        cluster = kind(**{**options, **file.options})
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError if a worker that it starts refuses an option
        cause = error.__cause__ or error
        raise UsageError(f"{path}: {file.cluster} cannot be started with its options: {cause}") from error
    try:
        if file.adapt is not None:
            cluster.adapt(**file.adapt)
        yield cluster
    finally:
        cluster.close()
