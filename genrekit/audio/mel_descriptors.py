"""Statistics of a fragment's mel spectrogram: the descriptors of the classical models.

All of them are functions of the dB mel spectrogram, so a cache that stores only mel spectrograms is enough. Their
number is the same for every front end: bands and modulation frequencies are pooled into a fixed number of groups. Pitch
classes start at 440 Hz, because mel bands are wider than semitones below.

librosa computes the MFCCs, onset strength, autocorrelation, tonnetz and mel frequencies. Spectral centre, width and
flatness stay here: librosa's take about five times as long (`benchmarks/audio_libraries.py`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.audio.librosa_import import load_librosa
from genrekit.config import FeatureConfig

STATISTICS_VERSION = 1
"""Increase it if a change to this module changes the numbers, so that stored ones are computed again."""

Array = npt.NDArray[np.float32]

_COEFFICIENTS = 20
_MFCC_PERCENTILES = (10, 50, 90)
_SHRINKAGE = 0.05
_FLOOR_DB2 = 1e-2
_BANDS = 32
_BAND_PERCENTILES = (10, 50, 90)
_CONTRAST_GROUPS = 8
_MODULATION_GROUPS = 16
_MODULATION_HZ = np.geomspace(0.4, 20.0, 13)
_MODULATION_FFT = 512
_LAG_BPM = np.geomspace(30.0, 300.0, 48)
_USUAL_BPM = 120.0
_LOWEST_PITCH_HZ, _OCTAVES = 440.0, 3

N_STATISTICS = (
    _COEFFICIENTS * (2 + len(_MFCC_PERCENTILES) + 3)
    + _COEFFICIENTS * (_COEFFICIENTS + 1) // 2
    + _BANDS * (1 + len(_BAND_PERCENTILES))
    + 3 * _CONTRAST_GROUPS
    + 8
    + _MODULATION_GROUPS * (len(_MODULATION_HZ) - 1)
    + len(_LAG_BPM)
    + 3
    + 2 * (12 + 6)
)
"""Statistics of one fragment."""


def mel_statistics(mels: npt.NDArray[np.floating[Any]], front_end: FeatureConfig) -> Array:
    """Compute the statistics of fragments.

    Shapes: [B, n_mels, n_frames] in [0, 1] to float32 [B, N_STATISTICS].
    Errors: GenrekitError if librosa cannot be loaded.
    """
    decibels = np.asarray(mels, dtype=np.float32) * np.float32(front_end.top_db)
    cepstrum = mfcc(decibels)
    frame_rate = front_end.sample_rate / front_end.hop_length
    pitches = chroma(decibels, front_end)
    parts = (
        _cepstral(cepstrum),
        log_covariance(cepstrum),
        _bands(decibels),
        _contrast(decibels),
        _shape(decibels),
        modulation(decibels, frame_rate).reshape(len(decibels), -1),
        _rhythm(onset_strength(decibels), frame_rate),
        *(figure(series, axis=2) for series in (pitches, tonnetz(pitches)) for figure in (np.mean, np.std)),
    )
    return np.concatenate(parts, axis=1, dtype=np.float32)


def mfcc(decibels: Array) -> Array:
    """Mel-frequency cepstral coefficients: the orthonormal DCT-II over the bands.

    With fewer than 20 bands, the coefficients beyond the number of bands are 0.
    Shapes: [B, n_mels, n_frames] in dB to [B, 20, n_frames].
    """
    coefficients = load_librosa().feature.mfcc(S=decibels, n_mfcc=_COEFFICIENTS, dct_type=2, norm="ortho", lifter=0)
    return np.pad(coefficients, [(0, 0), (0, _COEFFICIENTS - coefficients.shape[1]), (0, 0)])


def _cepstral(cepstrum: Array) -> Array:
    """Mean, spread and rate of change of each coefficient."""
    delta = np.diff(cepstrum, axis=2)
    low, middle, high = np.percentile(cepstrum, _MFCC_PERCENTILES, axis=2)
    change = (delta.mean(axis=2), delta.std(axis=2), np.diff(delta, axis=2).std(axis=2))
    return np.concatenate([cepstrum.mean(axis=2), cepstrum.std(axis=2), low, middle, high, *change], axis=1)


def log_covariance(cepstrum: Array) -> Array:
    """Return the upper triangle of the matrix logarithm of the coefficients' covariance.

    Distances between such vectors are those of the log-Euclidean metric (Arsigny et al. 2006), in which elements off
    the diagonal count twice. The covariance is shrunk towards a multiple of the identity, so it has a logarithm.
    Shapes: [B, n, n_frames] to [B, n (n + 1) / 2].
    """
    n = cepstrum.shape[1]
    centred = cepstrum.astype(np.float64)
    centred -= centred.mean(axis=2, keepdims=True)
    covariance = np.matmul(centred, centred.swapaxes(1, 2)) / cepstrum.shape[2]
    size = np.trace(covariance, axis1=1, axis2=2)[:, None, None] / n
    shrunk = (1 - _SHRINKAGE) * covariance + (_SHRINKAGE * size + _FLOOR_DB2) * np.eye(n)
    values, vectors = np.linalg.eigh(shrunk)
    logarithm = np.matmul(vectors * np.log(np.maximum(values, _FLOOR_DB2))[:, None, :], vectors.swapaxes(1, 2))
    rows, columns = np.triu_indices(n)
    weighted = logarithm[:, rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2))
    return weighted.astype(np.float32)


def pooling(edges: npt.NDArray[np.float64], cells: npt.NDArray[np.float64]) -> Array:
    """Return the weights that average values of cells over intervals; 0 for an interval outside of all cells.

    Shapes: increasing edges [n + 1] and [m + 1] to weights [n, m].

    >>> pooling(np.array([0.0, 2.0, 3.0]), np.array([0.0, 1.0, 4.0])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    shared = np.minimum(edges[1:, None], cells[1:]) - np.maximum(edges[:-1, None], cells[:-1])
    shared = np.maximum(shared, 0)
    return (shared / np.maximum(shared.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)


@cache
def _groups(n_groups: int, n_bands: int) -> Array:
    return pooling(np.linspace(0, n_bands, n_groups + 1), np.arange(n_bands + 1.0))


def _bands(decibels: Array) -> Array:
    bands = np.matmul(_groups(_BANDS, decibels.shape[1]), decibels)
    return np.concatenate([bands.std(axis=2), *np.percentile(bands, _BAND_PERCENTILES, axis=2)], axis=1)


def _contrast(decibels: Array) -> Array:
    """Difference of peaks and valleys in each group of bands (Jiang et al. 2002, on mel bands)."""
    n_bands = decibels.shape[1]
    starts = np.arange(_CONTRAST_GROUPS) * n_bands // _CONTRAST_GROUPS
    peaks, valleys = np.maximum.reduceat(decibels, starts, axis=1), np.minimum.reduceat(decibels, starts, axis=1)
    contrast = peaks - valleys
    return np.concatenate([contrast.mean(axis=2), contrast.std(axis=2), valleys.mean(axis=2)], axis=1)


def _shape(decibels: Array) -> Array:
    """Centre, width and flatness of the spectrum, in bands and dB, and the level: mean and deviation over time."""
    power = np.power(np.float32(10), decibels / 10)
    total = power.sum(axis=1)
    position = np.linspace(0, 1, decibels.shape[1], dtype=np.float32)[:, None]
    centre = (power * position).sum(axis=1) / total
    width = np.sqrt(np.maximum((power * np.square(position)).sum(axis=1) / total - np.square(centre), 0))
    flatness = decibels.mean(axis=1) - 10 * np.log10(total / decibels.shape[1])
    series = np.stack([centre, width, flatness, decibels.mean(axis=1)], axis=1)
    return np.concatenate([series.mean(axis=2), series.std(axis=2)], axis=1)


def modulation(decibels: Array, frame_rate: float) -> Array:
    """Return the log magnitudes of the modulation of groups of bands, at the frequencies of rhythm and texture.

    Shapes: [B, n_mels, n_frames] in dB to [B, 16, 12]: groups of bands, and log-spaced frequencies from 0.4 to 20 Hz.
    """
    series = np.matmul(_groups(_MODULATION_GROUPS, decibels.shape[1]), decibels)
    n_frames = series.shape[2]
    window = np.hanning(n_frames + 2)[1:-1].astype(np.float32)
    series = (series - series.mean(axis=2, keepdims=True)) * (window / window.sum())
    n_fft = max(_MODULATION_FFT, n_frames)
    magnitude = np.abs(np.fft.rfft(series, n_fft, axis=2)).astype(np.float32)
    bin_hz = frame_rate / n_fft
    weights = pooling(_MODULATION_HZ, (np.arange(magnitude.shape[2] + 1) - 0.5) * bin_hz)
    return np.log(np.matmul(magnitude, weights.T) + np.float32(0.01))


def onset_strength(decibels: Array) -> Array:
    """Return the mean increase over the bands from each frame to the next.

    Shapes: [B, n_mels, n_frames] to [B, n_frames - 1].
    """
    onsets = load_librosa().onset.onset_strength(
        S=decibels, lag=1, max_size=1, detrend=False, center=False, aggregate=np.mean
    )
    return onsets[:, 1:]  # librosa puts a 0 before the first difference


def autocorrelation(series: Array, lags: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the autocorrelation divided by its value at lag 0, with linear interpolation between samples.

    It is 0 for lags beyond the end, and for a constant series.
    Shapes: series [B, n] and lags [m] in samples to [B, m].
    """
    n = series.shape[1]
    centred = series.astype(np.float64) - series.mean(axis=1, keepdims=True)
    raw = load_librosa().autocorrelate(centred, axis=1)
    raw = np.concatenate([raw / np.maximum(raw[:, :1], 1e-9), np.zeros((len(raw), 2))], axis=1)
    below = np.minimum(lags.astype(np.int64), n)
    share = np.clip(lags - below, 0, 1)
    return raw[:, below] * (1 - share) + raw[:, below + 1] * share


def _rhythm(onsets: Array, frame_rate: float) -> npt.NDArray[np.float64]:
    """Autocorrelation at the beat periods from 30 to 300 BPM, tempo in octaves above 120 BPM, its weight, and level.

    The tempo is the strongest period under a log-normal preference for 120 BPM (Ellis 2007).
    """
    periodicity = autocorrelation(onsets, 60 * frame_rate / _LAG_BPM)
    octaves = np.log2(_LAG_BPM / _USUAL_BPM)
    best = (np.maximum(periodicity, 0) * np.exp(-0.5 * np.square(octaves))).argmax(axis=1)
    strongest = np.take_along_axis(periodicity, best[:, None], axis=1)
    return np.concatenate([periodicity, octaves[best][:, None], strongest, onsets.mean(axis=1)[:, None]], axis=1)


def chroma(decibels: Array, front_end: FeatureConfig) -> Array:
    """Return the shares of the twelve pitch classes, A first, of the amplitude from 440 to 3,520 Hz.

    Shapes: [B, n_mels, n_frames] in dB to [B, 12, n_frames]; 0 if the front end has no band in this range.
    """
    classes = np.matmul(_pitch_classes(front_end), np.power(np.float32(10), decibels / 20))
    return classes / np.maximum(classes.sum(axis=1, keepdims=True), np.float32(1e-9))


@cache
def _pitch_classes(front_end: FeatureConfig) -> Array:
    # Each band ends halfway between its centre and the next one's, on the mel scale.
    halves = load_librosa().mel_frequencies(
        2 * front_end.n_mels + 3, fmin=front_end.fmin, fmax=front_end.fmax_hz, htk=False
    )
    bands = np.log2(np.maximum(halves[1::2], 1.0))
    semitones = np.log2(_LOWEST_PITCH_HZ) + (np.arange(12 * _OCTAVES + 1) - 0.5) / 12
    return pooling(semitones, bands).reshape(_OCTAVES, 12, -1).mean(axis=0)


def tonnetz(classes: Array) -> npt.NDArray[np.float64]:
    """Return positions on the circles of fifths, minor and major thirds, two coordinates each (Harte et al. 2006).

    Shapes: shares [B, 12, n_frames], with a sum over the classes of 1 or 0, to [B, 6, n_frames].
    """
    return load_librosa().feature.tonnetz(chroma=classes)
