"""How fast shuffled batches come out of a cache, beside an in-memory copy and beside decoding on the fly.

Usage: python benchmarks/batches.py FOLDER

FOLDER is a folder of genre folders with WAV files. Prints fragments per second for each way, and the ratios.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch

from genrekit.config import PrepareConfig
from genrekit.dataset.batches import FragmentSource, TrainingBatches
from genrekit.dataset.cache import Cache, open_cache
from genrekit.workflows.prepare import prepare

BATCH_SIZE = 32


def rate(batches: Callable[[], int]) -> float:
    """Fragments per second, after one warm-up."""
    batches()
    started = time.perf_counter()
    count = batches()
    return count / (time.perf_counter() - started)


def from_cache(cache: Cache) -> int:
    """Read one shuffled epoch from the cache."""
    source = FragmentSource(cache, "mel", [track.id for track in cache.tracks])
    data = TrainingBatches(source, source, batch_size=BATCH_SIZE, seed=0)
    return sum(len(inputs) for inputs, _ in data.train_batches(1))


def from_memory(mel: np.ndarray) -> int:
    """Read one shuffled epoch from an array in memory."""
    order = np.random.default_rng(0).permutation(len(mel))
    starts = range(0, len(mel), BATCH_SIZE)
    return sum(len(torch.from_numpy(mel[order[s : s + BATCH_SIZE]]).to(torch.float32)) for s in starts)


def on_the_fly(paths: list[Path]) -> int:
    """Decode and transform fragments one by one, as a dataset class without a cache does."""
    for path in paths:
        waveform, _ = librosa.load(path, sr=22_050, duration=5.0)
        power = librosa.feature.melspectrogram(y=waveform, sr=22_050, fmin=30.0)
        torch.from_numpy(librosa.power_to_db(power, ref=np.max))
    return len(paths)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "cache.h5"
        prepare(folder, PrepareConfig(), out=out)
        cache = open_cache(out)
        mel = np.array(cache.mel)
        cached, memory = rate(lambda: from_cache(cache)), rate(lambda: from_memory(mel))
    fly = rate(lambda: on_the_fly(sorted(folder.rglob("*.wav"))[:30]))
    print(f"from the cache {cached:,.0f}/s   from memory {memory:,.0f}/s   decoding on the fly {fly:,.0f}/s")
    print(f"cache / memory {cached / memory:.2f}   cache / on the fly {cached / fly:.0f}")


if __name__ == "__main__":
    main()
