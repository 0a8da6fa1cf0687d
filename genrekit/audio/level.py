"""The level of a track, which normalization needs, measured in blocks of its waveform."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from genrekit._types import FloatArray
from genrekit.audio.block_window import BlockWindow

RMS_LEVEL = 10 ** (-20 / 20)
"""Root mean square of an rms-normalized waveform: -20 dBFS."""

_SUMMED_AT_ONCE = 1 << 18
"""Most samples that are converted to float64 at once."""


def normalize_waveform(waveform: FloatArray, normalization: str) -> FloatArray:
    """Scale a waveform: `peak` to a peak of 1, `rms` to -20 dBFS, `none` not at all; the last two clip it to 1.

    Silence stays silent.
    """
    return Level.of(lambda: [waveform], normalization).apply(waveform)


@dataclass(frozen=True)
class Extent:
    """The largest magnitude of a waveform, and its number of samples."""

    peak: np.float32
    n_samples: int

    @classmethod
    def of(cls, blocks: Iterable[FloatArray]) -> Self:
        """Measure a waveform, float32 [n_samples] in blocks."""
        peak, n_samples = np.float32(0), 0
        for block in blocks:
            peak = max(peak, block.max(initial=0), -block.min(initial=0))
            n_samples += len(block)
        return cls(peak, n_samples)


@dataclass(frozen=True)
class Level:
    """The level of a track, with which its pieces can be normalized one by one.

    `peak` is the largest magnitude, `rms` the root mean square, `n_samples` the number of samples. `rms` is 0 unless
    the normalization needs it. It does not depend on the blocks, to the last bit.
    """

    normalization: str
    peak: np.float32
    rms: float
    n_samples: int

    @classmethod
    def of(cls, blocks: Callable[[], Iterable[FloatArray]], normalization: str, extent: Extent | None = None) -> Self:
        """Measure a waveform, float32 [n_samples] in blocks. `blocks` starts a pass over it.

        There is one pass for the `extent`, if it is not given, and another for `rms`.
        """
        extent = extent or Extent.of(blocks())
        squares = _sum_of_squares(blocks(), extent.n_samples) if normalization == "rms" else 0.0
        return cls(normalization, extent.peak, math.sqrt(squares / max(extent.n_samples, 1)), extent.n_samples)

    def apply(self, piece: FloatArray) -> FloatArray:
        """Normalize a piece of the waveform with the track's level."""
        if self.normalization == "none":
            return np.clip(piece, -1, 1)
        if self.peak == 0:
            return piece
        scaled = piece / self.peak
        if self.normalization == "peak":
            return scaled
        return np.clip(scaled * np.float32(RMS_LEVEL * float(self.peak) / self.rms), -1, 1)


def _sum_of_squares(blocks: Iterable[FloatArray], n_samples: int) -> float:
    """Sum in the order of numpy's pairwise summation, which depends only on the number of samples.

    So the sum of a waveform in blocks has the same bits as that of the whole, and takes little memory.
    """
    window = BlockWindow(blocks, n_samples)

    def summed(start: int, count: int) -> float:
        if count <= _SUMMED_AT_ONCE:
            window.forget(start)
            return float(np.sum(np.square(window[start : start + count], dtype=np.float64)))
        half = count // 2 // 8 * 8
        return summed(start, half) + summed(start + half, count - half)

    return summed(0, n_samples)
