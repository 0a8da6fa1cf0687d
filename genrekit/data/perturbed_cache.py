"""Training fragments at another tempo and pitch, computed once from a cache and stored in a folder beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.audio.transform import altered_waveform
from genrekit.data.cache.executors import available_cores
from genrekit.data.cache.reader import Cache
from genrekit.data.cache.side_files import stored, to_write
from genrekit.errors import GenrekitError
from genrekit.io.files import atomic_write, cannot, exclusive_lock, remove_torn

FORMAT_VERSION = 2
"""Version 2 ends with a digest of the key and the fragments."""

_NAME = "altered"
_PER_THREAD = 4
_SHOWN = 12
"""Digits of a digest in a file name."""

_BLOCK = 256
"""Fragments that are added to a digest at once."""


def altered_folder(cache: Cache) -> Path:
    """Return the folder for a cache's altered fragments: one file per alteration and choice of tracks."""
    return to_write(cache, _NAME)


def altered_fragments(
    cache: Cache,
    rows: npt.NDArray[np.int64],
    tempo: float,
    semitones: float,
    on_fragment: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.int16]:
    """Return some rows of original fragments at `tempo` times the speed, and then shifted by `semitones`.

    They are read from their file if it was made from this cache. Otherwise they are computed and stored, and files of
    an older cache are removed. If several processes need them at once, one computes them and the others wait.
    `on_fragment` is called with the number of fragments done and of all fragments.
    Shape: int16 [N, n_samples], mapped from the file.
    Errors: IncompatibleCacheError if the cache has no waveforms, GenrekitError if the file cannot be written.
    """
    waveforms = cache.tensor("waveform")
    content = cache.content_key(f"altered {FORMAT_VERSION}")
    rows_key = hashlib.sha256(f"{content} {tempo!r} {semitones!r}".encode() + rows.tobytes()).hexdigest()
    name = f"{content[:_SHOWN]}-{tempo:g}-{semitones:+g}-{rows_key[:_SHOWN]}.npy"
    shape = (len(rows), waveforms.shape[1])
    kept = _read(stored(cache, f"{_NAME}/{name}"), shape, rows_key)
    if kept is not None:
        return kept
    folder = altered_folder(cache)
    path = folder / name
    failure = f"cannot store altered fragments in {folder}"
    try:
        with exclusive_lock(folder / ".lock", failure, wait=True):
            kept = _read(path, shape, rows_key)
            if kept is None:
                _clean(folder, content[:_SHOWN])
                alter = partial(altered_waveform, tempo=tempo, semitones=semitones)
                _write(path, waveforms, rows, alter, rows_key, on_fragment)
                kept = _read(path, shape, rows_key)
    except OSError as error:
        raise cannot("store altered fragments in", folder, error) from error
    if kept is None:
        raise GenrekitError(f"{failure}: {path.name} cannot be read after it was written")
    return kept


def _read(path: Path, shape: tuple[int, ...], key: str) -> npt.NDArray[np.int16] | None:
    """Return the stored fragments, or None if the file is missing, incomplete, or has another digest."""
    try:
        kept: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if kept.shape != shape or kept.dtype != np.dtype("<i2") or not kept.flags.c_contiguous:
            return None
        digest = _digest(key)
        for start in range(0, len(kept), _BLOCK):
            digest.update(np.ascontiguousarray(kept[start : start + _BLOCK]).data)
        with open(path, "rb") as file:
            file.seek(-digest.digest_size, os.SEEK_END)
            return kept if file.read() == digest.digest() else None
    except (OSError, ValueError, EOFError, TypeError, MemoryError):
        return None


def _digest(key: str) -> hashlib.blake2b:
    """Return a digest to which the fragments are added, which differs for other fragments with the same values."""
    return hashlib.blake2b(key.encode(), digest_size=16)


def _clean(folder: Path, content: str) -> None:
    """Remove incomplete files, and fragments of an older cache."""
    remove_torn(folder)
    for path in folder.glob("*.npy"):
        if not path.name.startswith(content):
            with contextlib.suppress(OSError):  # on Windows, a file that is mapped
                path.unlink()


def _write(
    path: Path,
    waveforms: npt.NDArray[np.int16],
    rows: npt.NDArray[np.int64],
    alter: Callable[[npt.NDArray[np.int16]], npt.NDArray[np.int16]],
    key: str,
    on_fragment: Callable[[int, int], None] | None,
) -> None:
    """Write the altered rows. Only a few of them are in memory at a time."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (len(rows), waveforms.shape[1])}
    step, digest = _PER_THREAD * available_cores(), _digest(key)
    with atomic_write(path) as file, ThreadPoolExecutor(available_cores()) as threads:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(rows), step):
            for done, altered in enumerate(threads.map(alter, waveforms[rows[start : start + step]]), start + 1):
                values = altered.astype("<i2", copy=False).tobytes()
                file.write(values)
                digest.update(values)
                if on_fragment is not None:
                    on_fragment(done, len(rows))
        file.write(digest.digest())
