"""A loaded model predicts files and waveforms."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from signals import sine, white_noise
from tiny_bundle import describe
from tiny_training import FRONT_END, tiny_config, tiny_model

from genrekit._types import FloatArray
from genrekit.audio.resample import resample
from genrekit.errors import UsageError
from genrekit.inference.model import GenreModel, load_model
from genrekit.inference.prediction import as_mono_batch
from genrekit.models.bundle import save_bundle

RATE = 2_205


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> GenreModel:
    folder = tmp_path_factory.mktemp("model") / "best"
    config = tiny_config()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_bundle(folder, tiny_model(config), describe(config))
    return load_model(folder)


def song(seconds: float = 3.2, seed: int = 0) -> FloatArray:
    n_samples = round(seconds * RATE)
    return sine(110 + 40 * seed, n_samples, RATE, 0.4) + white_noise(n_samples, seed, amplitude=0.2)


def write(path: Path, samples: FloatArray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize("hop_seconds", [None, 0.25])
def test_a_waveform_gives_the_probabilities_of_its_file(
    tmp_path: Path, model: GenreModel, subtype: str, hop_seconds: float | None
) -> None:
    path = write(tmp_path / "song.wav", song(), subtype)
    samples, rate = soundfile.read(path, dtype="float32")
    predicted = model.predict(path, hop_seconds=hop_seconds)
    probabilities = model.predict_proba(samples, rate, hop_seconds=hop_seconds)
    assert len(predicted.fragments) > 2
    assert probabilities.shape == (2,)
    assert probabilities.dtype == np.float32
    # Only the rounding to float32 differs.
    np.testing.assert_allclose(probabilities, [*predicted.probabilities.values()], rtol=0, atol=1e-6)


def test_a_stereo_waveform_gives_the_probabilities_of_its_file(tmp_path: Path, model: GenreModel) -> None:
    stereo = np.stack([song(seed=1), 0.5 * song(seed=2)])
    predicted = model.predict(write(tmp_path / "song.wav", stereo.T))
    probabilities = model.predict_proba(stereo[None], RATE)
    assert probabilities.shape == (1, 2)
    np.testing.assert_allclose(probabilities[0], [*predicted.probabilities.values()], rtol=0, atol=1e-6)


def test_each_waveform_of_a_batch_is_a_track_of_its_own(model: GenreModel) -> None:
    batch = np.stack([song(seed=1), 0.01 * song(seed=2), 0 * song()])
    together = model.predict_proba(batch, RATE)
    assert together.shape == (3, 2)
    np.testing.assert_array_equal(together, [model.predict_proba(waveform, RATE) for waveform in batch])
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(together[0], together[1], atol=1e-4)


def test_a_waveform_shorter_than_a_fragment_is_padded_as_a_file_is(tmp_path: Path, model: GenreModel) -> None:
    short = song(0.3)
    predicted = model.predict(write(tmp_path / "song.wav", short))
    assert len(predicted.fragments) == 1
    expected = [*predicted.probabilities.values()]
    np.testing.assert_allclose(model.predict_proba(short, RATE), expected, rtol=0, atol=1e-6)


def test_the_argument_is_not_changed(model: GenreModel) -> None:
    waveform = song()
    before = waveform.copy()
    model.predict_proba(waveform, RATE)
    np.testing.assert_array_equal(waveform, before)


def test_several_paths_give_a_list_and_one_path_gives_one_prediction(tmp_path: Path, model: GenreModel) -> None:
    paths = [write(tmp_path / f"{seed}.wav", song(seed=seed)) for seed in range(3)]
    assert model.predict(paths) == [model.predict(path) for path in paths]
    assert model.predict(str(paths[0])).path == paths[0]
    assert model.predict([]) == []


def test_a_prediction_below_the_minimum_is_not_confident(tmp_path: Path, model: GenreModel) -> None:
    path = write(tmp_path / "song.wav", song())
    assert [model.predict(path, min_confidence=least).confident for least in (0.0, 1.0)] == [True, False]


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        ([], r"must not be empty, got the shape \[0\]"),
        (np.zeros((2, 0)), r"must not be empty, got the shape \[2, 0\]"),
        (np.zeros(()), r"must have the shape .*, got \[\]"),
        (np.zeros((1, 1, 1, RATE)), r"must have the shape .*, got \[1, 1, 1, 2205\]"),
        (np.zeros(RATE, np.int16), "must have floating-point samples in .*, got int16"),
        (np.full(RATE, np.nan), "finite samples, got NaN or infinity"),
        (np.full(RATE, np.inf), "finite samples, got NaN or infinity"),
        (np.zeros(100), "must last at least 0.1 s, got 0.0454 s"),
        (np.full(RATE, 3e38), "too large"),
    ],
)
def test_a_waveform_that_is_not_a_track_is_an_error_of_one_line(
    model: GenreModel, waveform: FloatArray, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        model.predict_proba(waveform, RATE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rate", [0, -1, 999, 1_000_001, float("nan"), float("inf")])
def test_an_impossible_sample_rate_is_an_error(model: GenreModel, rate: float) -> None:
    with pytest.raises(UsageError, match=r"sample_rate must be in 1000\.\.1000000 Hz, got"):
        model.predict_proba(song(), rate)


def test_a_hop_that_leaves_gaps_is_an_error(model: GenreModel) -> None:
    with pytest.raises(UsageError, match=r"hop_seconds must be at most .* \(0.512 s\), got 1"):
        model.predict_proba(song(), RATE, hop_seconds=1)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 50))
def test_channels_are_averaged(n_waveforms: int, n_channels: int, n_samples: int) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, (n_waveforms, n_channels, n_samples))
    mono = as_mono_batch(batch, RATE)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, batch.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("to_rate", [RATE, 2 * RATE, FRONT_END.sample_rate])
def test_resampling_keeps_the_duration(to_rate: int) -> None:
    assert len(resample(song(1.0), RATE, to_rate)) == pytest.approx(to_rate, abs=1)
