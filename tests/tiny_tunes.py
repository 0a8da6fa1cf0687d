"""Tunes with enough notes to be recognized."""

from pathlib import Path

import numpy as np
import soundfile

from genrekit._types import FloatArray

RATE = 16_000


def tune(seed: int, seconds: float = 15.0) -> FloatArray:
    """Decaying notes of a scale, no two tunes alike."""
    generator = np.random.default_rng(seed)
    out = np.zeros(round(seconds * RATE))
    time = np.arange(RATE // 2) / RATE
    for start in range(0, len(out) - len(time), round(generator.uniform(0.11, 0.16) * RATE)):
        hertz = 110 * 2 ** (generator.integers(0, 48) / 12)
        note = sum(np.sin(2 * np.pi * hertz * partial * time) / partial for partial in (1, 2, 3, 4))
        out[start : start + len(time)] += note * np.exp(-6 * time) * generator.uniform(0.3, 1)
    return (0.4 * out / np.abs(out).max()).astype(np.float32)


def write(path: Path, samples: FloatArray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
