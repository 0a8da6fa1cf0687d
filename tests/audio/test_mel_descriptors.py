"""Statistics of mel spectrograms: against formulas, and for known sounds."""

import numpy as np
import pytest
import scipy.linalg

from genrekit.audio.features import hz_to_mel, mel_spectrogram, mel_to_hz, to_unit_db
from genrekit.audio.mel_descriptors import (
    N_STATISTICS,
    autocorrelation,
    chroma,
    log_covariance,
    mel_statistics,
    mfcc,
    modulation,
    onset_strength,
    pooling,
    tonnetz,
)
from genrekit.config import FeatureConfig

FRONT_END = FeatureConfig()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_mfcc_are_the_orthonormal_cosine_transform_of_the_bands() -> None:
    decibels = 80 * noise(2, 128, 30)
    basis = np.sqrt(2 / 128) * np.cos(np.pi * np.arange(20)[:, None] * (np.arange(128) + 0.5) / 128)
    basis[0] = np.sqrt(1 / 128)
    np.testing.assert_allclose(mfcc(decibels), basis @ decibels, atol=2e-3)


def test_mfcc_beyond_the_number_of_bands_are_zero() -> None:
    coefficients = mfcc(noise(1, 6, 9))
    assert coefficients.shape == (1, 20, 9)
    assert not coefficients[:, 6:].any()
    assert coefficients[:, :6].all()


def test_log_covariance_is_the_matrix_logarithm() -> None:
    series = noise(1, 4, 50) * 9
    covariance = np.cov(series[0], bias=True)
    shrunk = 0.95 * covariance + (0.05 * np.trace(covariance) / 4 + 0.01) * np.eye(4)
    logarithm = scipy.linalg.logm(shrunk)
    expected = [logarithm[i, j] * (1 if i == j else 2**0.5) for i in range(4) for j in range(i, 4)]
    np.testing.assert_allclose(log_covariance(series)[0], expected, atol=1e-5)


def test_distances_of_log_covariances_are_those_of_matrices() -> None:
    one, two = log_covariance(np.stack([noise(4, 50) * 9, noise(50, 4).T * 3])).astype(np.float64)
    upper = np.triu_indices(4)
    matrix = np.zeros((4, 4))
    matrix[upper] = (one - two) / np.where(upper[0] == upper[1], 1, 2**0.5)
    whole = matrix + matrix.T - np.diag(np.diag(matrix))
    assert np.linalg.norm(one - two) == pytest.approx(np.linalg.norm(whole))


def test_pooling_keeps_a_constant_and_is_0_beyond_the_cells() -> None:
    weights = pooling(np.array([0.3, 0.4, 2.7, 9.0, 11.0]), np.arange(6.0))
    np.testing.assert_allclose(weights.sum(axis=1), [1, 1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("beat_hz", [1.0, 4.0, 12.0])
def test_a_tremolo_peaks_at_its_frequency_in_its_band(beat_hz: float) -> None:
    rate = 43.0
    decibels = np.full((1, 128, 216), 40, dtype=np.float32)
    decibels[0, 64:72] += 10 * np.sin(2 * np.pi * beat_hz * np.arange(216) / rate).astype(np.float32)
    found = modulation(decibels, rate)[0]
    edges = np.geomspace(0.4, 20, 13)
    group, frequency = np.unravel_index(found.argmax(), found.shape)
    assert group == 8
    assert edges[frequency] <= beat_hz <= edges[frequency + 1]


def test_autocorrelation_is_the_formulas() -> None:
    series = noise(1, 40)
    centred = series[0].astype(np.float64) - series[0].mean(dtype=np.float32)
    whole = np.correlate(centred, centred, "full")[39:] / (centred @ centred)
    found = autocorrelation(series, np.array([0, 3, 7.25, 39, 400]))
    np.testing.assert_allclose(found[0], [1, whole[3], 0.75 * whole[7] + 0.25 * whole[8], whole[39], 0], atol=1e-6)


@pytest.mark.parametrize("bpm", [75.0, 120.0, 160.0])
def test_the_tempo_of_clicks_is_found(bpm: float) -> None:
    rate = FRONT_END.sample_rate / FRONT_END.hop_length
    mel = np.zeros((1, 128, 216), dtype=np.float32)
    mel[:, :, np.arange(0, 216, rate * 60 / bpm).astype(int)] = 1
    octaves = mel_statistics(mel, FRONT_END)[0, -3 - 36]
    assert 120 * 2**octaves == pytest.approx(bpm, rel=0.05)


def test_onsets_are_rises_only() -> None:
    decibels = np.array([[[0, 3, 1, 1], [0, 1, 1, 5]]], dtype=np.float32)
    assert onset_strength(decibels).tolist() == [[2, 0, 2]]


@pytest.mark.parametrize("semitones", range(12))
@pytest.mark.parametrize("octave", [1, 2])
def test_a_tone_has_its_pitch_class(semitones: int, octave: int) -> None:
    hz = 440 * 2 ** (octave + semitones / 12)
    tone = np.sin(2 * np.pi * hz * np.arange(FRONT_END.n_samples) / FRONT_END.sample_rate).astype(np.float32)
    power = mel_spectrogram(FRONT_END).power(tone)
    decibels = 80 * to_unit_db(power, float(power.max()), 80.0)[None]
    found = chroma(decibels, FRONT_END)
    assert np.bincount(found[0].argmax(axis=0), minlength=12).argmax() == semitones
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_pitch_classes_without_a_band_are_0() -> None:
    low = FeatureConfig.of({"fmax": 300.0, "n_mels": 16})
    assert not chroma(noise(2, 16, 20), low).any()


def test_the_tonnetz_is_the_centre_of_the_classes_on_three_circles() -> None:
    """Harte et al. 2006, equation 2, with the classes counted from A."""
    classes = np.abs(noise(1, 12, 30)) + 0.1
    classes /= classes.sum(axis=1, keepdims=True)
    radii, turns = (1.0, 1.0, 0.5), (7 / 6, 3 / 2, 2 / 3)
    angles = np.pi * np.arange(12)
    circles = [
        radius * wave(turn * angles) for radius, turn in zip(radii, turns, strict=True) for wave in (np.sin, np.cos)
    ]
    np.testing.assert_allclose(tonnetz(classes)[0], np.stack(circles) @ classes[0], atol=1e-5)


def test_the_tonnetz_of_no_pitch_class_is_zero() -> None:
    assert not tonnetz(np.zeros((1, 12, 5), dtype=np.float32)).any()


def test_a_bands_pitch_class_is_that_between_its_halfway_points() -> None:
    """With one band per pitch class or finer, a loud band moves the share of its own class alone."""
    front_end = FeatureConfig.of({"fmin": 440.0, "fmax": 880.0, "n_mels": 48})
    low, high = hz_to_mel([440.0, 880.0])
    edges = mel_to_hz(low + (high - low) / 49 * (np.arange(49) + 0.5))
    for band in range(48):
        decibels = np.zeros((1, 48, 1), dtype=np.float32)
        decibels[0, band] = 120
        classes = {round(12 * np.log2(edge / 440)) % 12 for edge in edges[band : band + 2]}
        shares = chroma(decibels, front_end)[0, :, 0]
        assert shares[list(classes)].sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 216), (16, 16), (5, 9), (300, 2000)])
def test_every_front_end_has_as_many_statistics_and_all_are_numbers(n_mels: int, n_frames: int) -> None:
    front_end = FRONT_END.model_copy(update={"n_mels": n_mels})
    for values in (noise(3, n_mels, n_frames), np.zeros((3, n_mels, n_frames), dtype=np.float32)):
        found = mel_statistics(values, front_end)
        assert found.shape == (3, N_STATISTICS)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_a_fragments_statistics_do_not_depend_on_its_neighbours() -> None:
    mels = noise(4, 128, 216)
    np.testing.assert_allclose(mel_statistics(mels[2:3], FRONT_END)[0], mel_statistics(mels, FRONT_END)[2], atol=1e-3)


def test_float16_rows_of_a_cache_are_read_as_float32() -> None:
    mels = noise(2, 128, 20).astype(np.float16)
    assert np.array_equal(mel_statistics(mels, FRONT_END), mel_statistics(mels.astype(np.float32), FRONT_END))
