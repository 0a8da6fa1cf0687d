"""Landmarks: pairs of spectral peaks by which one recording is known again at another level, rate, codec or offset.

After Wang (2003), "An industrial-strength audio search algorithm", on the mel spectrograms that are there anyway: a
landmark is the band of a peak, the band of a later one and the time between them. Landmarks of two copies agree, and
the agreeing ones lie apart by one and the same offset; those of two recordings agree here and there by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray

LANDMARKS = 48
"""Landmarks that are kept of a fragment."""

Landmarks = npt.NDArray[np.uint64]

_NEIGHBOURHOOD = (5, 13)
"""Pairs of bands, and frames, within which a peak is the highest value."""

_LOWEST = 0.25
"""Of [0, 1]: what lies lower is noise, or what a codec leaves out."""

_PEAKS = 32
_TARGETS = 3
_NEAREST, _FARTHEST = 3, 48
"""Frames from a peak to those that it is paired with."""

_WIDEST = 31
"""Bands between the peaks of a pair, at the most."""


def landmarks(mel: FloatArray) -> Landmarks:
    """The strongest landmarks of one fragment.

    Each is the pair's code in the upper and the first peak's frame in the lower 32 bits; 0 fills up where there
    are fewer, so a code is never 0.
    Shapes: mel [n_mels, n_frames] in [0, 1] to uint64 [LANDMARKS].
    """
    bands, frames, heights = _peaks(mel)
    gaps, steps = frames - frames[:, None], bands - bands[:, None]
    near = (gaps >= _NEAREST) & (gaps <= _FARTHEST) & (abs(steps) <= _WIDEST)
    first, second = np.nonzero(near & (np.cumsum(near, axis=1) <= _TARGETS))
    codes = 1 << 31 | bands[first] << 16 | (steps[first, second] + _WIDEST) << 8 | gaps[first, second] // 2
    strongest = np.argsort(-(heights[first] + heights[second]), kind="stable")[:LANDMARKS]
    out = np.zeros(LANDMARKS, np.uint64)
    out[: len(strongest)] = codes[strongest] << 32 | frames[first[strongest]]
    return out


def _peaks(mel: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    """Bands, frames and heights of the peaks that stand out most from the mean of their band, in order of time."""
    paired = np.maximum(mel[:-1:2], mel[1::2])
    highest = _highest_around(paired)
    bands, frames = np.divmod(np.flatnonzero((paired == highest) & (paired > _LOWEST)), paired.shape[1])
    heights = paired[bands, frames] - paired.mean(axis=1)[bands]
    strongest = np.argsort(-heights, kind="stable")[:_PEAKS]
    kept = strongest[np.lexsort((bands[strongest], frames[strongest]))]
    bands, frames = bands[kept], frames[kept]
    upper = mel[2 * bands + 1, frames] > mel[2 * bands, frames]
    return 2 * bands + upper, frames, heights[kept]


def _highest_around(values: FloatArray) -> FloatArray:
    """The highest value of each place's neighbourhood, of the same shape.

    With a margin as wide as the neighbourhood, rows laid end to end do not touch: each pass is one over flat memory.
    """
    (rows, columns), (height, width) = values.shape, _NEIGHBOURHOOD
    padded = np.full((rows + height - 1, columns + width - 1), -np.inf, np.float32)
    padded[height // 2 :, width // 2 :][:rows, :columns] = values
    stride = padded.shape[1]
    flat = padded.reshape(-1)
    for shift in (*_shifts(width, 1), *_shifts(height, stride)):
        flat = np.maximum(flat[:-shift], flat[shift:])
    # What is left ends with the last row's last column, without a margin on its right.
    return np.ndarray((rows, columns), np.float32, flat, strides=(4 * stride, 4))


def _shifts(width: int, stride: int) -> Iterator[int]:
    """Shifts whose maxima of maxima span `width` neighbours: log2(width) passes instead of width."""
    span = 1
    while span < width:
        step = min(span, width - span)
        yield step * stride
        span += step
