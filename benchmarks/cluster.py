"""What a cluster costs beside one machine: prepare on dask, merging shards, and many tasks in flight.

Usage: python benchmarks/cluster.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, as for benchmarks/prepare.py. The dask scheduler and its two workers
are processes of this machine that run already when a measurement starts, as on a cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measuring import ONE_THREAD, Bench, Row, Sample, process_megabytes, run_table, seconds
from prepare import copy_to_disk, prepare

from genrekit.config import EngineConfig, PrepareConfig
from genrekit.data.cache.planning import plan_cache
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.reuse import KnownTracks, lay_out
from genrekit.data.cache.rows import flushed_file
from genrekit.data.cache.shards import open_numbered_shards, shards_folder
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.collection import scan_folder
from genrekit.engines.dask_engine import open_dask
from genrekit.workflows.prepare_cluster import cut_blocks

SHARDS = 16
TRACKS = 100_000


@contextmanager
def cluster(scratch: Path) -> Iterator[tuple[str, int]]:
    """Run a scheduler and two workers; yield the scheduler's address and process ID."""
    file = scratch / "scheduler.json"
    file.unlink(missing_ok=True)
    environment = {**os.environ, **ONE_THREAD, "DASK_LOGGING__DISTRIBUTED": "critical"}
    dask = [sys.executable, "-m", "dask"]
    start = partial(subprocess.Popen, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = ["--no-dashboard", "--scheduler-file", str(file)]
    processes = [start([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *options])]
    try:
        while not file.exists() or '"address"' not in file.read_text():
            time.sleep(0.05)
        worker = ["worker", "--no-nanny", "--nthreads", "1", "--local-directory", str(scratch / "dask"), *options]
        processes += [start([*dask, *worker]) for _ in range(2)]
        address = next(line.split('"')[3] for line in file.read_text().splitlines() if '"address"' in line)
        with open_dask(EngineConfig(engine="dask", scheduler=address)) as engine:
            while engine.threads() < 2:
                time.sleep(0.1)
            list(engine.as_completed(warm, range(8)))
        yield address, processes[0].pid
    finally:
        for process in processes:
            process.kill()
            process.wait()


def warm(_: int) -> None:
    """Import and compute what a worker needs, as workers have that ran before."""
    import genrekit.workflows.prepare_cluster
    from genrekit.data.cache.rows import warm_up

    assert genrekit
    warm_up(PrepareConfig())
    time.sleep(0.2)


def on_dask(bench: Bench) -> Sample:
    """Seconds of preparing 400 tracks on two dask workers, and on two local ones."""
    folder = bench.tracks(bench.size(400))
    with cluster(bench.scratch) as (address, _):
        ours = seconds(prepare(folder, bench.out("ours.h5"), 2, "--engine", "dask", "--scheduler", address))
    return Sample(ours, seconds(prepare(folder, bench.out("peer.h5"), 2)))


def merge(bench: Bench) -> Sample:
    """Seconds of copying the rows of 16 shards into a cache on the disk, and of copying as many bytes once."""
    folder, out, config = bench.tracks(bench.size(400)), bench.scratch / "parts.h5", PrepareConfig()
    shards = bench.size(SHARDS)
    if not shards_folder(out).exists():
        for number in range(1, shards + 1):
            seconds(prepare(folder, out, 2, "--shard", f"{number}/{shards}"))
    collection, target = scan_folder(folder), bench.out("merged.h5")
    started = time.perf_counter()
    parts = open_numbered_shards(collection, collection.tracks, config, shards_folder(out))
    known = KnownTracks.of(collection, SourceCheck(), *parts)
    lay_out(plan_cache(collection, config, known), target, known)
    with flushed_file(target):
        pass
    ours = time.perf_counter() - started
    damaged = len(open_cache(target, unfinished=True).damaged_rows())
    return Sample(ours, copy_to_disk(target, bench.out("copy.h5")), f"{damaged} damaged rows" if damaged else "")


def of_tracks(bench: Bench) -> Sample:
    """Megabytes of the scheduler late and early in a collection, whose blocks of tracks are tasks that sleep."""
    return scheduler_memory(bench, [0.0002 * len(block) for block in cut_blocks(range(bench.size(TRACKS)), 2)])


def of_tasks(bench: Bench) -> Sample:
    """Megabytes of the scheduler late and early in many tasks."""
    return scheduler_memory(bench, [0.001] * bench.size(TRACKS))


def scheduler_memory(bench: Bench, sleeps_s: Sequence[float]) -> Sample:
    """Megabytes of the scheduler during the last tenth of tasks that sleep, and during the second tenth."""
    tasks, tenths = len(sleeps_s), [0.0] * 10
    with cluster(bench.scratch) as (address, pid), open_dask(EngineConfig(engine="dask", scheduler=address)) as engine:
        taken = 0

        def items() -> Iterator[float]:
            nonlocal taken
            for sleep_s in sleeps_s:
                taken += 1
                yield sleep_s

        most = 0
        for done, _ in enumerate(engine.as_completed(time.sleep, items())):
            most = max(most, taken - done)
            if done % max(1, tasks // 1_000) == 0:
                tenth = 10 * done // tasks
                tenths[tenth] = max(tenths[tenth], process_megabytes(pid))
    return Sample(tenths[-1], tenths[1], f"{most} tasks in flight" if most > 16 else "")


ROWS = [
    Row("dask", "prepare 400 tracks on two dask workers against two local ones", "s", "at most", 1.15, on_dask),
    Row("merge", "copying the rows of 16 shards against copying as many bytes once", "s", "at most", 1.2, merge),
    Row("in-flight", "the scheduler's memory late in 100,000 tracks against early", "MB", "at most", 1.1, of_tracks),
    Row("tasks", "the scheduler's memory late in 100,000 tasks against early", "MB", "at most", 1.1, of_tasks),
]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
