"""From a waveform to an audio file."""

from __future__ import annotations

from pathlib import Path

import soundfile

from genrekit.files import atomic_write
from genrekit.records import FloatArray


def write_wav(path: Path, waveform: FloatArray, sample_rate: int) -> None:
    """Write a mono waveform, float32 [n_samples] in [-1, 1], as 16-bit WAV, whole or not at all."""
    with atomic_write(path) as file:
        soundfile.write(file, waveform, sample_rate, format="WAV", subtype="PCM_16")
