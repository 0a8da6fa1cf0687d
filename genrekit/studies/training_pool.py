"""Where the runs of a study or a search are trained: on this machine, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from genrekit.config import TrainingEngineConfig
from genrekit.data.cache.side_files import any_elsewhere
from genrekit.engines.dask_engine import DaskEngine, open_dask
from genrekit.engines.remote import shared_token
from genrekit.errors import GenrekitError, counted, few, is_or_are
from genrekit.studies.cluster_pool import train_on_cluster
from genrekit.studies.worker_pool import Conditions, Job, Watcher, local_architectures, train_jobs, usable_workers
from genrekit.workflows.reporter import Reporter

NextJob = Callable[[], Job | None]


class TrainingPool(Protocol):
    """Trains jobs. `workers_here` is the number of runs at a time on this machine; None if they run elsewhere."""

    workers_here: int | None

    def train(
        self, next_job: NextJob, conditions: Conditions, watcher: Watcher, count: int | None = None
    ) -> dict[str, str]:
        """Train the jobs that `next_job` returns, at most `count` if that is known. See `train_jobs`."""


@contextmanager
def open_pool(engine: TrainingEngineConfig, workers: int | None, reporter: Reporter) -> Iterator[TrainingPool]:
    """Yield the pool of an engine, with at most `workers` runs at a time. A cluster is only used if there is a job."""
    if engine.local:
        yield LocalPool(workers or 1, reporter)
        return
    with ExitStack() as stack:
        yield _ClusterPool(engine, workers, stack, reporter)


class LocalPool:
    """Trains jobs in this process, or in worker processes on this machine."""

    def __init__(self, workers: int, reporter: Reporter) -> None:
        self.workers_here: int | None = workers
        self._workers, self._reporter = workers, reporter

    def train(
        self, next_job: NextJob, conditions: Conditions, watcher: Watcher, count: int | None = None
    ) -> dict[str, str]:
        """Train the jobs. See `TrainingPool`."""
        workers = self._workers if count is None else min(self._workers, count)
        return train_jobs(next_job, conditions, workers=usable_workers(workers, self._reporter), watcher=watcher)


class _ClusterPool:
    def __init__(self, engine: TrainingEngineConfig, workers: int | None, stack: ExitStack, reporter: Reporter) -> None:
        self.workers_here: int | None = None
        self._engine, self._workers, self._stack, self._reporter = engine, workers, stack, reporter
        self._dask: DaskEngine | None = None

    def train(
        self,
        next_job: NextJob,
        conditions: Conditions,
        watcher: Watcher,
        count: int | None = None,  # noqa: ARG002 - part of the interface
    ) -> dict[str, str]:
        first = next_job()
        if first is None:
            return {}
        dask = self._open()
        _require_shared(dask, first.run.parent, conditions)
        waiting, resources = [first], self._engine.needed

        def limit() -> int:
            return self._workers or max(1, dask.slots(resources))  # also if all workers are lost for now

        more = "" if self._workers else "; more if workers join"
        self._reporter.note(f"up to {counted(limit(), 'run')} at a time on {dask.address}{more}")
        return train_on_cluster(
            lambda: waiting.pop() if waiting else next_job(),
            conditions,
            dask,
            limit=limit,
            resources=resources,
            watcher=watcher,
        )

    def _open(self) -> DaskEngine:
        """Connect to the cluster, once.

        Errors: those of `open_dask`; GenrekitError if no worker has the resources, or an architecture only exists in
        this process.
        """
        if self._dask is None:
            if local := local_architectures():
                raise GenrekitError(
                    f"{few(local)} {is_or_are(len(local))} defined in the script that runs, which workers do not "
                    "import: define architectures in a module that is installed on all hosts"
                )
            dask = self._stack.enter_context(open_dask(self._engine, self._reporter.note))
            dask.require_resources(self._engine.needed)
            self._dask = dask
        return self._dask


def _require_shared(dask: DaskEngine, runs: Path, conditions: Conditions) -> None:
    """Make sure that all workers see the cache and the folders that runs are written to.

    Errors: GenrekitError with the first worker and path.
    """
    cache = conditions.cache.absolute()
    folders = [runs.absolute()]
    if conditions.best_models is not None:
        folders.append(conditions.best_models.absolute())
    if any_elsewhere(cache):
        folders.append(Path.cwd())
    with ExitStack() as stack:
        dask.require_seen([cache, *(stack.enter_context(shared_token(folder)) for folder in folders)])
