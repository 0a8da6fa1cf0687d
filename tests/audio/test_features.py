import librosa
import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signals import click, sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.features import (
    MelSpectrogram,
    hz_to_mel,
    mel_filters,
    mel_spectrogram,
    mel_to_hz,
    power_stft,
    to_unit_db,
)
from genrekit.config import FeatureConfig

DEFAULT = FeatureConfig()
FRONT_ENDS = [
    pytest.param(DEFAULT, id="default"),
    pytest.param(
        FeatureConfig(sample_rate=16_000, duration_s=1, n_fft=1_024, hop_length=160, n_mels=40, fmin=0, fmax=7_000),
        id="speech",
    ),
    pytest.param(
        FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=300, hop_length=77, n_mels=12, fmin=100),
        id="no-power-of-two",
    ),
]
SMALL = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)


def power(front_end: FeatureConfig, waveform: FloatArray) -> FloatArray:
    return MelSpectrogram(front_end).power(waveform)


class TestMelScale:
    """Slaney's scale: linear to 1 kHz, logarithmic above."""

    def test_1_khz_is_15_mel_and_6_4_khz_is_42(self) -> None:
        assert hz_to_mel([0, 1_000, 6_400]) == pytest.approx([0, 15, 42])

    def test_it_is_that_of_librosa(self) -> None:
        hz = np.linspace(0, 24_000, 5_000)
        np.testing.assert_allclose(hz_to_mel(hz), librosa.hz_to_mel(hz, htk=False), rtol=1e-12)
        mel = np.linspace(0, 60, 5_000)
        np.testing.assert_allclose(mel_to_hz(mel), librosa.mel_to_hz(mel, htk=False), rtol=1e-12)

    @given(st.floats(0, 200_000))
    def test_conversion_to_mel_and_back_changes_nothing(self, hz: float) -> None:
        assert float(mel_to_hz(hz_to_mel(hz))) == pytest.approx(hz, rel=1e-12, abs=1e-9)


class TestFilters:
    """Triangles on the mel scale, of equal area."""

    @pytest.mark.parametrize("front_end", FRONT_ENDS)
    def test_they_are_those_of_librosa(self, front_end: FeatureConfig) -> None:
        expected = librosa.filters.mel(
            sr=front_end.sample_rate,
            n_fft=front_end.n_fft,
            n_mels=front_end.n_mels,
            fmin=front_end.fmin,
            fmax=front_end.fmax_hz,
            htk=False,
            norm="slaney",
            dtype=np.float64,
        )
        np.testing.assert_allclose(mel_filters(front_end), expected, rtol=1e-9, atol=1e-15)

    @pytest.mark.parametrize("front_end", FRONT_ENDS)
    def test_they_are_those_of_torchaudio(self, front_end: FeatureConfig) -> None:
        expected = torchaudio.functional.melscale_fbanks(
            n_freqs=front_end.n_fft // 2 + 1,
            f_min=front_end.fmin,
            f_max=front_end.fmax_hz,
            n_mels=front_end.n_mels,
            sample_rate=front_end.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        np.testing.assert_allclose(mel_filters(front_end), expected.numpy().T, atol=1e-6)

    def test_each_band_has_area_1(self) -> None:
        fine = FeatureConfig(n_fft=65_536, n_mels=64)
        areas = mel_filters(fine).sum(axis=1) * fine.sample_rate / fine.n_fft
        assert areas == pytest.approx(np.ones(64), rel=1e-3)

    def test_frequencies_outside_fmin_and_fmax_are_ignored(self) -> None:
        front_end = FeatureConfig(fmin=200, fmax=4_000)
        bins = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate)
        heard = mel_filters(front_end).sum(axis=0) > 0
        assert not heard[(bins <= 200) | (bins >= 4_000)].any()
        assert heard[(bins > 220) & (bins < 3_950)].all()


class TestPower:
    """Mel power of one fragment."""

    @pytest.mark.parametrize("front_end", FRONT_ENDS)
    def test_it_is_that_of_librosa(self, front_end: FeatureConfig) -> None:
        waveform = white_noise(front_end.n_samples)
        expected = librosa.feature.melspectrogram(
            y=waveform,
            sr=front_end.sample_rate,
            n_fft=front_end.n_fft,
            hop_length=front_end.hop_length,
            win_length=front_end.n_fft,
            window="hann",
            center=True,
            pad_mode="reflect",
            power=2.0,
            n_mels=front_end.n_mels,
            fmin=front_end.fmin,
            fmax=front_end.fmax_hz,
            htk=False,
            norm="slaney",
        )
        np.testing.assert_allclose(power(front_end, waveform), expected, rtol=1e-4, atol=1e-9)

    @pytest.mark.parametrize("front_end", FRONT_ENDS)
    def test_it_is_that_of_torchaudio(self, front_end: FeatureConfig) -> None:
        waveform = white_noise(front_end.n_samples)
        transform = torchaudio.transforms.MelSpectrogram(
            sample_rate=front_end.sample_rate,
            n_fft=front_end.n_fft,
            win_length=front_end.n_fft,
            hop_length=front_end.hop_length,
            f_min=front_end.fmin,
            f_max=front_end.fmax_hz,
            pad=0,
            n_mels=front_end.n_mels,
            window_fn=torch.hann_window,
            wkwargs={"periodic": True},
            power=2.0,
            normalized=False,
            center=True,
            pad_mode="reflect",
            norm="slaney",
            mel_scale="slaney",
        )
        expected = transform(torch.from_numpy(waveform)).numpy()
        np.testing.assert_allclose(power(front_end, waveform), expected, rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize("frequency_hz", [110.0, 440.0, 1_000.0, 4_186.0, 9_000.0])
    def test_a_sine_peaks_in_its_mel_band(self, frequency_hz: float) -> None:
        low, high = hz_to_mel([DEFAULT.fmin, DEFAULT.fmax_hz])
        centres = mel_to_hz(np.linspace(low, high, DEFAULT.n_mels + 2))[1:-1]
        mel = power(DEFAULT, sine(frequency_hz, DEFAULT.n_samples, DEFAULT.sample_rate))
        bands = mel[:, 2:-2].argmax(axis=0)
        # Two bins of 10.8 Hz are the least that a window of 2,048 samples tells apart.
        assert np.all(np.abs(centres[bands] - frequency_hz) <= max(21.6, 0.03 * frequency_hz))
        assert len(set(bands.tolist())) == 1

    def test_a_click_sounds_in_the_frames_around_it_and_in_no_other(self) -> None:
        mel = power(SMALL, click(2_560, SMALL.n_samples))
        assert np.flatnonzero(mel.sum(axis=0) > 1e-12).tolist() == [10]
        mel = power(SMALL, click(2_600, SMALL.n_samples))
        assert np.flatnonzero(mel.sum(axis=0) > 1e-12).tolist() == [10, 11]

    def test_twice_the_amplitude_is_four_times_the_power(self) -> None:
        waveform = white_noise(SMALL.n_samples)
        np.testing.assert_allclose(power(SMALL, 2 * waveform), 4 * power(SMALL, waveform), rtol=1e-5)

    @given(n_fft=st.integers(16, 600), data=st.data())
    @settings(max_examples=60)
    def test_its_shape_is_what_the_configuration_says(self, n_fft: int, data: st.DataObject) -> None:
        hop_length = data.draw(st.integers(1, n_fft), label="hop_length")
        n_samples = data.draw(st.integers(n_fft // 2 + 1, 1_500), label="n_samples")
        front_end = FeatureConfig(
            sample_rate=8_000, duration_s=n_samples / 8_000, n_fft=n_fft, hop_length=hop_length, n_mels=4
        )
        mel = power(front_end, white_noise(front_end.n_samples))
        assert mel.shape == front_end.shape("mel")
        assert mel.dtype == np.float32
        assert mel.min() >= 0

    def test_an_odd_window_is_centred_as_in_librosa(self) -> None:
        front_end = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=301, hop_length=80, n_mels=8, fmin=100)
        waveform = white_noise(front_end.n_samples)
        spectrum = librosa.stft(waveform, n_fft=301, hop_length=80, win_length=301, pad_mode="reflect")
        expected = mel_filters(front_end) @ np.abs(spectrum) ** 2
        ours = power(front_end, waveform)
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-4)

    def test_equal_front_ends_share_one_spectrogram(self) -> None:
        assert mel_spectrogram(FeatureConfig(n_mels=64)) is mel_spectrogram(FeatureConfig(n_mels=64))
        assert mel_spectrogram(FeatureConfig(n_mels=64)) is not mel_spectrogram(FeatureConfig(n_mels=65))


POWERS = arrays(np.float32, st.integers(1, 30), elements=st.floats(0, 1e6, width=32))


class TestUnitDb:
    """Decibels below a reference, mapped to [0, 1]."""

    def test_the_reference_is_1_and_top_db_below_it_is_0(self) -> None:
        values = to_unit_db(np.array([2, 0.2, 2e-4, 2e-8, 2e-9, 0], np.float32), 2.0, 80.0)
        assert values == pytest.approx([1, 0.875, 0.5, 0, 0, 0], abs=1e-6)

    @given(POWERS, st.floats(1e-6, 1e6), st.floats(1, 200))
    def test_values_are_within_0_and_1(self, values: FloatArray, reference: float, top_db: float) -> None:
        unit = to_unit_db(values, reference, top_db)
        assert unit.dtype == np.float32
        assert np.all((unit >= 0) & (unit <= 1))

    @given(POWERS)
    def test_what_is_louder_is_not_lower(self, values: FloatArray) -> None:
        ordered = np.sort(values)
        assert np.all(np.diff(to_unit_db(ordered, float(ordered[-1]), 80.0)) >= 0)

    @given(POWERS, st.integers(-60, 60))
    def test_a_quiet_clip_and_its_louder_copy_are_equal(self, values: FloatArray, exponent: int) -> None:
        values = np.where(values > 1e-6, values, 0).astype(np.float32)
        factor = np.float32(2.0**exponent)
        louder = to_unit_db(values * factor, float(values.max() * factor), 80.0)
        np.testing.assert_array_equal(louder, to_unit_db(values, float(values.max()), 80.0))

    def test_it_is_power_to_db_of_librosa(self) -> None:
        mel = power(DEFAULT, white_noise(DEFAULT.n_samples) * np.linspace(0, 1, DEFAULT.n_samples, dtype=np.float32))
        decibels = librosa.power_to_db(mel, ref=float(mel.max()), amin=1e-30, top_db=80.0)
        np.testing.assert_allclose(to_unit_db(mel, float(mel.max()), 80.0), decibels / 80 + 1, atol=1e-5)

    def test_silence_is_all_0(self) -> None:
        assert not to_unit_db(np.zeros((2, 3), np.float32), 0.0, 80.0).any()

    def test_the_power_is_left_as_it_was(self) -> None:
        values = np.array([0.5, 0.25, 0], np.float32)
        to_unit_db(values, 0.5, 80.0)
        assert values.tolist() == [0.5, 0.25, 0]


class TestPowerSpectrogram:
    """The linear power spectrogram, which has neither bands nor decibels."""

    @pytest.mark.parametrize("n_samples", [201, 399, 4_000, 4_001, 110_250])
    def test_it_is_that_of_torchaudio_by_default(self, n_samples: int) -> None:
        waveforms = np.stack([white_noise(n_samples, seed=1), 0.01 * white_noise(n_samples, seed=2)])
        spelled_out = torchaudio.transforms.Spectrogram(
            n_fft=400,
            win_length=400,
            hop_length=200,
            pad=0,
            window_fn=torch.hann_window,
            power=2.0,
            normalized=False,
            wkwargs={"periodic": True},
            center=True,
            pad_mode="reflect",
            onesided=True,
        )
        found = power_stft(waveforms)
        for expected in (
            spelled_out(torch.from_numpy(waveforms)),
            torchaudio.transforms.Spectrogram()(torch.from_numpy(waveforms)),
        ):
            for ours, theirs in zip(found, expected.numpy(), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * float(theirs.max()))

    def test_it_has_the_shape_that_the_front_end_says(self) -> None:
        for front_end in (DEFAULT, SMALL):
            found = power_stft(np.zeros((3, front_end.n_samples), dtype=np.float32))
            assert found.shape == (3, *front_end.shape("stft"))
            assert found.dtype == np.float32
            assert not found.any()

    def test_a_sine_in_the_middle_of_a_bin_has_the_power_of_half_the_windows_sum(self) -> None:
        waveform = 0.5 * np.sin(2 * np.pi * 40 * np.arange(4_000) / 400)
        found = power_stft(waveform.astype(np.float32)[None])[0, :, 1:-1]
        assert (found.argmax(axis=0) == 40).all()
        np.testing.assert_allclose(found[40], (0.5 * 200 / 2) ** 2, rtol=1e-4)

    def test_twice_the_amplitude_is_four_times_the_power(self) -> None:
        waveform = white_noise(1_000, seed=3)[None]
        np.testing.assert_allclose(power_stft(2 * waveform), 4 * power_stft(waveform), rtol=1e-6)
