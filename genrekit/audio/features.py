"""The front end: dB mel spectrograms in [0, 1], and linear power spectrograms.

Periodic Hann window, centred frames with reflection at the edges, power spectrum, triangular mel bands on Slaney's
scale with Slaney's norm (Slaney 1998, Auditory Toolbox), decibels below a reference, mapped to [0, 1]. The linear power
spectrogram has the same window and frames, but neither bands nor decibels.

The mel bands are computed here and not by librosa, because `prepare` starts a process for each worker. A new process
has them after 0.3 s, and with librosa after 2 s (`benchmarks/audio_libraries.py`).

scipy is imported in functions: importing it takes as long as running `prepare` again without changes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.config import STFT_HOP, STFT_N_FFT, FeatureConfig

_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1_000.0
_LOG_STEP = np.log(6.4) / 27
_FRAMES_PER_BLOCK = 108


def hz_to_mel(frequency: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert Hz to Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(frequency, dtype=np.float64)
    above = _BREAK_HZ / _LINEAR_HZ_PER_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ_PER_MEL, above)


def mel_to_hz(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert Slaney's mel scale to Hz."""
    mels = np.asarray(mel, dtype=np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_HZ / _LINEAR_HZ_PER_MEL))
    return np.where(mels < _BREAK_HZ / _LINEAR_HZ_PER_MEL, mels * _LINEAR_HZ_PER_MEL, above)


def mel_edges_hz(front_end: FeatureConfig) -> npt.NDArray[np.float64]:
    """Return the edges of the mel bands: band i lies between edges i and i + 2. Shape: [n_mels + 2]."""
    low, high = hz_to_mel([front_end.fmin, front_end.fmax_hz])
    return mel_to_hz(np.linspace(low, high, front_end.n_mels + 2))


def mel_filters(front_end: FeatureConfig) -> npt.NDArray[np.float64]:
    """Return the weights of triangular mel bands of equal area.

    Shape: [n_mels, n_fft // 2 + 1].
    """
    edges = mel_edges_hz(front_end)
    bins = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges[2:] - edges[:-2]))[:, None]


def analysis_window(n_fft: int) -> FloatArray:
    """Return the periodic Hann window, float32 [n_fft]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


class MelSpectrogram:
    """Mel power spectrograms of fragments of one front end."""

    def __init__(self, front_end: FeatureConfig) -> None:
        import scipy.sparse

        self.front_end = front_end
        self._window = analysis_window(front_end.n_fft)
        self._filters = scipy.sparse.csr_array(mel_filters(front_end).astype(np.float32))

    def power(self, fragment: FloatArray) -> FloatArray:
        """Return the mel power of one fragment.

        Shapes: float32 [n_samples] to float32 [n_mels, n_frames].
        """
        from scipy.fft import rfft

        frames = _frames(fragment, self.front_end.n_fft, self.front_end.hop_length)
        mel = np.empty((self.front_end.n_mels, len(frames)), dtype=np.float32)
        for start in range(0, len(frames), _FRAMES_PER_BLOCK):
            # A block of frames and its spectrum fit in the CPU's cache.
            block = slice(start, start + _FRAMES_PER_BLOCK)
            # Transposed before the FFT, so that the result has the memory layout that the filters need.
            spectrum = rfft((frames[block] * self._window).T, axis=0)
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            mel[:, block] = self._filters @ power
        return mel


@cache
def mel_spectrogram(front_end: FeatureConfig) -> MelSpectrogram:
    """Return the mel spectrogram of a front end. It is cached."""
    return MelSpectrogram(front_end)


def power_stft(waveforms: FloatArray) -> FloatArray:
    """Return linear power spectrograms: windows of 400 samples (periodic Hann) every 200, centred with reflection.

    The values equal those of torchaudio.transforms.Spectrogram with its defaults.
    Shapes: float32 [B, n_samples], of more than 200 samples, to float32 [B, 201, 1 + n_samples // 200].
    """
    from scipy.fft import rfft

    window = analysis_window(STFT_N_FFT)[:, None]
    shape = (STFT_N_FFT // 2 + 1, 1 + waveforms.shape[1] // STFT_HOP)
    power = np.empty((len(waveforms), *shape), dtype=np.float32)
    for waveform, target in zip(waveforms, power, strict=True):
        frames = _frames(waveform, STFT_N_FFT, STFT_HOP)
        spectrum = rfft(frames.T * window, axis=0)
        np.add(np.square(spectrum.real), np.square(spectrum.imag), out=target)
    return power


def _frames(fragment: FloatArray, n_fft: int, hop: int) -> FloatArray:
    """Return the centred frames of a fragment that is reflected at its edges: [n_frames, n_fft]."""
    half = n_fft // 2
    padded = np.concatenate([fragment[half:0:-1], fragment, fragment[-2 : -half - 2 : -1]])
    # A view, with a tenth of the overhead of numpy's sliding_window_view.
    shape, step = (1 + (len(padded) - n_fft) // hop, n_fft), padded.itemsize
    return np.ndarray(shape, padded.dtype, padded, strides=(hop * step, step))


def to_unit_db(power: FloatArray, reference: float, top_db: float) -> FloatArray:
    """Convert power to decibels below a reference, limited to [-top_db, 0] and mapped to [0, 1].

    Power is first divided by the reference, so a quiet clip and its louder copy give the same values. If the
    reference is 0 (silence), the result is 0.

    >>> to_unit_db(np.float32([1.0, 0.01, 0.0]), 1.0, 80.0)
    array([1.  , 0.75, 0.  ], dtype=float32)
    """
    if reference <= 0:
        return np.zeros_like(power)
    unit = power / np.float32(reference)
    np.maximum(unit, np.float32(10 ** (-top_db / 10)), out=unit)
    np.log(unit, out=unit)  # faster than log10
    unit *= np.float32(10 / np.log(10) / top_db)
    unit += np.float32(1)
    return np.clip(unit, 0, 1, out=unit)
