"""Sounds of which everything is known."""

import numpy as np

from genrekit._types import FloatArray


def sine(frequency_hz: float, n_samples: int, sample_rate: int, amplitude: float = 0.5) -> FloatArray:
    """A sine that begins at phase 0."""
    t = np.arange(n_samples) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def white_noise(n_samples: int, seed: int = 0, amplitude: float = 0.5) -> FloatArray:
    """Uniform noise: every sample, every frequency and every stretch of it sounds."""
    return np.random.default_rng(seed).uniform(-amplitude, amplitude, n_samples).astype(np.float32)


def click(position: int, n_samples: int) -> FloatArray:
    """Silence with one sample of 1."""
    waveform = np.zeros(n_samples, np.float32)
    waveform[position] = 1
    return waveform


def loudest_hz(waveform: FloatArray, sample_rate: int) -> float:
    """The frequency of the highest peak in the spectrum, to a fraction of a hertz."""
    n_fft = 8 * sample_rate
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), n_fft))
    return float(spectrum.argmax() * sample_rate / n_fft)


def rms(waveform: FloatArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def level_db(waveform: FloatArray, reference: FloatArray) -> float:
    """How much louder a waveform is than another one, in dB."""
    return float(20 * np.log10(rms(waveform) / rms(reference)))
