"""What a training epoch takes in two processes, compared with one process with two threads.

Usage: python benchmarks/ranks.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; 100 of its tracks are prepared. torchrun starts the
two processes, each with one thread, and they exchange gradients with gloo. Each figure is the shortest epoch of a run,
without the first. The training losses of the first epoch must agree; later ones differ by rounding.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from batches import prepared
from measuring import Bench, Row, Sample, run_table, seconds

from genrekit.workflows.runs import read_history

EPOCHS = 4
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(bench: Bench, options: tuple[str, ...], launcher: tuple[str, ...], threads: int) -> tuple[float, float]:
    """Train; return the time of the fastest epoch and the training loss of the first one."""
    out: Path = bench.scratch / "run"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["-m", "genrekit", "train", "--cache", prepared(bench).path, "--out", out, "--wandb", "off", "--quiet"]
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    best = ("--best-models", str(bench.scratch / "best"))
    seconds([*launcher, *arguments, *best, "--epochs", EPOCHS, *options], {**os.environ, **limits})
    history = read_history(out / "history.csv")
    return min(epoch.seconds for epoch in history[1:]), history[0].train_loss


def network(bench: Bench, *options: str) -> Sample:
    """Train a network both ways."""
    alone, loss = run(bench, options, (sys.executable,), 2)
    shared, other = run(bench, options, TORCHRUN, 1)
    return Sample(shared, alone, "" if abs(loss - other) < 1e-4 * abs(loss) else f"losses {loss:.6f} and {other:.6f}")


ROWS = [
    Row("default", "an epoch of the default network in two processes", "s", "at most", 1.2, network),
    Row(
        "flat",
        "an epoch of cel3 with three blocks at full resolution in two processes",
        "s",
        "at most",
        1.2,
        lambda bench: network(
            bench, "--arch", "cel3", "--channels", "16,32,64", "--downsample", "1,1", "--pool", "flatten"
        ),
    ),
]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
