"""Encode a waveform as an audio file."""

from __future__ import annotations

import io
from pathlib import Path

import soundfile

from genrekit._types import FloatArray
from genrekit.io.files import atomic_write

_MP3_RATES = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


def write_wav(path: Path, waveform: FloatArray, sample_rate: int, software: str = "") -> None:
    """Write a mono waveform, float32 [n_samples] in [-1, 1], as 16-bit WAV, atomically.

    `software` is the name of the program for the file's metadata.
    """
    with (
        atomic_write(path) as file,
        soundfile.SoundFile(file, "w", sample_rate, channels=1, subtype="PCM_16", format="WAV") as sound,
    ):
        if software:
            sound.software = software
        sound.write(waveform)


def encoded(waveform: FloatArray, sample_rate: int) -> tuple[bytes, str]:
    """Encode a mono waveform, float32 [n_samples] in [-1, 1], for browsers; return the bytes and the media type.

    The format is MP3, or 16-bit WAV if libsndfile has no MP3 encoder or MP3 does not support the sample rate.
    """
    small = "MP3" in soundfile.available_formats() and sample_rate in _MP3_RATES
    kind, subtype, media = ("MP3", "MPEG_LAYER_III", "audio/mpeg") if small else ("WAV", "PCM_16", "audio/wav")
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate, format=kind, subtype=subtype)
    return file.getvalue(), media
