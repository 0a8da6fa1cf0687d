"""What a study costs: eight small runs with two workers against one after another, and above the bare trainings.

Usage: python benchmarks/compare.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN. Both rows alternate ours and the peer's in each
repeat. Prints one table: what, ours, the peer's, their ratio (median of the repeats, and the range), the bar, met or
missed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measuring import Bench, Row, Sample, run_table, seconds

TRACKS = 100
EPOCHS = 8
RATES = [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2]

STUDY = """format_version = 1
title = "Eight small runs"
question = "What does a study cost?"
[base]
arch = "cel"
channels = [8, 16, 32]
epochs = {epochs}
patience = 0
[grid]
lr = {rates}
"""

BARE = """
import sys
import torch
from genrekit.studies.study_files import open_study, study_configurations
from genrekit.workflows.train import train

cache, study, runs, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
for configuration in study_configurations(open_study(study)):
    values = configuration.train_config(0, device="cpu").model_dump(mode="json")
    train(cache, values, out=f"{runs}/{configuration.name}", best_models=f"{runs}-best")
"""
"""The same trainings one after another in one process, with no study around them."""

LIMITED = """
import sys
import torch
torch.set_num_threads(int(sys.argv.pop(1)))
from genrekit.cli.app import run
sys.exit(run(sys.argv[1:]))
"""
"""A command of genrekit's with a number of threads; workers have their own."""


def prepared(bench: Bench) -> tuple[Path, Path]:
    """The cache and the study file, made once."""
    cache, study = bench.scratch / "mel.h5", bench.scratch / "eight.toml"
    if not cache.exists():
        folder = bench.tracks(TRACKS if not bench.quick else 20)
        options = ("--out", cache, "--store", "mel", "--quiet")
        seconds([sys.executable, "-m", "genrekit", "prepare", folder, *options])
    study.write_text(
        STUDY.format(epochs=1, rates=RATES[:2]) if bench.quick else STUDY.format(epochs=EPOCHS, rates=RATES)
    )
    return cache, study


def of_study(bench: Bench, workers: int, threads: int) -> float:
    """Seconds of the whole command, from nothing to the report."""
    cache, study = prepared(bench)
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        where = ("--runs", f"{folder}/runs", "--reports", f"{folder}/reports", "--best-models", f"{folder}/best")
        options = ("--cache", cache, "--seeds", 1, "--workers", workers, "--device", "cpu", "--quiet", *where)
        return seconds([sys.executable, "-c", LIMITED, threads, "study", "run", study, *options])


def bare(bench: Bench, threads: int) -> float:
    """Seconds of the bare trainings, one after another."""
    cache, study = prepared(bench)
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        return seconds([sys.executable, "-c", BARE, cache, study, f"{folder}/runs", threads])


def side_by_side(bench: Bench) -> Sample:
    """A study with two workers against the bare trainings with one or two threads, whichever is faster."""
    ours = of_study(bench, workers=2, threads=1)
    return Sample(ours, min(bare(bench, threads) for threads in (1, 2)))


def overhead(bench: Bench) -> Sample:
    """A study with one worker and one thread against the bare trainings with one thread."""
    return Sample(of_study(bench, workers=1, threads=1), bare(bench, threads=1))


ROWS = [
    Row("workers", "eight runs, two workers, against one after another", "s", "at most", 0.75, side_by_side),
    Row("overhead", "a study with its report against its bare trainings", "s", "at most", 1.03, overhead),
]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
