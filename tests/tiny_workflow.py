"""A study file, a cache to train its runs from, and a reporter that records events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tiny_cache import PLAIN, build
from tiny_music import write_collection

from genrekit.workflows.reporter import Reporter, RunProgress

STUDY = """format_version = 1
title = "Tiny"
question = "Which is better?"
[base]
arch = "cel"
channels = [4]
center = false
downsample = [1, 1]
pool = "flatten"
sched = "none"
mixup = 0.0
epochs = 2
patience = 0
monitor = "loss"
batch_size = 8
[axes.rate]
slow = { lr = 1e-4 }
fast = { lr = 1e-2 }
[[hypotheses]]
text = "fast is better"
comparisons = [{ statistic = "accuracy", higher = "fast", lower = "slow" }]
"""

SEARCH = """title = "Tiny"
question = "Which rate?"
trials = 5
finalists = 2
seeds = 2
startup = 2
prune_after = 1
sampler = "random"
sampler_seed = 59
objective = "loss"
[base]
arch = "cel"
center = false
downsample = [1, 1]
pool = "flatten"
sched = "none"
mixup = 0.0
epochs = 3
patience = 0
monitor = "loss"
batch_size = 8
[space]
lr = { choices = [1e-2, 3e-2, 1e-7] }
channels = { choices = [[4], [2]] }
"""
"""Seed 59 draws two rates that learn, then twice the one that does not, then one that does."""


def two_genres(folder: Path, *, other: str = "b") -> Path:
    """Prepare 12 tracks of each of two genres, a and another, two fragments each."""
    write_collection(folder / "music", {"a": 12, other: 12}, duration_s=1.1, sample_rate=8_000)
    build(folder / "music", folder / "cache.h5", PLAIN)
    return folder / "cache.h5"


class EventLog(Reporter):
    """A reporter that records events, and can stop a run."""

    def __init__(self, stop: Callable[[RunProgress], bool] = lambda _: False) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.states: list[tuple[str, ...]] = []
        self._stop = stop

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def runs(self, runs: Sequence[RunProgress]) -> None:
        self.states.append(tuple(run.state for run in runs))
        if any(map(self._stop, runs)):
            raise KeyboardInterrupt
