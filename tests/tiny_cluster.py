"""A dask scheduler and two workers as separate processes, each with its own temporary folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genrekit.config import EngineConfig

ROOT = Path(__file__).parents[1]

PATIENCE_S = 900.0
"""For a process that hangs; nothing else depends on it."""

REGISTERED = "Registered to:"
"""What a worker logs once the scheduler knows it."""


@dataclass
class TinyCluster:
    """The processes of a cluster, which tests may kill."""

    folder: Path
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def engine(self) -> EngineConfig:
        return EngineConfig(engine="dask", scheduler=self.address)

    def start_scheduler(self) -> None:
        file = self.folder / f"scheduler-{time.monotonic_ns()}.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        wait_until(lambda: file.exists() and '"address"' in file.read_text(), self.scheduler)
        self.address = next(
            line.split('"')[3] for line in file.read_text().splitlines() if line.strip().startswith('"address"')
        )

    def start_worker(
        self, *search_path: Path, options: tuple[str, ...] = (), restarts: bool = False, elsewhere: bool = False
    ) -> None:
        """Start a worker, which imports modules of a search path.

        It `restarts` after its process has died, if so. `elsewhere` makes it act as if it were on another host.
        """
        name = str(len(self.workers))
        folder = self.folder / f"worker-{name}"
        own: list[object] = ["--nthreads", "1", "--name", name, "--local-directory", folder]
        kind = "--nanny" if restarts else "--no-nanny"
        if elsewhere:
            own += ["--preload", ROOT / "tests" / "another_boot.py"]
        self.workers.append(self._start("worker", self.address, kind, *own, *options, search_path=search_path))

    def _start(self, *arguments: object, search_path: tuple[Path, ...] = ()) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (*search_path, ROOT))),
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.folder),
            "DASK_LOGGING__DISTRIBUTED": "info",
        }
        command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
        with open(self.folder / "cluster.log", "ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.workers, self.scheduler = [], None


def wait_until(there: Callable[[], bool], *running: subprocess.Popen[Any]) -> None:
    """Wait until a condition is true, while processes are running."""
    give_up = time.monotonic() + PATIENCE_S
    while not there():
        assert all(process.poll() is None for process in running), "a process has ended"
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.01)


@contextmanager
def tiny_cluster(folder: Path, workers: int = 2, elsewhere: int = 0) -> Iterator[TinyCluster]:
    """Run a cluster for the length of the block, which starts when the scheduler knows all workers.

    `elsewhere` of the workers act as if they were on another host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster = TinyCluster(folder)
    try:
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(elsewhere=number < elsewhere)
        log = folder / "cluster.log"
        wait_until(lambda: log.read_text().count(REGISTERED) >= workers, *cluster.workers)
        yield cluster
    finally:
        cluster.stop()
