"""Signals that are not music: silence, noise and tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from genrekit._types import FloatArray

Samples = npt.NDArray[np.float64]

RATE = 44_100
DURATION_S = 10.0
_TONES_HZ = (110, 440, 1_760)
_LEVEL = 0.5
_SEED = 0


def synthetic_signals() -> dict[str, FloatArray]:
    """Return some signals of `DURATION_S` seconds at `RATE` by name, float32 in [-1, 1]. They are always the same."""
    n_samples = round(DURATION_S * RATE)
    white = np.random.default_rng(_SEED).standard_normal(n_samples)
    seconds = np.arange(n_samples) / RATE
    signals: dict[str, Samples] = {"silence": np.zeros(n_samples), "white noise": white, "pink noise": _pink(white)}
    signals |= {f"tone of {hertz} Hz": np.sin(2 * np.pi * hertz * seconds) for hertz in _TONES_HZ}
    return {name: _scaled(samples) for name, samples in signals.items()}


def write_signals(folder: Path) -> dict[str, Path]:
    """Write the signals as WAV files into a folder, and return their paths by name."""
    paths = {}
    for name, samples in synthetic_signals().items():
        paths[name] = folder / f"{name}.wav"
        soundfile.write(paths[name], samples, RATE, subtype="FLOAT")
    return paths


def _pink(white: Samples) -> Samples:
    """Filter white noise so that its power falls with 1/f."""
    spectrum = np.fft.rfft(white)
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, len(white))


def _scaled(samples: Samples) -> FloatArray:
    peak = np.abs(samples).max()
    return (samples * (_LEVEL / peak if peak else 1)).astype(np.float32)
