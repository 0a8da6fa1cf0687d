from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signals import level_db, loudest_hz, sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.augment import pitch_shift, resample_band, time_stretch
from genrekit.audio.decode import probe
from genrekit.audio.fragments import cut
from genrekit.audio.transform import (
    FULL_SCALE,
    TrackTensors,
    altered_waveform,
    expected_rows,
    quantized,
    transform_track,
    unit_mels,
)
from genrekit.config import AUGMENTATIONS, FeatureConfig, PrepareConfig
from genrekit.errors import UnreadableAudioError

RATE = 8_000
SMALL = {"sample_rate": RATE, "duration_s": 0.5, "n_fft": 512, "hop_length": 256, "n_mels": 16}
N_SAMPLES = 4_000


def config(
    *, augment: bool = False, fragments: str | int = "all", store: str = "both", seed: int = 0, **front_end: Any
) -> PrepareConfig:
    return PrepareConfig.of(
        {
            "front_end": {**SMALL, **front_end},
            "fragments": fragments,
            "store": store,
            "augmentation": {"augment": augment, "augment_seed": seed},
        }
    )


def music(n_samples: int = 10_000) -> FloatArray:
    """A chord that fades, with a noise: each fragment has its own spectrum and level."""
    chord = sine(220, n_samples, RATE, 0.3) + sine(660, n_samples, RATE, 0.2) + white_noise(n_samples, amplitude=0.1)
    return chord * np.linspace(1, 0.05, n_samples, dtype=np.float32)


def write(path: Path, waveform: FloatArray, rate: int = RATE) -> Path:
    soundfile.write(path, waveform, rate, subtype="FLOAT")
    return path


@pytest.fixture
def track(tmp_path: Path) -> Path:
    return write(tmp_path / "track.wav", music())


def rows(tensors: TrackTensors, variant: int) -> FloatArray:
    """The waveforms of one variant, [fragments, n_samples] in [-1, 1]."""
    return (tensors.tensors["waveform"][tensors.variant == variant] / FULL_SCALE).astype(np.float32)


class TestRows:
    """A track's rows are ordered by fragment and then by variant."""

    def test_each_fragment_has_the_original_and_then_each_variant(self, track: Path) -> None:
        tensors = transform_track("a", track, config(augment=True))
        assert tensors.tensors["waveform"].shape == (10, N_SAMPLES)
        assert tensors.tensors["waveform"].dtype == np.int16
        assert tensors.tensors["mel"].shape == (10, 16, 16)
        assert tensors.tensors["mel"].dtype == np.float16
        assert tensors.variant.tolist() == [0, 1, 2, 3, 4] * 2
        assert tensors.start_s.tolist() == [0.0] * 5 + [0.5] * 5
        assert (tensors.facts.silent_fragments, tensors.facts.padded, tensors.facts.cancelled) == (0, False, False)

    def test_without_augmentation_there_are_originals_only(self, track: Path) -> None:
        tensors = transform_track("a", track, config())
        assert tensors.variant.tolist() == [0, 0]
        assert np.isnan(tensors.strength).all()

    def test_the_strength_of_each_row_is_the_one_that_was_drawn_from_its_range(self, track: Path) -> None:
        augmented = config(augment=True)
        tensors = transform_track("a", track, augmented)
        assert np.isnan(tensors.strength[tensors.variant == 0]).all()
        for kind, name in enumerate(AUGMENTATIONS):
            low, high = getattr(augmented.augmentation, name)
            rows = tensors.strength[tensors.variant == kind + 1]
            assert np.isnan(np.delete(rows, kind, axis=1)).all()
            drawn = rows[:, kind]
            assert np.all((low <= drawn) & (drawn <= high))
            assert len(set(drawn.tolist())) == 2

    def test_each_variant_is_what_its_name_says(self, tmp_path: Path) -> None:
        path = write(tmp_path / "tone.wav", sine(440, 4 * N_SAMPLES, RATE, 0.2))
        tensors = transform_track("a", path, config(augment=True, normalization="none"))
        shift, noise = tensors.strength.reshape(-1, 5, 4)[1, [2, 3], [1, 2]].tolist()
        rows = tensors.tensors["waveform"].reshape(-1, 5, N_SAMPLES)[1] / FULL_SCALE
        original, stretched, shifted, noisy, narrow = rows
        assert loudest_hz(stretched, RATE) == pytest.approx(440, abs=1.5)
        assert not np.allclose(stretched, original, atol=0.02)
        assert loudest_hz(shifted, RATE) == pytest.approx(440 * 2 ** (shift / 12), abs=1.5)
        assert level_db(original, noisy - original) == pytest.approx(noise, abs=0.3)
        np.testing.assert_allclose(narrow, original, atol=1e-3)

    @pytest.mark.parametrize("fragments", ["all", "first", 1, 3])
    @pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
    @pytest.mark.parametrize("duration_s", [0.2, 0.5, 1.0, 1.7])
    def test_they_are_as_many_as_the_header_lets_expect(
        self, duration_s: float, rate: int, fragments: str | int, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "x.wav", white_noise(round(duration_s * rate)), rate)
        wanted = config(augment=True, fragments=fragments)
        assert len(transform_track("a", path, wanted).tensors["waveform"]) == expected_rows(probe(path), wanted)

    def test_half_a_sample_that_fills_the_last_fragment_is_expected(self, tmp_path: Path) -> None:
        """24,005 frames at 16,000 Hz are 12,002.5 at 8,000 Hz, and 12,003 are three fragments of 4,001."""
        path = write(tmp_path / "x.wav", white_noise(24_005), 16_000)
        wanted = config(duration_s=4_001 / RATE)
        assert len(transform_track("a", path, wanted).tensors["waveform"]) == 3
        assert expected_rows(probe(path), wanted) == 3

    @pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
    def test_a_track_that_is_shorter_than_a_fragment_gives_what_its_repetition_gives(
        self, normalization: str, tmp_path: Path
    ) -> None:
        clip = music(1_000)
        short = transform_track("a", write(tmp_path / "x.wav", clip), config(normalization=normalization))
        repeated = transform_track(
            "a", write(tmp_path / "y.wav", np.tile(clip, 4)), config(normalization=normalization)
        )
        for kind in ("waveform", "mel"):
            np.testing.assert_array_equal(short.tensors[kind], repeated.tensors[kind])
        assert (short.facts.padded, repeated.facts.padded) == (True, False)

    def test_a_repeated_track_fills_all_variants(self, tmp_path: Path) -> None:
        tensors = transform_track("a", write(tmp_path / "x.wav", white_noise(1_000)), config(augment=True))
        assert np.abs(tensors.tensors["waveform"].reshape(5, 8, 500)).max(axis=2).min() > 1_000

    def test_a_mirrored_track_continues_in_both_directions(self, tmp_path: Path) -> None:
        clip = music(1_500)
        tensors = transform_track("a", write(tmp_path / "x.wav", clip), config(pad="reflect"))
        mirrored = np.concatenate([clip, clip[-2:0:-1], clip])[:N_SAMPLES] / np.abs(clip).max()
        np.testing.assert_array_equal(tensors.tensors["waveform"][0], quantized(mirrored))

    def test_a_short_track_can_be_padded_with_zeros_at_the_end(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", white_noise(1_000))
        tensors = transform_track("a", path, config(augment=True, pad="zero"))
        assert tensors.facts.padded
        assert tensors.tensors["waveform"].shape == (5, N_SAMPLES)
        assert np.abs(tensors.tensors["waveform"][:, :850]).max(axis=1).min() > 1_000
        for variant in (0, 1, 2, 4):
            assert not tensors.tensors["waveform"][variant, 1_200:].any()

    def test_a_file_without_audio_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.wav").write_text("no audio")
        with pytest.raises(UnreadableAudioError, match="not decodable"):
            transform_track("a", tmp_path / "x.wav", config())


class TestContent:
    """What the rows hold."""

    @pytest.mark.parametrize("db_reference", ["track", "fragment"])
    def test_the_front_end_is_that_of_librosa_from_end_to_end(self, db_reference: str, track: Path) -> None:
        tensors = transform_track("a", track, config(db_reference=db_reference))
        waveform = music() / np.abs(music()).max()
        powers = [
            librosa.feature.melspectrogram(
                y=waveform[start : start + N_SAMPLES],
                sr=RATE,
                n_fft=512,
                hop_length=256,
                win_length=512,
                window="hann",
                center=True,
                pad_mode="reflect",
                power=2.0,
                n_mels=16,
                fmin=30.0,
                fmax=4_000.0,
                htk=False,
                norm="slaney",
            )
            for start in (0, N_SAMPLES)
        ]
        for number, power in enumerate(powers):
            reference = max(each.max() for each in powers) if db_reference == "track" else power.max()
            decibels = librosa.power_to_db(power, ref=reference, amin=1e-30, top_db=None)
            expected = np.clip(decibels / 80 + 1, 0, 1)
            np.testing.assert_allclose(tensors.tensors["mel"][number], expected, atol=1e-3)
            stored = tensors.tensors["waveform"][number] / FULL_SCALE
            original = waveform[number * N_SAMPLES : (number + 1) * N_SAMPLES]
            np.testing.assert_allclose(stored, original, atol=0.51 / FULL_SCALE)

    def test_the_loudest_value_is_1_in_the_track_or_in_each_fragment(self, track: Path) -> None:
        by_track = transform_track("a", track, config(db_reference="track")).tensors["mel"].max(axis=(1, 2))
        by_fragment = transform_track("a", track, config(db_reference="fragment")).tensors["mel"].max(axis=(1, 2))
        assert by_track[0] == 1
        assert by_track[1] < 0.97
        assert by_fragment.tolist() == [1, 1]

    @pytest.mark.parametrize("normalization", ["peak", "rms"])
    def test_a_quiet_track_and_its_louder_copy_are_equal(self, normalization: str, tmp_path: Path) -> None:
        quiet, loud = (write(tmp_path / f"{factor}.wav", factor * music()) for factor in (0.001, 3.0))
        first = transform_track("a", quiet, config(augment=True, normalization=normalization))
        second = transform_track("a", loud, config(augment=True, normalization=normalization))
        assert np.abs(first.tensors["waveform"].astype(int) - second.tensors["waveform"]).max() <= 1
        np.testing.assert_allclose(first.tensors["mel"], second.tensors["mel"], atol=2e-3)

    def test_without_normalization_the_mel_is_level_independent_and_the_waveform_is_not(self, tmp_path: Path) -> None:
        quiet, loud = (write(tmp_path / f"{factor}.wav", factor * music()) for factor in (0.01, 1.0))
        first, second = (transform_track("a", path, config(normalization="none")) for path in (quiet, loud))
        np.testing.assert_allclose(first.tensors["mel"], second.tensors["mel"], atol=1e-3)
        assert np.abs(second.tensors["waveform"]).max() > 50 * np.abs(first.tensors["waveform"]).max()

    @pytest.mark.parametrize(
        "waveform",
        [
            pytest.param(np.zeros(10_000, np.float32), id="zeros"),
            pytest.param(np.full(10_000, 0.5, np.float32), id="constant"),
            pytest.param(np.full(1_000, 0.5, np.float32), id="short-constant"),
            pytest.param(white_noise(10_000, amplitude=10 ** (-85 / 20)), id="dither"),
        ],
    )
    @pytest.mark.parametrize("pad", ["wrap", "zero"])
    def test_silence_is_refused(self, waveform: FloatArray, pad: str, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", waveform)
        with pytest.raises(UnreadableAudioError, match="silent: every fragment is below -80 dBFS"):
            transform_track("a", path, config(augment=True, pad=pad))

    def test_silent_fragments_of_a_track_that_sounds_are_left_out(self, tmp_path: Path) -> None:
        waveform = np.concatenate([np.full(2 * N_SAMPLES, 0.01, np.float32), music()])
        path = write(tmp_path / "x.wav", waveform)
        tensors = transform_track("a", path, config(augment=True))
        assert tensors.start_s.tolist() == [1.0] * 5 + [1.5] * 5
        assert tensors.facts.silent_fragments == 2

    def test_the_bandwidth_is_the_frequency_where_the_spectrum_ends(self, tmp_path: Path) -> None:
        wide = white_noise(4 * N_SAMPLES)
        narrow = resample_band(wide, RATE, 0.5)
        found = [
            transform_track("a", write(tmp_path / "x.wav", waveform), config(n_mels=64, store=store)).facts.bandwidth_hz
            for waveform, store in ((wide, "both"), (narrow, "both"), (narrow, "waveform"))
        ]
        assert found[0] == pytest.approx(4_000)
        assert found[1] == pytest.approx(2_000, rel=0.08)
        assert found[1] == found[2]

    def test_the_bandwidth_does_not_depend_on_the_level_or_on_augmentation(self, tmp_path: Path) -> None:
        narrow = resample_band(white_noise(4 * N_SAMPLES), RATE, 0.5)
        found = {
            transform_track("a", write(tmp_path / "x.wav", gain * narrow), prepared).facts.bandwidth_hz
            for gain in (0.01, 1)
            for prepared in (config(), config(augment=True))
        }
        assert len(found) == 1


class TestDeterminism:
    """Rows depend on seed, track, fragment and variant, and on nothing else."""

    def test_the_same_arguments_give_the_same_bytes(self, track: Path) -> None:
        first, second = (transform_track("a", track, config(augment=True)) for _ in range(2))
        np.testing.assert_array_equal(first.tensors["waveform"], second.tensors["waveform"])
        np.testing.assert_array_equal(first.tensors["mel"], second.tensors["mel"])
        np.testing.assert_array_equal(first.strength, second.strength)

    @pytest.mark.parametrize(("track_id", "seed"), [("b", 0), ("a", 1)], ids=["track", "seed"])
    def test_another_track_or_seed_changes_each_variant_and_no_original(
        self, track_id: str, seed: int, track: Path
    ) -> None:
        first = transform_track("a", track, config(augment=True))
        second = transform_track(track_id, track, config(augment=True, seed=seed))
        np.testing.assert_array_equal(rows(first, 0), rows(second, 0))
        for variant in (1, 2, 3, 4):
            for one, other in zip(rows(first, variant), rows(second, variant), strict=True):
                assert not np.array_equal(one, other)

    def test_two_fragments_with_the_same_music_get_different_variants(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.tile(music(N_SAMPLES), 4))
        tensors = transform_track("a", path, config(augment=True))
        for variant in (1, 2, 3, 4):
            first, second = rows(tensors, variant)[1:3]
            assert not np.array_equal(first, second)

    def test_the_other_fragments_do_not_matter(self, track: Path) -> None:
        every = transform_track("a", track, config(augment=True))
        first = transform_track("a", track, config(augment=True, fragments="first"))
        np.testing.assert_array_equal(every.tensors["waveform"][:5], first.tensors["waveform"])
        np.testing.assert_array_equal(every.strength[:5], first.strength)

    def test_the_digest_is_that_of_the_audio(self, track: Path, tmp_path: Path) -> None:
        copy = write(tmp_path / "copy.wav", music())
        other = write(tmp_path / "other.wav", white_noise(10_000))
        digests = [transform_track("a", path, config()).digest for path in (track, copy, other)]
        assert digests[0] == digests[1] != digests[2]


@given(arrays(np.float32, 20, elements=st.floats(-1, 1, width=32)))
def test_a_stored_waveform_is_within_half_a_step(waveform: FloatArray) -> None:
    stored = quantized(waveform)
    assert stored.dtype == np.int16
    assert np.abs(stored / FULL_SCALE - waveform).max() <= 0.501 / FULL_SCALE


def test_full_scale_is_stored_as_the_largest_number_on_either_side() -> None:
    assert quantized(np.array([1, -1, 0, 1.5, -9], np.float32)).tolist() == [32_767, -32_767, 0, 32_767, -32_767]


@given(st.lists(arrays(np.float32, N_SAMPLES, elements=st.floats(-1, 1, width=32)), min_size=1, max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_any_mel_is_within_0_and_1(fragments: list[FloatArray]) -> None:
    mels = unit_mels(fragments, FeatureConfig(**SMALL))
    assert mels.shape == (len(fragments), 16, 16)
    assert np.all((mels >= 0) & (mels <= 1))
    assert mels.max() == (1 if any(fragment.any() for fragment in fragments) else 0)


class TestWhatIsStored:
    """Both inputs or one, and how exactly."""

    def stored(self, track: Path, **values: object) -> TrackTensors:
        wanted = {"front_end": config().front_end.model_dump(), **values}
        return transform_track("a", track, PrepareConfig.of(wanted))

    @pytest.mark.parametrize(("store", "kinds"), [("both", {"waveform", "mel"}), ("mel", {"mel"})])
    def test_only_requested_inputs_are_computed(self, track: Path, store: str, kinds: set[str]) -> None:
        assert self.stored(track, store=store).tensors.keys() == kinds

    def test_each_input_is_the_same_alone_as_beside_the_other(self, track: Path) -> None:
        both = self.stored(track)
        for kind in ("mel", "waveform"):
            alone = self.stored(track, store=kind)
            np.testing.assert_array_equal(alone.tensors[kind], both.tensors[kind])
            np.testing.assert_array_equal(alone.landmark, both.landmark)

    def test_float32_is_what_float16_rounds(self, track: Path) -> None:
        exact, rounded = self.stored(track, mel_dtype="float32"), self.stored(track)
        assert exact.tensors["mel"].dtype == np.float32
        np.testing.assert_array_equal(exact.tensors["mel"].astype(np.float16), rounded.tensors["mel"])

    def test_only_originals_have_landmarks(self, track: Path) -> None:
        tensors = transform_track("a", track, config(augment=True, hop_length=64, n_mels=64))
        assert not tensors.landmark[tensors.variant > 0].any()
        assert tensors.landmark[tensors.variant == 0].any(axis=1).all()


class TestAltered:
    """A fragment at another tempo and pitch, as long as it was."""

    @pytest.mark.parametrize(("tempo", "semitones"), [(1.25, 0.0), (0.8, 0.0), (1.0, 3.0), (1.25, -3.0), (0.8, 3.0)])
    def test_it_is_stretched_then_shifted_then_cut_or_padded(self, tempo: float, semitones: float) -> None:
        waveform = 0.2 * music(8_000)
        stored = quantized(waveform)
        expected: FloatArray = stored.astype(np.float32) / np.float32(FULL_SCALE)
        expected = time_stretch(expected, tempo) if tempo != 1 else expected
        expected = cut(pitch_shift(expected, semitones) if semitones else expected, 0, 8_000)
        found = altered_waveform(stored, tempo, semitones)
        assert found.shape == (8_000,)
        np.testing.assert_array_equal(found, quantized(expected))

    def test_a_tone_an_octave_higher_and_twice_as_fast_fills_the_first_half(self) -> None:
        found = altered_waveform(quantized(sine(440, 16_000, 8_000)), 2.0, 12.0) / FULL_SCALE
        assert loudest_hz(found[:6_000].astype(np.float32), 8_000) == pytest.approx(880, rel=0.01)
        assert np.abs(found[9_000:]).max() < 0.01
        assert np.abs(found[1_000:7_000]).max() > 0.4

    def test_what_would_exceed_full_scale_is_scaled_down(self) -> None:
        square = np.sign(sine(441, 8_000, 8_000)) + white_noise(8_000, amplitude=0.1)
        found = altered_waveform(quantized(np.clip(square, -1, 1)), 1.1, 0.0)
        assert np.abs(found.astype(np.int64)).max() == FULL_SCALE
        assert (np.abs(found.astype(np.int64)) == FULL_SCALE).sum() < 5

    def test_unaltered_is_what_it_was(self) -> None:
        stored = quantized(0.5 * music(8_000))
        np.testing.assert_array_equal(altered_waveform(stored, 1.0, 0.0), stored)
