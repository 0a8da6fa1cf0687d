"""The statistics of a cache's original fragments, computed once and kept in a file beside it."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genrekit._types import FloatArray
from genrekit.audio.mel_descriptors import N_STATISTICS, STATISTICS_VERSION, mel_statistics
from genrekit.data.cache.reader import Cache
from genrekit.io.files import atomic_write

FORMAT_VERSION = 1

_BLOCK = 64


def statistics_path(cache: Cache) -> Path:
    """Where a cache's statistics are kept."""
    return cache.path.with_name(f"{cache.path.stem}.statistics.npz")


def original_statistics(cache: Cache, on_progress: Callable[[int, int], None] | None = None) -> FloatArray:
    """The statistics of all original fragments, in the cache's order: float32 [N, N_STATISTICS].

    They are read from the file if it is of this cache's content, else computed and kept. A file that cannot be read
    or written is no hindrance: it only saves time. While they are computed, `on_progress` hears how many fragments are
    done, and of how many.
    Errors: IncompatibleCacheError where the cache holds no mel spectrograms.
    """
    mels = cache.tensor("mel")
    rows = np.flatnonzero(cache.variant == 0)
    key = cache.content_key(str(STATISTICS_VERSION))
    kept = _read(statistics_path(cache), key, len(rows))
    if kept is not None:
        return kept
    found, tell = [], on_progress or (lambda *_: None)
    tell(0, len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        found.append(mel_statistics(mels[block].astype(np.float32), cache.config.front_end))
        tell(start + len(block), len(rows))
    statistics = np.concatenate(found)
    with contextlib.suppress(OSError), atomic_write(statistics_path(cache)) as file:
        np.savez(file, version=np.int64(FORMAT_VERSION), key=np.array(key), statistics=statistics)
    return statistics


def _read(path: Path, key: str, n_rows: int) -> FloatArray | None:
    """The kept statistics; None where there are none of this content."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            if int(file["version"]) != FORMAT_VERSION or str(file["key"]) != key:
                return None
            statistics: FloatArray = file["statistics"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    fits = statistics.shape == (n_rows, N_STATISTICS) and statistics.dtype == np.float32
    return statistics if fits else None
