import os
import re
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signals import level_db, rms, sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.decode import Probe, decode, probe, resampled_length
from genrekit.audio.level import normalize_waveform
from genrekit.errors import UnreadableAudioError

RATE = 22_050
MUSIC = sine(440, RATE, RATE, 0.4) + sine(1_760, RATE, RATE, 0.2)

ENCODINGS = [
    ("wav", "WAV", "PCM_U8", 30),
    ("wav", "WAV", "PCM_16", 80),
    ("wav", "WAV", "PCM_24", 120),
    ("wav", "WAV", "PCM_32", 120),
    ("wav", "WAV", "FLOAT", 140),
    ("wav", "WAV", "DOUBLE", 140),
    ("wav", "WAVEX", "PCM_16", 80),
    ("wav", "WAV", "ULAW", 25),
    ("wav", "RF64", "PCM_16", 80),
    ("au", "AU", "PCM_16", 80),
    ("au", "AU", "PCM_24", 120),
    ("au", "AU", "FLOAT", 140),
    ("au", "AU", "ULAW", 25),
    ("flac", "FLAC", "PCM_S8", 30),
    ("flac", "FLAC", "PCM_16", 80),
    ("flac", "FLAC", "PCM_24", 120),
    ("aiff", "AIFF", "PCM_S8", 30),
    ("aiff", "AIFF", "PCM_16", 80),
    ("aif", "AIFF", "FLOAT", 140),
    ("ogg", "OGG", "VORBIS", 25),
    ("oga", "OGG", "VORBIS", 25),
    ("mp3", "MP3", "MPEG_LAYER_III", 25),
]
"""Suffix, format, encoding and the least signal-to-noise ratio in dB: about 6 dB a bit."""


def write(path: Path, samples: npt.NDArray[np.floating], rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def snr_db(decoded: FloatArray, original: FloatArray) -> float:
    noise = decoded.astype(np.float64) - original
    return float(np.inf) if not noise.any() else level_db(original, noise.astype(np.float32))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableAudioError) as caught:
        decode(path, RATE)
    return str(caught.value)


def claim_flac_frames(path: Path, frames: int) -> None:
    content = bytearray(path.read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    content[18:26] = (packed >> 36 << 36 | frames).to_bytes(8, "big")
    path.write_bytes(content)


class TestFormats:
    """What can be read comes out as it went in."""

    @pytest.mark.parametrize(
        ("suffix", "form", "encoding", "least_db"), ENCODINGS, ids=[f"{row[1]}-{row[2]}" for row in ENCODINGS]
    )
    def test_each_format_and_encoding_is_read(
        self, suffix: str, form: str, encoding: str, least_db: float, tmp_path: Path
    ) -> None:
        path = write(tmp_path / f"x.{suffix}", MUSIC, format=form, subtype=encoding)
        decoded = decode(path, RATE)
        assert decoded.native_rate == RATE
        assert decoded.waveform.shape == MUSIC.shape
        assert decoded.waveform.dtype == np.float32
        assert snr_db(decoded.waveform, MUSIC) > least_db
        assert probe(path) == Probe(RATE, RATE, 1)

    def test_opus_is_read(self, tmp_path: Path) -> None:
        """At 24 kHz, as Opus knows no rate that GTZAN has."""
        music = sine(440, 24_000, 24_000, 0.4)
        decoded = decode(write(tmp_path / "x.opus", music, 24_000, format="OGG", subtype="OPUS"), 24_000)
        assert decoded.waveform.shape == music.shape
        assert snr_db(decoded.waveform[2_000:], music[2_000:]) > 20

    def test_flac_that_does_not_tell_its_length_is_read_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "x.flac", MUSIC)
        whole = decode(path, RATE)
        claim_flac_frames(path, 0)
        assert decode(path, RATE).digest == whole.digest
        monkeypatch.setattr("genrekit.audio.decode._BLOCK", 1_000)
        assert decode(path, RATE).digest == whole.digest

    def test_the_content_counts_and_not_the_suffix(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", MUSIC, format="FLAC", subtype="PCM_16")
        assert snr_db(decode(path, RATE).waveform, MUSIC) > 80

    @pytest.mark.parametrize("channels", [1, 2, 3, 6])
    def test_channels_are_mixed_to_their_mean(self, channels: int, tmp_path: Path) -> None:
        samples = np.stack([white_noise(RATE, seed) for seed in range(channels)], axis=1)
        path = write(tmp_path / "x.wav", samples, subtype="FLOAT")
        np.testing.assert_allclose(decode(path, RATE).waveform, samples.mean(axis=1), atol=1e-7)
        assert probe(path).channels == channels

    @pytest.mark.parametrize("gain", [1.0, 0.95])
    def test_of_channels_that_cancel_the_strongest_is_used(
        self, gain: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("genrekit.audio.decode._BLOCK", 3_000)
        channels = [0 * MUSIC, -gain * MUSIC, MUSIC]
        decoded = decode(write(tmp_path / "x.wav", np.stack(channels, axis=1), subtype="FLOAT"), RATE)
        assert decoded.cancelled
        used = -MUSIC if gain == 1 else MUSIC
        np.testing.assert_array_equal(decoded.waveform, used)
        mono = decode(write(tmp_path / "y.wav", used, subtype="FLOAT"), RATE)
        assert (decoded.digest, mono.cancelled) == (mono.digest, False)

    def test_the_residue_of_a_codec_is_not_taken_for_music(self, tmp_path: Path) -> None:
        music = MUSIC + white_noise(RATE, amplitude=0.001)
        channels = np.stack([music, -music], axis=1)
        decoded = decode(write(tmp_path / "x.ogg", channels, format="OGG", subtype="VORBIS"), RATE)
        assert decoded.cancelled
        assert snr_db(decoded.waveform, music) > 20

    @pytest.mark.parametrize("gain", [0.0, 0.5, -0.5, 1.0])
    def test_other_channels_are_averaged(self, gain: float, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.stack([MUSIC, gain * MUSIC], axis=1), subtype="FLOAT")
        decoded = decode(path, RATE)
        assert not decoded.cancelled
        np.testing.assert_allclose(decoded.waveform, (1 + gain) / 2 * MUSIC, atol=1e-7)

    @pytest.mark.parametrize("channels", [1, 2])
    def test_a_file_of_many_blocks_is_read_whole(
        self, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "x.wav", np.stack([MUSIC] * channels, axis=1), subtype="FLOAT")
        monkeypatch.setattr("genrekit.audio.decode._BLOCK", 1_000)
        np.testing.assert_array_equal(decode(path, RATE).waveform, MUSIC)

    def test_silence_is_read(self, tmp_path: Path) -> None:
        decoded = decode(write(tmp_path / "x.wav", np.zeros(RATE)), RATE)
        assert decoded.waveform.shape == (RATE,)
        assert not decoded.waveform.any()


class TestResampling:
    """Another rate, the same sound."""

    @pytest.mark.parametrize("native_rate", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000])
    def test_a_sine_at_any_rate_is_the_same_sine(self, native_rate: int, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", sine(440, native_rate, native_rate), native_rate, subtype="FLOAT")
        decoded = decode(path, RATE)
        assert decoded.native_rate == native_rate
        middle = slice(1_000, -1_000)  # beyond the edges of the filter
        np.testing.assert_allclose(decoded.waveform[middle], sine(440, RATE, RATE)[middle], atol=1e-4)

    @pytest.mark.parametrize("frequency_hz", [12_000, 15_000, 20_000])
    def test_what_lies_above_half_the_lower_rate_is_gone_and_not_folded(
        self, frequency_hz: int, tmp_path: Path
    ) -> None:
        tone = sine(frequency_hz, 44_100, 44_100)
        decoded = decode(write(tmp_path / "x.wav", tone, 44_100, subtype="FLOAT"), RATE)
        assert level_db(decoded.waveform[1_000:-1_000], tone) < -100

    @pytest.mark.parametrize("native_rate", [8_000, 12_000, 22_050, 44_100, 48_000])
    @pytest.mark.parametrize("frames", [9_600, 9_601, 9_602, 9_603, 30_520, 59_889])
    def test_the_length_is_the_one_that_the_header_lets_expect(
        self, frames: int, native_rate: int, tmp_path: Path
    ) -> None:
        """Where half a sample is left, too: 59,889 frames at 44,100 Hz become 29,945, 30,520 at 12,000 Hz 56,080."""
        path = write(tmp_path / "x.wav", np.zeros(frames), native_rate)
        header = probe(path)
        assert len(decode(path, RATE).waveform) == resampled_length(header.frames, header.sample_rate, RATE)


class TestDigest:
    """Equal audio has equal digests, whatever wraps it."""

    def test_lossless_formats_of_the_same_samples_agree(self, tmp_path: Path) -> None:
        digests = set()
        for suffix in ("wav", "flac", "aiff", "au"):
            soundfile.write(tmp_path / f"x.{suffix}", (32_000 * MUSIC).astype(np.int16), RATE, subtype="PCM_16")
            digests.add(decode(tmp_path / f"x.{suffix}", RATE).digest)
        assert len(digests) == 1

    def test_two_equal_channels_agree_with_one(self, tmp_path: Path) -> None:
        mono = write(tmp_path / "mono.wav", MUSIC)
        stereo = write(tmp_path / "stereo.wav", np.stack([MUSIC, MUSIC], axis=1))
        assert decode(mono, RATE).digest == decode(stereo, RATE).digest

    def test_floating_point_samples_agree_with_those_of_16_bits(self, tmp_path: Path) -> None:
        samples = (40_000 * MUSIC).clip(-32_768, 32_767).astype(np.int16)
        soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="PCM_16")
        soundfile.write(tmp_path / "y.wav", samples / np.float32(32_768), RATE, subtype="FLOAT")
        louder = np.where(samples == 32_767, np.float32(7), samples / np.float32(32_768))
        soundfile.write(tmp_path / "z.wav", louder, RATE, subtype="FLOAT")
        assert len({decode(tmp_path / f"{name}.wav", RATE).digest for name in "xyz"}) == 1

    def test_it_does_not_depend_on_the_sample_rate(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", MUSIC)
        assert decode(path, RATE).digest == decode(path, 8_000).digest

    @pytest.mark.parametrize("position", [0, RATE // 2, -1])
    def test_the_last_bit_of_one_sample_makes_another_digest(self, position: int, tmp_path: Path) -> None:
        digests = set()
        for value in (20_000, 20_001):
            samples = (32_000 * MUSIC).astype(np.int16)
            samples[position] = value
            soundfile.write(tmp_path / "x.wav", samples, RATE)
            digests.add(decode(tmp_path / "x.wav", RATE).digest)
        assert len(digests) == 2


class TestUnreadable:
    """A file that cannot become a track says why, without its name and without a warning."""

    @pytest.mark.parametrize("suffix", ["wav", "au", "flac", "ogg", "mp3", "aiff"])
    @pytest.mark.parametrize("content", [b"", b"this is no audio " * 500], ids=["empty", "text"])
    def test_a_file_without_audio(self, content: bytes, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(content)
        assert refusal(path) == "not decodable: Format not recognised"
        with pytest.raises(UnreadableAudioError):
            probe(path)

    @pytest.mark.parametrize("linked", [False, True], ids=["itself", "linked"])
    def test_a_named_pipe_is_not_waited_for(self, linked: bool, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        path = tmp_path / "x.wav"
        path.symlink_to("pipe") if linked else (tmp_path / "pipe").rename(path)
        assert refusal(path) == "a named pipe is not an audio file"
        with pytest.raises(UnreadableAudioError):
            probe(path)

    @pytest.mark.parametrize("claimed", [1, 7, 999, 1_000_001, 2**31 - 1])
    def test_a_rate_that_no_music_has(self, claimed: int, tmp_path: Path) -> None:
        """At 1 Hz a second of samples would become six hours of music."""
        path = write(tmp_path / "x.wav", MUSIC)
        content = bytearray(path.read_bytes())
        content[24:28] = claimed.to_bytes(4, "little")
        path.write_bytes(content)
        assert refusal(path) == f"1 channels at {claimed} Hz"

    @pytest.mark.parametrize("scale", [1e37, 3.4e38])
    def test_samples_so_large_that_resampling_makes_them_infinite(self, scale: float, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.sign(white_noise(RATE)) * scale, subtype="FLOAT")
        assert np.isfinite(decode(path, RATE).waveform).all()
        with pytest.raises(UnreadableAudioError, match=r"^samples too large to be resampled$"):
            decode(path, 8_000)

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "x.wav").mkdir()
        assert refusal(tmp_path / "x.wav") == "Is a directory"

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "x.wav") == "No such file or directory"

    def test_samples_without_a_header(self, tmp_path: Path) -> None:
        (tmp_path / "x.raw").write_bytes(bytes(10_000))
        assert refusal(tmp_path / "x.raw") == "not decodable: Format not recognised"

    def test_a_name_that_is_not_unicode(self, tmp_path: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
        try:
            write(tmp_path / "x.wav", MUSIC).rename(path)
        except OSError:
            pytest.skip("this file system has Unicode names only")
        assert refusal(path) == "its name is not valid Unicode: rename it"

    @pytest.mark.parametrize("frames", [0, 1, 2_204])
    def test_less_than_a_tenth_of_a_second(self, frames: int, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.ones(frames) / 2)
        assert refusal(path) == f"{frames / RATE:.3g} s of audio, shorter than 0.1 s"

    def test_a_tenth_of_a_second_is_enough(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", white_noise(2_205))
        assert len(decode(path, RATE).waveform) == 2_205

    @pytest.mark.parametrize(
        "values",
        [(np.nan, 0.0), (np.inf, 0.0), (-np.inf, 0.0), (np.inf, -np.inf)],
        ids=["nan", "infinite", "minus infinite", "both"],
    )
    @pytest.mark.parametrize("channels", [1, 2])
    def test_nan_or_infinite_samples(self, values: tuple[float, float], channels: int, tmp_path: Path) -> None:
        samples = np.stack([MUSIC] * channels, axis=1)
        samples[100, 0], samples[100 + 2 - channels, -1] = values
        assert refusal(write(tmp_path / "x.wav", samples, subtype="FLOAT")) == "NaN or infinite samples"

    def test_channels_whose_sum_is_too_large(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.full((RATE, 2), 3e38), subtype="DOUBLE")
        assert refusal(path) == "NaN or infinite samples"

    def test_more_channels_than_any_music_has(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", np.zeros((RATE // 4, 65)))
        assert refusal(path) == f"65 channels at {RATE} Hz"


class TestLyingLength:
    """A header cannot make a plan of more than its file can hold."""

    @pytest.mark.parametrize("claimed", [0, 2**36 - 1], ids=["unknown", "68 billion"])
    def test_flac(self, claimed: int, tmp_path: Path) -> None:
        path = write(tmp_path / "x.flac", MUSIC)
        claim_flac_frames(path, claimed)
        assert RATE <= probe(path).frames <= 64 * path.stat().st_size

    @pytest.mark.parametrize(
        ("suffix", "place", "order", "claimed"),
        [
            ("wav", 40, "little", 2**31 - 1),
            ("wav", 40, "little", 2**32 - 1),
            ("au", 8, "big", 2**32 - 1),
            ("aiff", 22, "big", 2**31 - 1),
            ("aiff", 22, "big", 2**32 - 1),
        ],
    )
    def test_uncompressed(
        self, suffix: str, place: int, order: Literal["little", "big"], claimed: int, tmp_path: Path
    ) -> None:
        path = write(tmp_path / f"x.{suffix}", MUSIC, subtype="PCM_16")
        content = bytearray(path.read_bytes())
        content[place : place + 4] = claimed.to_bytes(4, order)
        path.write_bytes(content)
        assert probe(path).frames <= 64 * path.stat().st_size
        assert len(decode(path, RATE).waveform) == pytest.approx(RATE, abs=30)


class TestTruncated:
    """A file that ends early is used if at least 90 % of it is left."""

    @pytest.mark.parametrize(
        ("suffix", "least_db"), [("wav", 80), ("au", 80), ("aiff", 80), ("flac", 80), ("ogg", 20), ("mp3", 20)]
    )
    def test_its_length_is_that_of_what_is_there(self, suffix: str, least_db: float, tmp_path: Path) -> None:
        music = sum((sine(110 * k, 40 * RATE, RATE, 0.25 / k) for k in range(1, 9)), np.zeros(40 * RATE, np.float32))
        path = write(tmp_path / f"x.{suffix}", music)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 24 // 25])
        decoded = decode(path, RATE)
        assert 35 * RATE < len(decoded.waveform) < 39.9 * RATE
        assert len(decoded.notes) == 1
        whole = slice(0, len(decoded.waveform) - 2_000)  # a codec's last block may have lost its second half
        assert snr_db(decoded.waveform[whole], music[whole]) > least_db

    @pytest.mark.parametrize("suffix", ["wav", "au", "aiff", "flac", "mp3"])
    def test_half_a_file_is_refused_with_both_lengths(self, suffix: str, tmp_path: Path) -> None:
        path = write(tmp_path / f"x.{suffix}", white_noise(8 * RATE))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert re.fullmatch(r"damaged: [34][.0-9]* s of 8[.0-9]* s can be decoded, less than 90%", refusal(path))


WAVEFORMS = arrays(np.float32, st.integers(1, 200), elements=st.floats(-8, 8, width=32)).filter(
    lambda waveform: float(np.abs(waveform).max()) > 1e-3
)


class TestNormalization:
    """Each track is brought to a level of its own."""

    @pytest.mark.parametrize("amplitude", [1e-4, 0.3, 1.0, 5.0])
    def test_peak_is_1(self, amplitude: float) -> None:
        normalized = normalize_waveform(amplitude * MUSIC, "peak")
        assert np.abs(normalized).max() == 1
        np.testing.assert_allclose(normalized, MUSIC / np.abs(MUSIC).max(), atol=1e-6)

    @pytest.mark.parametrize("amplitude", [1e-4, 0.3, 1.0, 5.0])
    def test_rms_is_20_db_below_full_scale(self, amplitude: float) -> None:
        normalized = normalize_waveform(amplitude * MUSIC, "rms")
        assert rms(normalized) == pytest.approx(0.1, rel=1e-5)
        assert rms(normalized - MUSIC * (0.1 / rms(MUSIC))) < 1e-6

    def test_what_rms_lifts_above_1_is_clipped(self) -> None:
        waveform = 0.001 * white_noise(RATE)
        waveform[100], waveform[200] = 0.9, -0.9
        normalized = normalize_waveform(waveform, "rms")
        assert (normalized[100], normalized[200]) == (1, -1)

    def test_none_clips_to_1_and_changes_nothing_else(self) -> None:
        waveform = np.array([0.5, -0.25, 1.0, 1.5, -3.0], np.float32)
        assert normalize_waveform(waveform, "none").tolist() == [0.5, -0.25, 1.0, 1.0, -1.0]

    @pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
    def test_silence_stays_silence(self, normalization: str) -> None:
        normalized = normalize_waveform(np.zeros(100, np.float32), normalization)
        assert normalized.shape == (100,)
        assert not normalized.any()

    @given(WAVEFORMS, st.sampled_from(["peak", "rms", "none"]))
    def test_no_sample_is_beyond_1(self, waveform: FloatArray, normalization: str) -> None:
        before = waveform.copy()
        normalized = normalize_waveform(waveform, normalization)
        assert normalized.dtype == np.float32
        assert np.abs(normalized).max() <= 1
        np.testing.assert_array_equal(waveform, before)

    @given(WAVEFORMS, st.sampled_from(["peak", "rms"]), st.integers(-40, 40))
    def test_a_quiet_track_and_its_louder_copy_become_equal(
        self, waveform: FloatArray, normalization: str, exponent: int
    ) -> None:
        waveform = np.where(np.abs(waveform) > 1e-3, waveform, 0).astype(np.float32)
        louder = waveform * np.float32(2.0**exponent)
        np.testing.assert_array_equal(
            normalize_waveform(louder, normalization), normalize_waveform(waveform, normalization)
        )
