"""Mixing of a track: levels, pumping, room, equalization and noise floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from genrekit._types import FloatArray
from genrekit.demo.instruments import Range
from genrekit.demo.styles import GenreStyle


def mix_parts(parts: Sequence[tuple[FloatArray, Range]], rng: np.random.Generator) -> FloatArray:
    """Add parts [n_samples], each at a random RMS level from its range in dB. Silent parts are left out."""
    mix = np.zeros_like(parts[0][0])
    for part, level_db in parts:
        gain = 10 ** (rng.uniform(*level_db) / 20)
        rms = float(np.sqrt(np.mean(np.square(part))))
        if rms > 0:
            mix += np.float32(gain / rms) * part
    return mix


def pump(
    mix: FloatArray, style: GenreStyle, rng: np.random.Generator, rate: int, beat_s: float, beat: float
) -> FloatArray:
    """Lower the level after each beat, as a compressor does that is triggered by a kick drum.

    `beat` is the position of the first sample in beats.
    """
    depth = rng.uniform(*style.pumping)
    if depth == 0:
        return mix
    beats = np.arange(len(mix), dtype=np.float32) / np.float32(rate * beat_s)
    beats += np.float32(beat)
    return mix * (1 - np.float32(depth) * (1 - beats % 1) ** 2)


def master(mix: FloatArray, style: GenreStyle, rng: np.random.Generator, rate: int) -> FloatArray:
    """Add a room, an equalization and a noise floor, and scale to a peak between -6 and -0.5 dBFS."""
    n_samples = len(mix)
    response = _room(style, rng, rate)
    n_fft = fft.next_fast_len(n_samples + len(response) - 1, real=True)
    spectrum = fft.rfft(mix, n_fft) * fft.rfft(response, n_fft) * _equalizer(style, rng, rate, n_fft)
    mix = fft.irfft(spectrum, n_fft)[:n_samples]
    floor = 10 ** (rng.uniform(*style.noise_db) / 20) * float(np.sqrt(np.mean(np.square(mix))))
    mix += np.float32(floor) * rng.standard_normal(n_samples, np.float32)
    peak = 10 ** (rng.uniform(-6, -0.5) / 20)
    loudest = float(np.max(np.abs(mix)))
    # A track that ends before its first note is silent.
    return (mix * np.float32(peak / loudest if loudest > 0 else 0)).astype(np.float32)


def _room(style: GenreStyle, rng: np.random.Generator, rate: int) -> FloatArray:
    """Impulse response of a room: the direct sound and a tail of decaying noise."""
    room_s = rng.uniform(*style.reverb_s)
    tail = rng.standard_normal(round(room_s * rate), np.float32)
    tail *= np.exp(np.linspace(0, -6.9, len(tail), dtype=np.float32))
    wet = 10 ** (rng.uniform(-25, -8) / 20)
    response = np.float32(wet) * tail / np.sqrt(np.sum(np.square(tail)))
    response[0] += 1
    return response


def _equalizer(style: GenreStyle, rng: np.random.Generator, rate: int, n_fft: int) -> FloatArray:
    """Gain per frequency bin: a tilt, and bumps and dips about an octave wide."""
    octaves = np.log2(np.maximum(fft.rfftfreq(n_fft, 1 / rate), 20) / 1000).astype(np.float32)
    knots = np.arange(-6, 6)
    gains_db = rng.normal(0, 3, len(knots)) + rng.uniform(*style.tilt_db) * knots
    return np.asarray(10 ** (np.interp(octaves, knots, gains_db) / 20), np.float32)
