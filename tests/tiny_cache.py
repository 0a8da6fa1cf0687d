"""Building and reading caches that are small enough for a test."""

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genrekit.config import FeatureConfig, PrepareConfig
from genrekit.data.cache.builder import Build, build_cache
from genrekit.data.cache.executors import LocalWorkers
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.shards import shards_folder
from genrekit.data.collection import scan_folder
from genrekit.errors import GenrekitError

SMALL = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)
PLAIN = PrepareConfig(front_end=SMALL)
AUGMENTED = PrepareConfig.of({"front_end": SMALL.model_dump(), "augmentation": {"augment": True}})


def one_thread() -> Executor:
    return ThreadPoolExecutor(1)


def build(folder: Path, out: Path, config: PrepareConfig = PLAIN, **options: Any) -> Build:
    workers = LocalWorkers(options.pop("executor", one_thread), config)
    return build_cache(scan_folder(folder), config, out, workers, **options)


def finished_tracks(out: Path) -> int:
    """Return the number of tracks that an interrupted command has finished, in its file and in blocks of workers."""
    files = [out.with_name(out.name + ".partial"), *shards_folder(out).glob("block-*.h5")]
    done = set[str]()
    for file in files:
        with suppress(GenrekitError, OSError):  # it does not exist yet, or was merged meanwhile
            done |= {track.id for track in open_cache(file, unfinished=True).tracks if track.done}
    return len(done)


def content(path: Path) -> dict[str, Any]:
    """Return every dataset of a cache."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def assert_equal_content(first: Path, second: Path) -> None:
    """Require that two caches have the same datasets."""
    left, right = content(first), content(second)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
