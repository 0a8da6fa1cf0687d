"""The descriptors of a cache's original fragments, computed once and stored in a file beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genrekit._types import FloatArray
from genrekit.audio.mel_descriptors import N_STATISTICS, STATISTICS_VERSION, mel_statistics
from genrekit.data.cache.reader import Cache
from genrekit.data.cache.side_files import stored, to_write
from genrekit.io.arrays import read_arrays
from genrekit.io.files import atomic_write

FORMAT_VERSION = 1

_NAME = "statistics.npz"
_BLOCK = 64


def statistics_path(cache: Cache) -> Path:
    """Return the file for a cache's statistics."""
    return to_write(cache, _NAME)


def original_statistics(cache: Cache, on_progress: Callable[[int, int], None] | None = None) -> FloatArray:
    """Return the statistics of all original fragments in the order of the cache: float32 [N, N_STATISTICS].

    They are read from the file if it was made from this cache. Otherwise they are computed and stored; if that is not
    possible, they are computed again next time. `on_progress` is called with the number of fragments done and of all.
    Errors: IncompatibleCacheError if the cache has no mel spectrograms.
    """
    mels = cache.tensor("mel")
    rows = np.flatnonzero(cache.variant == 0)
    key = cache.content_key(str(STATISTICS_VERSION))
    kept = _read(stored(cache, _NAME), key, len(rows))
    if kept is not None:
        return kept
    blocks, report = [], on_progress or (lambda *_: None)
    report(0, len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        blocks.append(mel_statistics(mels[block].astype(np.float32), cache.config.front_end))
        report(start + len(block), len(rows))
    statistics = np.concatenate(blocks)
    with contextlib.suppress(OSError), atomic_write(statistics_path(cache)) as file:
        np.savez(file, version=np.int64(FORMAT_VERSION), key=np.array(key), statistics=statistics)
    return statistics


def _read(path: Path, key: str, n_rows: int) -> FloatArray | None:
    """Return the stored statistics, or None if there are none of this cache."""
    arrays = read_arrays(path, FORMAT_VERSION, {"statistics": ("f4", (n_rows, N_STATISTICS))}, key)
    return None if arrays is None else arrays["statistics"]
