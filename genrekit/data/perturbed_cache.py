"""Training fragments at another tempo and pitch, made once of a cache's waveforms and kept in a folder beside it."""

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
"""Digits of a digest in a file's name."""


def altered_folder(cache: Cache) -> Path:
    """Where a cache's altered fragments are kept, a file for each alteration of each choice of tracks."""
    return cache.path.with_name(f"{cache.path.stem}.altered")


def altered_fragments(
    cache: Cache,
    rows: npt.NDArray[np.int64],
    tempo: float,
    semitones: float,
    on_fragment: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.int16]:
    """Some rows of original fragments, `tempo` times as fast and then `semitones` higher.

    They are read from their file if it is of this cache's content, else made and kept; files of other content are
    removed. Where several processes need them at once, one makes them and the others wait. `on_fragment` hears how many
    are made, and of how many.
    Shape: int16 [N, n_samples], mapped from the file.
    Errors: IncompatibleCacheError where the cache holds no waveforms, GenrekitError where the file cannot be written.
    """
    waveforms = cache.tensor("waveform")
    content = cache.content_key(f"altered {FORMAT_VERSION}")
    own = hashlib.sha256(f"{content} {tempo!r} {semitones!r}".encode() + rows.tobytes()).hexdigest()
    folder = altered_folder(cache)
    path = folder / f"{content[:_SHOWN]}-{tempo:g}-{semitones:+g}-{own[:_SHOWN]}.npy"
    shape = (len(rows), waveforms.shape[1])
    kept = _read(path, shape)
    if kept is not None:
        return kept
    failure = f"cannot keep altered fragments in {folder}"
    try:
        with exclusive_lock(folder / ".lock", failure, wait=True):
            kept = _read(path, shape)
            if kept is None:
                _clean(folder, content[:_SHOWN])
                _write(path, waveforms, rows, partial(altered_waveform, tempo=tempo, semitones=semitones), on_fragment)
                kept = _read(path, shape)
    except OSError as error:
        raise cannot("keep altered fragments in", folder, error) from error
    if kept is None:
        raise GenrekitError(f"{failure}: {path.name} cannot be read again")
    return kept


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.int16] | None:
    """The kept fragments; None where there are none, or not all."""
    try:
        kept: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.shape == shape and kept.dtype == np.dtype("<i2") else None


def _clean(folder: Path, content: str) -> None:
    """Remove what a kill left, and fragments of other content than the cache's."""
    remove_torn(folder)
    for path in folder.glob("*.npy"):
        if not path.name.startswith(content):
            with contextlib.suppress(OSError):  # one that is mapped, on Windows
                path.unlink()


def _write(
    path: Path,
    waveforms: npt.NDArray[np.int16],
    rows: npt.NDArray[np.int64],
    alter: Callable[[npt.NDArray[np.int16]], npt.NDArray[np.int16]],
    on_fragment: Callable[[int, int], None] | None,
) -> None:
    """Write the altered rows one after the other; only few of them are in memory at a time."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (len(rows), waveforms.shape[1])}
    step = _PER_THREAD * available_cores()
    with atomic_write(path) as file, ThreadPoolExecutor(available_cores()) as threads:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(rows), step):
            for done, altered in enumerate(threads.map(alter, waveforms[rows[start : start + step]]), start + 1):
                file.write(altered.astype("<i2", copy=False).tobytes())
                if on_fragment is not None:
                    on_fragment(done, len(rows))
