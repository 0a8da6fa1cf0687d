"""What shuffled batches from a cache cost beside an in-memory copy, and beside decoding and transforming on the fly.

Usage: python benchmarks/batches.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; 100 of its tracks are prepared, or where it has
fewer, slower and quieter versions are made. Prints one table: what, ours, the peer's, their ratio (median of the
repeats, and the range), the bar, met or missed. Each figure is one epoch's time per fragment until it is a float32
tensor, after an epoch of warm-up, with one thread: mel [32, 128, 216] in [0, 1] or waveform [32, 110250] in [-1, 1].
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import librosa
import numpy as np
import torch
from measuring import Bench, Row, Sample, run_table

from genrekit._types import FloatArray
from genrekit.config import Stored
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.loader import FragmentSource, TrainingBatches
from genrekit.workflows.prepare import prepare

BATCH_SIZE = 32


@cache
def prepared(bench: Bench) -> Cache:
    """The cache of 100 tracks."""
    prepare(bench.tracks(bench.size(100)), out=bench.out("cache.h5"))
    return open_cache(bench.scratch / "cache.h5")


def microseconds(epoch: Callable[[], int]) -> float:
    """Time per fragment of an epoch, after a warm-up."""
    epoch()
    started = time.perf_counter()
    count = epoch()
    return 1e6 * (time.perf_counter() - started) / count


def from_cache(bench: Bench, kind: Stored) -> int:
    """Read one shuffled epoch from the cache."""
    source = FragmentSource(prepared(bench), kind, [track.id for track in prepared(bench).tracks])
    data = TrainingBatches(source, source, batch_size=BATCH_SIZE, seed=0)
    return sum(len(inputs) for inputs, _, _ in data.train_batches(1))


def from_memory(stored: FloatArray) -> int:
    """Read one shuffled epoch from an array in memory."""
    order = np.random.default_rng(0).permutation(len(stored))
    count = 0
    for start in range(0, len(stored), BATCH_SIZE):
        inputs = torch.from_numpy(stored[order[start : start + BATCH_SIZE]]).to(torch.float32)
        count += len(inputs if stored.dtype.kind == "f" else inputs.div_(32_767))
    return count


def on_the_fly(paths: list[Path]) -> int:
    """Decode and transform the first fragment of each file, as a dataset class without a cache does."""
    for path in paths:
        waveform, _ = librosa.load(path, sr=22_050, duration=5.0)
        power = librosa.feature.melspectrogram(y=waveform, sr=22_050, fmin=30.0)
        torch.from_numpy(librosa.power_to_db(power, ref=np.max) / 80 + 1)
    return len(paths)


def against_memory(bench: Bench, kind: Stored) -> Sample:
    """From the cache, and from a copy of it in memory."""
    stored = np.array(prepared(bench).tensor(kind))
    return Sample(microseconds(partial(from_cache, bench, kind)), microseconds(partial(from_memory, stored)))


def against_decoding(bench: Bench) -> Sample:
    """From the cache, and from the audio files."""
    paths = sorted(bench.tracks(bench.size(100)).rglob("*.wav"))
    return Sample(microseconds(partial(from_cache, bench, "mel")), microseconds(partial(on_the_fly, paths)))


ROWS = [
    Row(
        "mel",
        "mel batches from the cache against torch.from_numpy of a copy in memory",
        "us/fragment",
        "at least",
        0.5,
        partial(against_memory, kind="mel"),
    ),
    Row(
        "waveform",
        "waveform batches from the cache against torch.from_numpy of a copy in memory",
        "us/fragment",
        "at least",
        0.5,
        partial(against_memory, kind="waveform"),
    ),
    Row(
        "on-the-fly",
        "mel batches from the cache against decoding and transforming on the fly",
        "us/fragment",
        "at least",
        50,
        against_decoding,
    ),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    run_table(str(__doc__), ROWS)
