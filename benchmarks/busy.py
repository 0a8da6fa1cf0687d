"""How much slower genrekit is beside one busy process than on free cores.

Usage: python benchmarks/busy.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN. Each row runs the same command alone and beside a
process that computes all the time. Unlike the other benchmarks, this one leaves the number of threads to genrekit.
With two cores the busy process takes a third of what both can do, so the best possible ratio lies between 1 and 1.5.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from measuring import ONE_THREAD, Bench, Row, Sample, run_table, seconds

GENREKIT = (sys.executable, "-m", "genrekit")

BUSY = "while True: pass"

STEPS = """
import os, statistics, sys, time
from genrekit.cli.threads import limit_spinning

limit_spinning()  # before torch is imported, as the command line does it

from genrekit.cli.app import run
from genrekit.training.trainer import Trainer

step, wanted, taken = Trainer._step, int(sys.argv[1]), []

def timed(*arguments):
    started = time.perf_counter()
    outcome = step(*arguments)
    taken.append(time.perf_counter() - started)
    if len(taken) == wanted + 5:
        print(statistics.median(taken[5:]), flush=True)
        os._exit(0)
    return outcome

Trainer._step = timed
sys.exit(run(sys.argv[2:]) or 1)
"""
"""A training that prints the median time of its steps, without the first five, and ends."""


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy during the block."""
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        try:
            yield
        finally:
            process.kill()


SPINNING = {"GOMP_SPINCOUNT": "300000"}
"""How OpenMP threads wait for each other if nobody sets anything: they spin."""


def environment(**more: str) -> dict[str, str]:
    """The environment without the benchmarks' limits on threads."""
    return {name: value for name, value in os.environ.items() if name not in ONE_THREAD} | more


def step_seconds(cache: Path, options: Sequence[str], steps: int, **variables: str) -> float:
    """Median time of a training step of `genrekit train` with these options and environment variables."""
    command = [sys.executable, "-c", STEPS, str(steps), "train", "--cache", str(cache), *options]
    command += ["--wandb", "off", "--device", "cpu", "--quiet", "--split", "track", "--epochs", "200"]
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        command += ["--out", f"{folder}/run"]
        done = subprocess.run(command, env=environment(**variables), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def demo_seconds(bench: Bench, **variables: str) -> float:
    """Time of the demo with these environment variables."""
    return seconds((*GENREKIT, "demo", bench.scratch / "demo", "--quiet"), environment(**variables))


def demo_busy(bench: Bench) -> Sample:
    """The demo beside a busy process, and alone."""
    alone = demo_seconds(bench)
    with busy_process():
        return Sample(demo_seconds(bench), alone)


def demo_free(bench: Bench) -> Sample:
    """The demo on free cores, and the same with threads that spin."""
    return Sample(demo_seconds(bench), demo_seconds(bench, **SPINNING))


def step_busy(bench: Bench, *options: str) -> Sample:
    """A training step beside a busy process, and alone; in milliseconds."""
    cache, steps = small_cache(bench), 5 if bench.quick else 60
    alone = step_seconds(cache, options, steps)
    with busy_process():
        return Sample(1_000 * step_seconds(cache, options, steps), 1_000 * alone)


def step_free(bench: Bench, *options: str) -> Sample:
    """A training step on free cores, and the same with threads that spin; in milliseconds."""
    cache, steps = small_cache(bench), 5 if bench.quick else 60
    ours = step_seconds(cache, options, steps)
    return Sample(1_000 * ours, 1_000 * step_seconds(cache, options, steps, **SPINNING))


def small_cache(bench: Bench) -> Path:
    """A cache of sixty tracks, made once."""
    cache = bench.scratch / "busy.h5"
    if not cache.exists():
        seconds((*GENREKIT, "prepare", bench.tracks(60), "--out", cache, "--store", "mel", "--quiet"))
    return cache


MLP = ("--arch", "mlp")

ROWS = (
    Row("demo", "the demo beside a busy process, against alone", "s", "at most", 2.5, demo_busy),
    Row("step", "a step of the default network beside a busy process, against alone", "ms", "at most", 2.5, step_busy),
    Row(
        "small",
        "a step of a perceptron beside a busy process, against alone",
        "ms",
        "at most",
        2.5,
        lambda bench: step_busy(bench, *MLP),
    ),
    Row("demo-free", "the demo on free cores, against threads that spin", "s", "at most", 1.05, demo_free),
    Row("step-free", "a step of the default network, against threads that spin", "ms", "at most", 1.05, step_free),
    Row(
        "small-free",
        "a step of a perceptron, against threads that spin",
        "ms",
        "at most",
        1.05,
        lambda bench: step_free(bench, *MLP),
    ),
)

if __name__ == "__main__":
    run_table(__doc__, ROWS)
