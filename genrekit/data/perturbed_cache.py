"""Training fragments at another tempo and pitch, computed once from a cache and stored in a folder beside it."""

from __future__ import annotations

import contextlib
import hashlib
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
from genrekit.errors import GenrekitError
from genrekit.io.files import atomic_write, cannot, exclusive_lock, remove_torn

FORMAT_VERSION = 1

_PER_THREAD = 4
_SHOWN = 12
"""Digits of a digest in a file name."""


def altered_folder(cache: Cache) -> Path:
    """Return the folder for a cache's altered fragments: one file per alteration and choice of tracks."""
    return cache.path.with_name(f"{cache.path.stem}.altered")


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
    folder = altered_folder(cache)
    path = folder / f"{content[:_SHOWN]}-{tempo:g}-{semitones:+g}-{rows_key[:_SHOWN]}.npy"
    shape = (len(rows), waveforms.shape[1])
    kept = _read(path, shape)
    if kept is not None:
        return kept
    failure = f"cannot store altered fragments in {folder}"
    try:
        with exclusive_lock(folder / ".lock", failure, wait=True):
            kept = _read(path, shape)
            if kept is None:
                _clean(folder, content[:_SHOWN])
                _write(path, waveforms, rows, partial(altered_waveform, tempo=tempo, semitones=semitones), on_fragment)
                kept = _read(path, shape)
    except OSError as error:
        raise cannot("store altered fragments in", folder, error) from error
    if kept is None:
        raise GenrekitError(f"{failure}: {path.name} cannot be read after it was written")
    return kept


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.int16] | None:
    """Return the stored fragments, or None if the file is missing or incomplete."""
    try:
        kept: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.shape == shape and kept.dtype == np.dtype("<i2") else None


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
    on_fragment: Callable[[int, int], None] | None,
) -> None:
    """Write the altered rows. Only a few of them are in memory at a time."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (len(rows), waveforms.shape[1])}
    step = _PER_THREAD * available_cores()
    with atomic_write(path) as file, ThreadPoolExecutor(available_cores()) as threads:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(rows), step):
            for done, altered in enumerate(threads.map(alter, waveforms[rows[start : start + step]]), start + 1):
                file.write(altered.astype("<i2", copy=False).tobytes())
                if on_fragment is not None:
                    on_fragment(done, len(rows))
