import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import level_db, loudest_hz, rms, sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.augment import (
    add_noise,
    augmented_fragment,
    draw_strengths,
    pitch_shift,
    resample_band,
    time_stretch,
    variant_generator,
)
from genrekit.config import AUGMENTATIONS, Augmentation

RATE = 8_000
TONE = sine(440, 2 * RATE, RATE)
EDGE = 2_048
"""Samples at either end where half the analysis window lies beyond the sound."""


def music(n_samples: int, rate: int) -> FloatArray:
    """A chord of decaying notes and a soft noise: what a phase vocoder is made for, and what it is not."""
    notes = sum(sine(frequency, n_samples, rate, 0.2) for frequency in (220, 277, 330, 1_318))
    beats = np.exp(-4 * (np.arange(n_samples) / rate % 0.5)).astype(np.float32)
    return np.asarray(notes, np.float32) * beats + white_noise(n_samples, amplitude=0.02)


def swell(around: int, n_samples: int) -> FloatArray:
    """A tone that comes and goes within 1,500 samples to either side."""
    distance = np.clip(np.abs(np.arange(n_samples) - around) / 1_500, 0, 1)
    return np.asarray(sine(440, n_samples, RATE) * np.cos(np.pi / 2 * distance) ** 2, np.float32)


def middle(waveform: FloatArray) -> float:
    """The middle of a waveform's energy, in samples; a phase vocoder moves it by less than half its window."""
    return float(np.average(np.arange(len(waveform)), weights=np.square(waveform, dtype=np.float64)))


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


class TestTimeStretch:
    """The tempo changes, the pitch stays."""

    @pytest.mark.parametrize("rate", [0.5, 0.9, 1.1, 1.25, 2.0])
    def test_a_stretched_sine_keeps_its_pitch_and_level(self, rate: float) -> None:
        stretched = time_stretch(TONE, rate)
        assert stretched.shape == (round(len(TONE) / rate),)
        assert stretched.dtype == np.float32
        assert loudest_hz(stretched, RATE) == pytest.approx(440, abs=1)
        assert level_db(stretched[EDGE:-EDGE], TONE) == pytest.approx(0, abs=1.5)

    @pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
    def test_what_happens_at_a_time_happens_at_that_time_divided_by_the_speed(self, rate: float) -> None:
        assert middle(time_stretch(swell(RATE, 2 * RATE), rate)) == pytest.approx(RATE / rate, abs=1_024 / rate)

    def test_a_speed_of_1_changes_nothing(self) -> None:
        waveform = white_noise(2 * RATE)
        np.testing.assert_allclose(time_stretch(waveform, 1.0), waveform, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("rate", [0.8, 0.93, 1.1])
    def test_it_is_the_stretch_of_librosa(self, rate: float) -> None:
        waveform = music(3 * 22_050, 22_050)
        expected = librosa.effects.time_stretch(waveform, rate=rate, n_fft=2_048, hop_length=512)
        ours = time_stretch(waveform, rate)
        assert ours.shape == expected.shape
        assert rms(ours - expected) < 0.005 * rms(expected)

    def test_silence_stays_silence(self) -> None:
        assert not time_stretch(np.zeros(RATE, np.float32), 1.1).any()


class TestPitchShift:
    """The pitch changes, the tempo stays."""

    @pytest.mark.parametrize(("semitones", "expected_hz"), [(12, 880), (-12, 220), (0, 440), (7, 440 * 2 ** (7 / 12))])
    def test_12_semitones_double_the_frequency(self, semitones: float, expected_hz: float) -> None:
        shifted = pitch_shift(TONE, semitones)
        assert shifted.shape == TONE.shape
        assert shifted.dtype == np.float32
        assert loudest_hz(shifted, RATE) == pytest.approx(expected_hz, abs=1)
        assert level_db(shifted[EDGE:-EDGE], TONE) == pytest.approx(0, abs=1.5)

    @given(st.floats(-2, 2))
    @settings(max_examples=15)
    def test_any_interval_is_hit(self, semitones: float) -> None:
        assert loudest_hz(pitch_shift(TONE, semitones), RATE) == pytest.approx(440 * 2 ** (semitones / 12), abs=1)

    @pytest.mark.parametrize("semitones", [-12, -2, 1.5, 12])
    def test_what_happens_at_a_time_still_happens_then(self, semitones: float) -> None:
        assert middle(pitch_shift(swell(RATE, 2 * RATE), semitones)) == pytest.approx(RATE, abs=1_024)

    @pytest.mark.parametrize("semitones", [-2.0, 0.7, 2.0])
    def test_it_is_the_shift_of_librosa(self, semitones: float) -> None:
        waveform = music(3 * 22_050, 22_050)
        expected = librosa.effects.pitch_shift(
            waveform,
            sr=22_050,
            n_steps=semitones,
            bins_per_octave=12,
            res_type="soxr_hq",
            scale=False,
            n_fft=2_048,
            hop_length=512,
        )
        ours = pitch_shift(waveform, semitones)
        assert ours.shape == expected.shape
        assert rms(ours - expected) < 0.005 * rms(expected)


class TestNoise:
    """White noise at the asked distance from the music."""

    @given(st.floats(-20, 60), st.floats(0.01, 1))
    @settings(max_examples=30)
    def test_it_has_the_requested_signal_to_noise_ratio(self, snr_db: float, amplitude: float) -> None:
        waveform = sine(440, 40_000, RATE, amplitude)
        noisy = add_noise(waveform, snr_db, generator())
        assert noisy.dtype == np.float32
        assert level_db(waveform, noisy - waveform) == pytest.approx(snr_db, abs=0.1)

    def test_it_is_white(self) -> None:
        added = add_noise(TONE, 0, generator()) - TONE
        thirds = np.square(np.abs(np.fft.rfft(added)))[2:-1].reshape(3, -1).sum(axis=1)
        assert thirds / thirds.mean() == pytest.approx(np.ones(3), abs=0.1)

    def test_it_is_the_generators_and_no_other(self) -> None:
        np.testing.assert_array_equal(add_noise(TONE, 20, generator()), add_noise(TONE, 20, generator()))
        other = np.random.default_rng(1)
        assert not np.array_equal(add_noise(TONE, 20, generator()), add_noise(TONE, 20, other))

    def test_silence_stays_silence(self) -> None:
        assert not add_noise(np.zeros(100, np.float32), 20, generator()).any()


class TestResampleBand:
    """What a lower rate cannot hold is lost, the rest is kept."""

    @pytest.mark.parametrize("share", [0.4, 0.5, 0.8])
    def test_what_lies_below_half_the_lower_rate_is_kept(self, share: float) -> None:
        tone = sine(0.85 * share * RATE / 2, 2 * RATE, RATE)
        kept = resample_band(tone, RATE, share)
        assert kept.shape == tone.shape
        assert kept.dtype == np.float32
        np.testing.assert_allclose(kept[EDGE:-EDGE], tone[EDGE:-EDGE], atol=1e-3)

    @pytest.mark.parametrize("share", [0.4, 0.5, 0.8])
    def test_what_lies_above_half_the_lower_rate_is_removed(self, share: float) -> None:
        tone = sine(1.1 * share * RATE / 2, 2 * RATE, RATE)
        removed = resample_band(tone, RATE, share)
        assert level_db(removed[EDGE:-EDGE], tone) < -90

    def test_the_whole_rate_changes_nothing(self) -> None:
        np.testing.assert_array_equal(resample_band(TONE, RATE, 1.0), TONE)


class TestDrawing:
    """What is drawn has an address and needs no order."""

    @pytest.mark.parametrize(
        "key",
        [
            (1, "blues/a", 0, "noise"),
            (0, "blues/b", 0, "noise"),
            (0, "blues/a", 1, "noise"),
            (0, "blues/a", 0, "pitch_shift"),
        ],
        ids=["seed", "track", "fragment", "variant"],
    )
    def test_seed_track_fragment_and_variant_each_matter(self, key: tuple[int, str, int, str]) -> None:
        first = variant_generator(0, "blues/a", 0, "noise").random(4)
        np.testing.assert_array_equal(first, variant_generator(0, "blues/a", 0, "noise").random(4))
        assert not np.array_equal(first, variant_generator(*key).random(4))

    def test_parts_of_a_key_do_not_run_into_each_other(self) -> None:
        assert variant_generator(1, "1/a", 1, "noise").random() != variant_generator(11, "/a", 1, "noise").random()
        assert variant_generator(0, "a/1", 2, "noise").random() != variant_generator(0, "a/", 12, "noise").random()

    def test_a_cache_of_today_is_continued_tomorrow_with_the_same_numbers(self) -> None:
        assert variant_generator(0, "blues/blues.00000", 3, "noise").integers(0, 1_000, 4).tolist() == [
            390,
            466,
            660,
            454,
        ]

    @pytest.mark.parametrize("variant", AUGMENTATIONS)
    def test_strengths_fill_their_range(self, variant: str) -> None:
        augmentation = Augmentation(augment=True)
        low, high = getattr(augmentation, variant)
        generators = [variant_generator(0, "a", n, variant) for n in range(400)]
        draws = [draw_strengths(variant, augmentation, generator)[variant] for generator in generators]
        assert low <= min(draws) < low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) < max(draws) <= high
        assert np.mean(draws) == pytest.approx((low + high) / 2, abs=0.06 * (high - low))


STRENGTHS = {
    "time_stretch": (0.7, 0.93, 1.0, 1.1, 1.6),
    "pitch_shift": (-2.0, 0.5, 2.0),
    "noise": (0.0, 30.0),
    "resampling": (0.4, 0.73),
}
CASES = [pytest.param(name, strength, id=f"{name}-{strength}") for name in STRENGTHS for strength in STRENGTHS[name]]
N_SAMPLES = 6_000


def augmented(waveform: FloatArray, start: int, variant: str, strength: float) -> FloatArray:
    return augmented_fragment(waveform, start, N_SAMPLES, {variant: strength}, RATE, generator())


class TestFragment:
    """A variant of a fragment, made from the track around it."""

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    @pytest.mark.parametrize("start", [0, 11_111, 24_000], ids=["beginning", "middle", "end"])
    def test_following_music_fills_the_fragment_to_its_end(self, start: int, variant: str, strength: float) -> None:
        track = white_noise(24_000 + N_SAMPLES)
        fragment = augmented(track, start, variant, strength)
        assert fragment.shape == (N_SAMPLES,)
        assert fragment.dtype == np.float32
        assert [rms(quarter) for quarter in fragment.reshape(4, -1)] == pytest.approx([rms(fragment)] * 4, rel=0.3)
        # A phase vocoder fades a track's last frame; beyond it there may be a sample that rounding took.
        assert rms(fragment[-256:]) > (0.4 if start == 24_000 else 0.6) * rms(fragment)
        assert fragment[-2:].any()

    @pytest.mark.parametrize("n_track", [800, 5_999])
    @pytest.mark.parametrize(("variant", "strength"), CASES)
    def test_a_track_that_is_shorter_is_padded_at_the_end(self, variant: str, strength: float, n_track: int) -> None:
        fragment = augmented(white_noise(n_track), 0, variant, strength)
        assert fragment.shape == (N_SAMPLES,)
        end = round(n_track / strength) if variant == "time_stretch" else n_track
        assert rms(fragment[:end]) > 0.1
        if variant != "noise":
            assert not fragment[end:].any()

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    @pytest.mark.parametrize("start", [0, 500, 11_111])
    def test_it_begins_where_the_fragment_begins(self, start: int, variant: str, strength: float) -> None:
        fragment = augmented(swell(start + 2_500, 30_000), start, variant, strength)
        if variant == "noise":  # is all over the fragment
            fragment[np.abs(fragment) < 0.5] = 0
        expected = 2_500 / strength if variant == "time_stretch" else 2_500
        assert middle(fragment) == pytest.approx(
            expected, abs=900 if variant in ("time_stretch", "pitch_shift") else 60
        )

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    def test_its_edges_sound_as_they_do_within_the_track(self, variant: str, strength: float) -> None:
        """Without the music around it a fragment's beginning would be that of a track: a fade, or a filter's edge."""
        track = sine(440, 30_000, RATE)
        fragment = augmented(track, 10_000, variant, strength)
        assert level_db(fragment[:200], fragment[2_000:4_000]) == pytest.approx(0, abs=0.7)
        assert level_db(fragment[-200:], fragment[2_000:4_000]) == pytest.approx(0, abs=0.7)

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    def test_what_would_exceed_1_is_scaled_down_and_not_clipped(self, variant: str, strength: float) -> None:
        square = np.sign(sine(441, 30_000, RATE)).astype(np.float32)
        loud, soft = augmented(square, 6_000, variant, strength), augmented(0.1 * square, 6_000, variant, strength)
        assert np.abs(loud).max() == 1
        assert np.count_nonzero(np.abs(loud) == 1) < 10
        np.testing.assert_allclose(loud * np.abs(soft).max(), soft, atol=1e-4)

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    def test_what_does_not_exceed_1_keeps_its_level(self, variant: str, strength: float) -> None:
        track = sine(440, 30_000, RATE, 0.2)
        expected = 10 * np.log10(1 + 10 ** (-strength / 10)) if variant == "noise" else 0
        assert level_db(augmented(track, 6_000, variant, strength), track) == pytest.approx(expected, abs=1.0)

    @pytest.mark.parametrize(("variant", "strength"), CASES)
    def test_silence_stays_silence(self, variant: str, strength: float) -> None:
        assert not augmented(np.zeros(30_000, np.float32), 6_000, variant, strength).any()

    @pytest.mark.parametrize("variant", AUGMENTATIONS)
    def test_the_track_is_left_as_it_was(self, variant: str) -> None:
        track = white_noise(30_000, amplitude=1)
        augmented(track, 6_000, variant, STRENGTHS[variant][0])
        np.testing.assert_array_equal(track, white_noise(30_000, amplitude=1))

    @given(
        st.integers(800, 12_000),
        st.floats(0, 1),
        st.sampled_from([(name, getattr(Augmentation(), name)) for name in AUGMENTATIONS]),
        st.floats(0, 1),
    )
    @settings(max_examples=60)
    def test_any_fragment_of_any_track_has_its_length_and_no_sample_beyond_1(
        self, n_track: int, place: float, variant: tuple[str, tuple[float, float]], draw: float
    ) -> None:
        name, (low, high) = variant
        start = round(place * max(0, n_track - N_SAMPLES))
        fragment = augmented(white_noise(n_track, amplitude=1), start, name, low + draw * (high - low))
        assert fragment.shape == (N_SAMPLES,)
        assert 0 < np.abs(fragment).max() <= 1


class TestChains:
    """Variants that are made of several kinds."""

    CHAINS = Augmentation(augment=True, variants_each=0, copies=3)

    def drawn(self, augmentation: Augmentation, variant: str = "chain") -> list[dict[str, float]]:
        return [
            draw_strengths(variant, augmentation, variant_generator(0, "a", number, variant)) for number in range(400)
        ]

    def test_a_chain_takes_each_kind_in_use_with_an_even_chance_and_at_least_one(self) -> None:
        drawn = self.drawn(self.CHAINS)
        assert min(len(strengths) for strengths in drawn) == 1
        assert max(len(strengths) for strengths in drawn) == 4
        for kind in AUGMENTATIONS:
            assert np.mean([kind in strengths for strengths in drawn]) == pytest.approx(0.52, abs=0.07)

    def test_its_strengths_come_from_their_ranges(self) -> None:
        for strengths in self.drawn(self.CHAINS, "chain_3"):
            for kind, strength in strengths.items():
                low, high = getattr(self.CHAINS, kind)
                assert low <= strength <= high

    def test_kinds_that_are_not_in_use_are_in_no_chain(self) -> None:
        only = Augmentation(augment=True, augmentations=("noise", "time_stretch"), copies=1)
        assert {kind for strengths in self.drawn(only) for kind in strengths} == {"noise", "time_stretch"}

    def test_numbered_variants_of_a_kind_draw_strengths_of_their_own(self) -> None:
        augmentation = Augmentation(augment=True, variants_each=2)
        first, second = (self.drawn(augmentation, name)[0] for name in ("noise", "noise_2"))
        assert first.keys() == second.keys() == {"noise"}
        assert first != second

    def test_it_does_to_a_fragment_what_its_kinds_do(self) -> None:
        track = sine(440, 60_000, RATE, 0.2)
        strengths = {"time_stretch": 1.1, "pitch_shift": 12.0, "noise": 20.0}
        fragment = augmented_fragment(track, 20_000, 8_000, strengths, RATE, generator())
        assert fragment.shape == (8_000,)
        assert loudest_hz(fragment, RATE) == pytest.approx(880, abs=2)
        tone = augmented_fragment(track, 20_000, 8_000, {"time_stretch": 1.1, "pitch_shift": 12.0}, RATE, generator())
        assert level_db(tone, fragment - tone) == pytest.approx(20, abs=0.3)

    def test_a_stretched_and_shifted_fragment_begins_where_the_fragment_begins(self) -> None:
        track = swell(23_000, 60_000)
        strengths = {"time_stretch": 1.25, "pitch_shift": 1.0, "resampling": 0.8}
        fragment = augmented_fragment(track, 20_000, 8_000, strengths, RATE, generator())
        assert middle(fragment) == pytest.approx(3_000 / 1.25, abs=900)
