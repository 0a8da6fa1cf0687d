"""Augmented variants of a fragment: time stretch, pitch shift, noise, and a narrower band.

Each is applied to the track's audio around the fragment, so a stretched fragment is filled with the music that follows
instead of silence. The random values depend only on seed, track, fragment and variant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from genrekit._types import FloatArray
from genrekit.audio.fragments import cut
from genrekit.config import Augmentation, variant_kind

ComplexArray = npt.NDArray[np.complex64]

_N_FFT, _HOP = 2_048, 512
_MARGIN = 2 * _N_FFT


class Waveform(Protocol):
    """A waveform float32 [n], or what has its length and its slices."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> FloatArray: ...


def variant_generator(augment_seed: int, track_id: str, fragment: int, variant: str) -> np.random.Generator:
    """Return the generator for one variant of one fragment: the same on every machine, in every order."""
    key = f"{augment_seed}\0{track_id}\0{fragment}\0{variant}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "little"))


def draw_strengths(variant: str, augmentation: Augmentation, generator: np.random.Generator) -> dict[str, float]:
    """Draw the kinds of augmentation of a variant, and the strength of each uniformly from its range.

    A chain has each enabled kind with probability 1/2, and at least one. Other variants have one kind.
    """
    kinds = [variant_kind(variant)]
    if kinds == ["chain"]:
        chosen = generator.random(len(augmentation.kinds)) < 0.5
        chosen[generator.integers(len(chosen))] |= not chosen.any()
        kinds = [kind for kind, is_chosen in zip(augmentation.kinds, chosen, strict=True) if is_chosen]
    return {kind: float(generator.uniform(*getattr(augmentation, kind))) for kind in kinds}


def augmented_fragment(
    waveform: Waveform,
    start: int,
    n_samples: int,
    strengths: Mapping[str, float],
    sample_rate: int,
    generator: np.random.Generator,
) -> FloatArray:
    """Return one variant of the fragment that starts at sample `start` of a track's waveform.

    `strengths` maps each kind to its speed factor, semitones, signal-to-noise ratio in dB, or share of the sample
    rate. The order is tempo, pitch, bandwidth, noise, as in a recording. A result that exceeds 1 is scaled down.
    Shapes: waveform float32 [n_track], result float32 [n_samples].
    """
    speed = strengths.get("time_stretch", 1.0)
    changed, offset = _context(waveform, start, round(n_samples * speed))
    if "time_stretch" in strengths:
        changed, offset = time_stretch(changed, speed), round(offset / speed)
    if "pitch_shift" in strengths:
        changed = pitch_shift(changed, strengths["pitch_shift"])
    if "resampling" in strengths:
        changed = resample_band(changed, sample_rate, strengths["resampling"])
    changed = cut(changed, offset, n_samples)
    if "noise" in strengths:
        changed = add_noise(changed, strengths["noise"], generator)
    peak = np.abs(changed).max(initial=0)
    return changed / peak if peak > 1 else changed


def earliest_sample(start: int, n_samples: int, n_track: int, augmentation: Augmentation) -> int:
    """Return the first sample of a track that any variant of a fragment at `start` depends on."""
    fastest = augmentation.time_stretch[1] if augmentation.augment else 1.0
    return max(0, min(start, n_track - max(n_samples, round(n_samples * fastest))) - _MARGIN)


def _context(waveform: Waveform, start: int, needed: int) -> tuple[FloatArray, int]:
    """Return the audio around a fragment, and the fragment's start within it.

    If the track has fewer than `needed` samples after the start, the fragment starts earlier.
    """
    start = max(0, min(start, len(waveform) - needed))
    before = min(start, _MARGIN)
    return waveform[start - before : start + needed + _MARGIN], before


def time_stretch(waveform: FloatArray, rate: float) -> FloatArray:
    """Change the tempo by a factor and keep the pitch, with a phase vocoder.

    After Flanagan and Golden (1966) and Laroche and Dolson (1999). Phases are products of unit phasors: the ratio of
    the phasors of neighbouring frames is the phase advance over one hop, so no angle must be computed and unwrapped.
    Shapes: float32 [n] to float32 [round(n / rate)].
    """
    spectrum = _stft(waveform)
    steps = np.arange(0, spectrum.shape[0], rate)
    spectrum = np.concatenate([spectrum, np.zeros((2, spectrum.shape[1]), spectrum.dtype)])
    left = steps.astype(np.int64)
    weight = (steps - left).astype(np.float32)[:, None]
    magnitude = np.abs(spectrum)
    advance = spectrum[1:] * np.conj(spectrum[:-1])
    size = np.abs(advance)
    advance = np.where(size > 0, advance / np.maximum(size, np.finfo(np.float32).tiny), 1).astype(np.complex64)
    phasor = np.empty((len(steps), spectrum.shape[1]), np.complex64)
    phasor[0] = _unit(spectrum[0])
    np.cumprod(advance[left[:-1]], axis=0, out=phasor[1:])
    phasor[1:] *= phasor[0]
    stretched = _unit(phasor) * ((1 - weight) * magnitude[left] + weight * magnitude[left + 1])
    return _istft(stretched, round(len(waveform) / rate))


def _unit(values: ComplexArray) -> ComplexArray:
    size = np.abs(values)
    return np.where(size > 0, values / np.maximum(size, np.finfo(np.float32).tiny), 1).astype(np.complex64)


def pitch_shift(waveform: FloatArray, semitones: float) -> FloatArray:
    """Change the pitch and keep the tempo: stretch in time, then resample by the same factor.

    Shapes: float32 [n] to float32 [n].
    """
    factor = 2 ** (semitones / 12)
    stretched = time_stretch(waveform, 1 / factor)
    return cut(soxr.resample(stretched, factor, 1.0, quality="HQ"), 0, len(waveform))


def add_noise(waveform: FloatArray, snr_db: float, generator: np.random.Generator) -> FloatArray:
    """Add white Gaussian noise at a signal-to-noise ratio in dB, relative to the waveform's own power."""
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    noise = generator.standard_normal(len(waveform), dtype=np.float32)
    return waveform + noise * np.float32(np.sqrt(power * 10 ** (-snr_db / 10)))


def resample_band(waveform: FloatArray, sample_rate: int, share: float) -> FloatArray:
    """Resample to a share of the sample rate and back. This removes all frequencies above half the lower rate.

    Shapes: float32 [n] to float32 [n].
    """
    lower = soxr.resample(waveform, sample_rate, sample_rate * share, quality="HQ")
    return cut(soxr.resample(lower, sample_rate * share, sample_rate, quality="HQ"), 0, len(waveform))


def _window() -> FloatArray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)


def _stft(waveform: FloatArray) -> ComplexArray:
    """Short-time spectra, complex64 [n_frames, bins], centred with zeros at the edges."""
    from scipy.fft import rfft

    padded = np.pad(waveform, _N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP]
    return rfft(frames * _window(), axis=1, overwrite_x=True)


def _istft(spectrum: ComplexArray, n_samples: int) -> FloatArray:
    """Return the waveform whose windowed frames are nearest to the spectra (Griffin and Lim 1984)."""
    from scipy.fft import irfft

    window = _window()
    frames = irfft(spectrum, _N_FFT, axis=1, overwrite_x=True) * window
    overlap = _N_FFT // _HOP
    total = np.zeros((len(frames) + overlap - 1, _HOP), np.float32)
    weight = np.zeros_like(total)
    squared = np.square(window).reshape(overlap, _HOP)
    pieces = frames.reshape(len(frames), overlap, _HOP)
    for offset in range(overlap):
        total[offset : offset + len(frames)] += pieces[:, offset]
        weight[offset : offset + len(frames)] += squared[offset]
    waveform = (total / np.maximum(weight, 1e-8)).reshape(-1)[_N_FFT // 2 :]
    return cut(waveform.astype(np.float32, copy=False), 0, n_samples)
