"""Resampling of a waveform that is in memory."""

from __future__ import annotations

import numpy as np
import soxr

from genrekit._types import FloatArray


def resample(waveform: FloatArray, from_rate: float, to_rate: float) -> FloatArray:
    """Resample a mono waveform with soxr's high quality, as files are resampled when they are decoded.

    Shapes: float32 [n_samples] to float32 [n_samples * to_rate / from_rate].

    >>> resample(np.zeros(44_100, np.float32), 44_100, 22_050).shape
    (22050,)
    """
    if from_rate == to_rate:
        return waveform
    return np.asarray(soxr.resample(waveform, from_rate, to_rate, quality="HQ"), np.float32)
