"""Landmarks identify copies of a recording, and only these."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.fingerprint import LANDMARKS, Landmarks, landmarks
from genrekit.audio.transform import unit_mels
from genrekit.config import FeatureConfig

FRONT_END = FeatureConfig(sample_rate=16_000, n_fft=1_024, n_mels=64)


def notes(seed: int, n_samples: int) -> FloatArray:
    """A tune of short tones at random."""
    generator = np.random.default_rng(seed)
    tune = 0.01 * white_noise(n_samples)
    for start in range(0, n_samples - 4_000, 2_500):
        tune[start : start + 4_000] += sine(generator.uniform(200, 4_000), 4_000, 16_000, 0.3)
    return tune


def marks(waveform: FloatArray) -> Landmarks:
    return landmarks(unit_mels([waveform], FRONT_END)[0])


def codes(found: Landmarks) -> set[int]:
    return set((found[found > 0] >> np.uint64(32)).tolist())


def test_a_quieter_copy_has_the_same_landmarks() -> None:
    tune = notes(0, FRONT_END.n_samples)
    np.testing.assert_array_equal(marks(tune), marks(0.125 * tune))


def test_a_noisy_copy_shares_most_landmarks_and_another_tune_next_to_none() -> None:
    tune, other = notes(0, FRONT_END.n_samples), notes(1, FRONT_END.n_samples)
    noisy = tune + 0.003 * white_noise(len(tune), seed=5)
    assert len(codes(marks(tune)) & codes(marks(noisy))) > 0.6 * LANDMARKS
    assert len(codes(marks(tune)) & codes(marks(other))) < 0.1 * LANDMARKS


def test_a_later_peak_has_the_same_code_and_a_later_frame() -> None:
    mel = np.zeros((64, 200), np.float32)
    for band, frame in ((10, 20), (15, 30), (40, 28)):
        mel[band, frame] = 1
    later = np.roll(mel, 50, axis=1)
    first, second = landmarks(mel), landmarks(later)
    assert codes(first) == codes(second) != set()
    np.testing.assert_array_equal(second[second > 0] - first[first > 0], np.uint64(50))


def test_silence_has_no_landmarks() -> None:
    assert not landmarks(np.zeros((64, 200), np.float32)).any()


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 10))
@settings(max_examples=60)
def test_pictures_of_any_size_give_a_fixed_number_of_places(n_mels: int, n_frames: int, seed: int) -> None:
    mel = np.random.default_rng(seed).random((n_mels, n_frames), np.float32)
    found = landmarks(mel)
    assert found.shape == (LANDMARKS,)
    frames = (found[found > 0] & np.uint64(0xFFFF_FFFF)).astype(int)
    assert ((frames >= 0) & (frames < n_frames)).all()
