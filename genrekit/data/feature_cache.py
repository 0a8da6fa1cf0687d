"""The features of a cache's original fragments from a pretrained network, computed once and stored beside the cache.

Blocks of fragments are computed in parallel and stored one by one, so a computation that was stopped resumes after its
last complete blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.audio.transform import FULL_SCALE
from genrekit.data.cache.executors import available_cores, open_executor
from genrekit.data.cache.reader import Cache
from genrekit.data.features import Features
from genrekit.errors import GenrekitError
from genrekit.io.files import atomic_write, cannot, exclusive_lock, new_file
from genrekit.io.regular_files import open_regular
from genrekit.io.tensors import DAMAGES, metadata_of, read_tensors, write_tensors

FORMAT_VERSION = 2
"""Version 2 has a digest of the file's name and the features."""

_BLOCK = 64
"""Fragments per block."""

_BLOCKS_PER_PROCESS = 4
"""Fewer blocks are not worth the start of another process, which imports torch."""

_SHOWN = 12
"""Digits of a digest in a file name."""


def features_folder(cache: Cache) -> Path:
    """Return the folder for a cache's features: one file per network."""
    return cache.path.with_name(f"{cache.path.stem}.features")


def original_features(
    cache: Cache,
    extractor: Features,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> FloatArray:
    """Return the features of all original fragments in the order of the cache: float32 [N, dimension].

    They are read from their file if it was made from this cache with this network. Otherwise they are computed and
    stored, and files of an older cache are removed. If several processes need them at once, one computes them and the
    others wait. `on_progress` is called with the number of fragments done and of all.
    Errors: IncompatibleCacheError if the cache has no waveforms, GenrekitError if the network cannot be used or a file
    not be written.
    """
    cache.tensor("waveform")
    rows = np.flatnonzero(cache.variant == 0)
    content = cache.content_key(f"features {FORMAT_VERSION}")[:_SHOWN]
    folder = features_folder(cache)
    path = folder / f"{content}-{extractor.name}-{extractor.digest}.safetensors"
    shape = (len(rows), extractor.dimension)
    kept = _read(path, shape)
    if kept is not None:
        return kept
    try:
        with exclusive_lock(folder / ".lock", f"cannot store features in {folder}", wait=True):
            kept = _read(path, shape)
            if kept is None:
                _remove_older(folder, content)
                kept = _compute(cache, rows, extractor, path.with_suffix(".blocks"), on_progress, workers)
                _write(path, kept)
                shutil.rmtree(path.with_suffix(".blocks"), ignore_errors=True)
    except OSError as error:
        raise cannot("store features in", folder, error) from error
    return kept


def _write(path: Path, features: FloatArray) -> None:
    """Write the file of features. At every moment, it is absent or complete."""
    with new_file(path) as new:
        header = {"format_version": FORMAT_VERSION, "digest": _digest(path, features)}
        write_tensors(new, {"features": features}, metadata_of(header))


def _digest(path: Path, features: FloatArray) -> str:
    """Return a digest of features and of the name of their file, which says what they were computed from."""
    digest = hashlib.blake2b(path.name.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(features).data)
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> FloatArray | None:
    """Return the stored features, or None if the file is missing, damaged or of another format."""
    try:
        header, tensors = read_tensors(path, "np", version=FORMAT_VERSION, what="features", remedy="")
        features: FloatArray = tensors["features"]
    except (*DAMAGES, GenrekitError):
        return None
    if features.shape != shape or features.dtype != np.float32 or header.get("digest") != _digest(path, features):
        return None
    return features


def _remove_older(folder: Path, content: str) -> None:
    for path in folder.glob("*"):
        if not path.name.startswith((content, ".")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()


def _compute(
    cache: Cache,
    rows: npt.NDArray[np.int64],
    extractor: Features,
    folder: Path,
    on_progress: Callable[[int, int], None] | None,
    workers: int | None,
) -> FloatArray:
    """Compute the blocks that are missing in a folder, and return all of them."""
    report = on_progress or (lambda *_: None)
    blocks = {folder / f"{start:09d}.npy": rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)}
    shapes = {path: (len(block), extractor.dimension) for path, block in blocks.items()}
    missing = [path for path, shape in shapes.items() if _read_block(path, shape) is None]
    done = len(rows) - sum(len(blocks[path]) for path in missing)
    report(done, len(rows))
    with open_executor(workers or max(1, min(available_cores(), len(missing) // _BLOCKS_PER_PROCESS))) as executor:
        try:
            tasks = {executor.submit(_store_block, cache, blocks[path], extractor, path): path for path in missing}
            for task in as_completed(tasks):
                task.result()
                done += len(blocks[tasks[task]])
                report(done, len(rows))
        except BrokenProcessPool as error:
            raise GenrekitError(
                f"a process that computed features of {extractor.name} died, possibly because memory ran out: "
                "run the command again to resume"
            ) from error
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    computed = [_read_block(path, shape) for path, shape in shapes.items()]
    return np.concatenate([block for block in computed if block is not None])


def _store_block(cache: Cache, rows: npt.NDArray[np.int64], extractor: Features, path: Path) -> None:
    """Compute the features of some rows and store them. This runs in a worker."""
    waveforms = np.divide(cache.waveform[rows], FULL_SCALE, dtype=np.float32)
    features = extractor.compute(waveforms, cache.config.front_end.sample_rate)
    with atomic_write(path) as file:
        np.save(file, features)


def _read_block(path: Path, shape: tuple[int, int]) -> FloatArray | None:
    """Return a stored block, or None if it is missing or incomplete."""
    try:
        with open_regular(path) as file:
            features: FloatArray = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == shape and features.dtype == np.float32 else None
