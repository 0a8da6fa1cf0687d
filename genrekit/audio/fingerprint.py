"""Landmarks: pairs of spectral peaks that identify a recording at another level, sample rate, codec or offset.

After Wang (2003), "An industrial-strength audio search algorithm", applied to mel spectrograms. A landmark is the band
of a peak, the band of a later peak, and the time between them. Two copies share many landmarks at the same offset in
time. Two different recordings share a few by chance, at various offsets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray

LANDMARKS = 48
"""Number of landmarks per fragment."""

Landmarks = npt.NDArray[np.uint64]

_NEIGHBOURHOOD = (5, 13)
"""Pairs of bands, and frames, in which a peak is the maximum."""

_LOWEST = 0.25
"""The lowest peak, in [0, 1]. Lower ones are noise, or are removed by codecs."""

_PEAKS = 32
_TARGETS = 3
_NEAREST, _FARTHEST = 3, 48
"""Frames between the peaks of a pair."""

_WIDEST = 31
"""The most bands between the peaks of a pair."""


def landmarks(mel: FloatArray) -> Landmarks:
    """Return the strongest landmarks of one fragment.

    The upper 32 bits are the code of the pair, which is never 0; the lower 32 bits are the frame of the first peak.
    Missing landmarks are 0.
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


def split_landmarks(
    marks: Landmarks, starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the fragment, the code and the frame of all landmarks of some fragments.

    Frames count from the start of the track; `starts` are the first frames of the fragments.
    Shapes: marks uint64 [fragments, n], starts int64 [fragments] to int64 [landmarks] each.
    """
    fragment, column = np.nonzero(marks)
    found = marks[fragment, column]
    code = (found >> np.uint64(32)).astype(np.int64)
    return fragment, code, starts[fragment] + (found & np.uint64(0xFFFF_FFFF)).astype(np.int64)


def _peaks(mel: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    """Return bands, frames and heights of the peaks highest above the mean of their band, in order of time."""
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
    """Return the maximum of the neighbourhood of each value, in the same shape.

    A margin as wide as the neighbourhood separates the rows, so each pass can run over flat memory.
    """
    (rows, columns), (height, width) = values.shape, _NEIGHBOURHOOD
    padded = np.full((rows + height - 1, columns + width - 1), -np.inf, np.float32)
    padded[height // 2 :, width // 2 :][:rows, :columns] = values
    stride = padded.shape[1]
    flat = padded.reshape(-1)
    for shift in (*_shifts(width, 1), *_shifts(height, stride)):
        flat = np.maximum(flat[:-shift], flat[shift:])
    # The result ends with the last column of the last row, without a margin.
    return np.ndarray((rows, columns), np.float32, flat, strides=(4 * stride, 4))


def _shifts(width: int, stride: int) -> Iterator[int]:
    """Yield shifts with which repeated maxima cover `width` neighbours, in log2(width) passes."""
    span = 1
    while span < width:
        step = min(span, width - span)
        yield step * stride
        span += step
