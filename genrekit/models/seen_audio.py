"""The landmarks of a model's training and validation tracks, as a file in its bundle.

They recognize copies of these tracks that are encoded differently. The file has the strongest landmarks only, about
0.5 kB for each track of half a minute.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.data.matching import Ints, LandmarkIndex
from genrekit.errors import BundleError
from genrekit.io.arrays import read_arrays
from genrekit.io.files import atomic_write

FORMAT_VERSION = 1

_COLUMNS = {"code": ("u4", (None,)), "step": ("i4", (None,)), "per_track": ("i4", (None,))}
"""Types and shapes of the arrays in the file."""

LANDMARKS_FILE = "landmarks.npz"

KEPT = 24
"""Landmarks of each fragment that are stored, of those in a cache."""


class SeenAudio:
    """The landmarks of some tracks, in order of track and time, to compare others with."""

    def __init__(self, code: Ints, frame: Ints, track: Ints) -> None:
        order = np.lexsort((code, frame, track))
        self.code, self.frame, self.track = code[order], frame[order], track[order]

    def write(self, path: Path) -> None:
        """Write the file. Errors: OSError."""
        step = np.diff(self.frame, prepend=0)  # smaller numbers, which compress better
        with atomic_write(path) as file:
            np.savez_compressed(
                file,
                version=np.int64(FORMAT_VERSION),
                code=self.code.astype(np.uint32),
                step=step.astype(np.int32),
                per_track=np.bincount(self.track).astype(np.int32),
            )

    def index(self, frames_per_s: float) -> LandmarkIndex:
        """Return the index to search in."""
        n_tracks = int(self.track.max(initial=-1)) + 1
        return LandmarkIndex(self.code, self.frame, self.track, n_tracks, frames_per_s)


def read_seen_audio(folder: Path) -> SeenAudio | None:
    """Read the landmarks in a bundle; None if it has none.

    Errors: BundleError if the file is damaged or has another format version.
    """
    path = folder / LANDMARKS_FILE
    if not os.path.lexists(path):
        return None
    arrays = read_arrays(path, FORMAT_VERSION, _COLUMNS)
    if arrays is None or not _fit(arrays):
        raise BundleError(
            f"{path} is damaged or has another format version: train the model again, or remove the file; without it, "
            "only exact copies of the training tracks are recognized"
        )
    frame = np.cumsum(arrays["step"], dtype=np.int64)
    track: Ints = np.repeat(np.arange(len(arrays["per_track"])), arrays["per_track"])
    return SeenAudio(arrays["code"].astype(np.int64), frame, track)


def _fit(arrays: dict[str, npt.NDArray[Any]]) -> bool:
    per_track = arrays["per_track"].astype(np.int64)
    return bool((per_track >= 0).all()) and len(arrays["code"]) == len(arrays["step"]) == int(per_track.sum())


def recognizes(index: LandmarkIndex, code: Ints, frame: Ints) -> bool:
    """Whether a track is the same recording as one of the index."""
    wanted = np.ones(index.n_tracks, np.bool_)
    return any(shared.same_recording for _, shared in index.shared_with(code, frame, index.n_tracks, wanted))
