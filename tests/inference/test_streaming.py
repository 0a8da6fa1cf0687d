"""A file that is read in blocks gives the inputs that a cache would store, however long it is."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from signals import sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio import decode as decoding
from genrekit.audio.decode import decode, stream
from genrekit.audio.fragments import cut, cut_blocks, fragment_starts, starts_every
from genrekit.audio.level import Level, normalize_waveform
from genrekit.audio.transform import FULL_SCALE, transform_track
from genrekit.config import Input, PrepareConfig
from genrekit.errors import UnreadableAudioError
from genrekit.inference import streaming
from genrekit.inference.streaming import FragmentBatches, Recording

RATE = 8_000
N_SAMPLES = 4_000


def config(**front_end: object) -> PrepareConfig:
    small = {"sample_rate": RATE, "duration_s": 0.5, "n_fft": 512, "hop_length": 256, "n_mels": 16}
    return PrepareConfig.of({"front_end": {**small, **front_end}})


def music(n_samples: int, rate: int = RATE) -> FloatArray:
    """A chord that becomes louder, with noise: the last fragment is the loudest."""
    chord = sine(220, n_samples, rate, 0.3) + sine(660, n_samples, rate, 0.2) + white_noise(n_samples, amplitude=0.1)
    return chord * np.linspace(0.05, 1, n_samples, dtype=np.float32)


def stream_file(
    path: Path,
    prepared: PrepareConfig,
    kind: Input = "mel",
    hop: int = N_SAMPLES,
    on_block: Callable[[], None] | None = None,
) -> FragmentBatches:
    return Recording(path, RATE, on_block=on_block).fragments(prepared, kind, hop)


def read_all(
    path: Path, prepared: PrepareConfig, kind: Input = "mel", hop: int = N_SAMPLES
) -> tuple[list[int], FloatArray]:
    """All starts and inputs at once."""
    starts, inputs = zip(*stream_file(path, prepared, kind, hop).batches, strict=True)
    return [start for batch in starts for start in batch], np.concatenate(inputs)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks so small that their edges fall within fragments."""
    monkeypatch.setattr(decoding, "_BLOCK", 3_001)


@pytest.fixture
def long(small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode whatever is longer than a fragment once per pass, and keep no spectrograms."""
    monkeypatch.setattr(streaming, "MAX_WAVEFORM_S", 0.5)
    monkeypatch.setattr(streaming, "MAX_SPECTROGRAMS", 2)
    monkeypatch.setattr(streaming, "BATCH", 3)


@pytest.mark.usefixtures("small_blocks")
class TestStream:
    @pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
    @pytest.mark.parametrize("channels", [1, 2, 8])
    @pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
    def test_blocks_are_the_decoded_waveform_to_the_bit(
        self, tmp_path: Path, rate: int, channels: int, subtype: str
    ) -> None:
        mono = music(rate, rate)
        path = tmp_path / "x.wav"
        soundfile.write(path, np.stack([mono * (1 - 0.1 * n) for n in range(channels)], axis=1), rate, subtype=subtype)
        blocks = [*stream(path, RATE)]
        assert len(blocks) > 2
        np.testing.assert_array_equal(np.concatenate(blocks), decode(path, RATE).waveform)

    @pytest.mark.parametrize(
        "samples",
        [
            pytest.param(np.zeros(700, np.float32), id="short"),
            pytest.param(np.where(np.arange(9_000) == 8_000, np.nan, 0), id="nan-at-the-end"),
            pytest.param(np.where(np.arange(9_000) == 8_000, np.inf, 0), id="infinite"),
        ],
    )
    def test_what_decoding_refuses_is_refused_with_the_same_reason(self, tmp_path: Path, samples: FloatArray) -> None:
        soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
        with pytest.raises(UnreadableAudioError) as whole:
            decode(tmp_path / "x.wav", RATE)
        with pytest.raises(UnreadableAudioError) as blocks:
            [*stream(tmp_path / "x.wav", RATE)]
        assert str(blocks.value) == str(whole.value)


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 20), st.data())
def test_cutting_blocks_is_cutting_the_whole(sizes: list[int], n_samples: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, 2 * n_samples))
    whole = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    starts = starts_every(hop, len(whole), n_samples)
    assert [*starts] == ([*range(0, len(whole) - n_samples + 1, hop)] or [0])
    assert [*starts_every(n_samples, len(whole), n_samples)] == [*fragment_starts(len(whole), n_samples, "all")]
    spread = fragment_starts(len(whole), n_samples, data.draw(st.integers(1, 9)))
    pieces = [*cut_blocks(blocks, n_samples, starts), *cut_blocks(blocks, n_samples, spread)]
    assert [start for start, _ in pieces] == [*starts, *spread]
    for start, piece in pieces:
        np.testing.assert_array_equal(piece, cut(whole, start, n_samples))


@pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
@pytest.mark.parametrize("gain", [0.0, 0.3, 5.0])
def test_a_level_that_is_measured_in_blocks_is_that_of_the_whole(normalization: str, gain: float) -> None:
    whole = gain * music(1_000_003)
    level = Level.of(lambda: np.split(whole, [17, 4_000, 700_000]), normalization)
    assert level.n_samples == 1_000_003
    np.testing.assert_array_equal(level.apply(whole), normalize_waveform(whole, normalization))
    if normalization == "rms":
        assert level.rms == np.sqrt(np.sum(np.square(whole, dtype=np.float64)) / 1_000_003)


class TestFragments:
    @pytest.mark.parametrize("reference", ["track", "fragment"])
    @pytest.mark.parametrize("normalization", ["peak", "none"])
    def test_a_file_gives_the_fragments_that_the_cache_stores(
        self, tmp_path: Path, reference: str, normalization: str
    ) -> None:
        prepared = config(db_reference=reference, normalization=normalization)
        soundfile.write(tmp_path / "x.flac", music(19_000, 11_025), 11_025)
        stored = transform_track("x", tmp_path / "x.flac", prepared)
        starts, mels = read_all(tmp_path / "x.flac", prepared)
        np.testing.assert_array_equal(np.array(starts) / RATE, stored.start_s)
        np.testing.assert_array_equal(mels, stored.tensors["mel"].astype(np.float32))
        _, waveforms = read_all(tmp_path / "x.flac", prepared, "waveform")
        np.testing.assert_array_equal(waveforms, stored.tensors["waveform"].astype(np.float32) / FULL_SCALE)

    @pytest.mark.parametrize("kind", get_args(Input))
    @pytest.mark.parametrize("hop", [N_SAMPLES, 1_500])
    @pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
    @pytest.mark.parametrize("reference", ["track", "fragment"])
    def test_a_long_file_gives_what_it_would_give_in_memory(
        self, tmp_path: Path, request: pytest.FixtureRequest, kind: Input, hop: int, normalization: str, reference: str
    ) -> None:
        prepared = config(normalization=normalization, db_reference=reference)
        soundfile.write(tmp_path / "x.flac", music(50_000, 11_025), 11_025)
        starts, inputs = read_all(tmp_path / "x.flac", prepared, kind, hop)
        request.getfixturevalue("long")
        again, streamed = read_all(tmp_path / "x.flac", prepared, kind, hop)
        assert again == starts == [*range(0, 36_281 - N_SAMPLES + 1, hop)]
        np.testing.assert_array_equal(streamed, inputs)

    @pytest.mark.parametrize("fragments", ["all", "first", 1, 3, 40])
    @pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
    @pytest.mark.parametrize("n_samples", [1_500, 4_000, 50_000])
    def test_a_recording_gives_the_fragments_of_a_cache_from_memory_and_from_the_file(
        self,
        tmp_path: Path,
        request: pytest.FixtureRequest,
        fragments: str | int,
        normalization: str,
        n_samples: int,
    ) -> None:
        prepared = PrepareConfig.of({**config(normalization=normalization).model_dump(), "fragments": fragments})
        soundfile.write(tmp_path / "x.flac", music(n_samples, 11_025), 11_025)
        stored = transform_track("x", tmp_path / "x.flac", prepared)
        for fixture in (None, "long"):
            if fixture:
                request.getfixturevalue(fixture)
            recording = Recording(tmp_path / "x.flac", RATE, digest=True)
            assert (recording.digest, recording.cancelled) == (stored.digest, False)
            for kind in prepared.inputs:
                starts, inputs = zip(*recording.fragments(prepared, kind).batches, strict=True)
                assert [start / RATE for batch in starts for start in batch] == stored.start_s.tolist()
                expected = stored.tensors[kind].astype(np.float32) / np.float32(FULL_SCALE if kind == "waveform" else 1)
                np.testing.assert_array_equal(np.concatenate(inputs), expected)

    @pytest.mark.parametrize("digest", [True, False])
    @pytest.mark.parametrize("length", ["in memory", "long"])
    def test_a_recording_whose_channels_cancel_gives_the_fragments_of_a_cache(
        self, tmp_path: Path, request: pytest.FixtureRequest, length: str, digest: bool
    ) -> None:
        mono = music(50_000, 11_025)
        soundfile.write(tmp_path / "x.flac", np.stack([mono, -mono], axis=1), 11_025)
        stored = transform_track("x", tmp_path / "x.flac", config())
        if length == "long":
            request.getfixturevalue("long")
        recording = Recording(tmp_path / "x.flac", RATE, digest=digest)
        assert recording.cancelled
        assert stored.facts.cancelled
        assert recording.digest == (stored.digest if digest else "")
        _, inputs = zip(*recording.fragments(config(), "mel").batches, strict=True)
        np.testing.assert_array_equal(np.concatenate(inputs), stored.tensors["mel"].astype(np.float32))

    @pytest.mark.parametrize("kind", get_args(Input))
    @pytest.mark.parametrize("length", ["in memory", "long"])
    def test_silent_fragments_are_left_out_and_the_bandwidth_is_that_of_the_cache(
        self, tmp_path: Path, request: pytest.FixtureRequest, kind: Input, length: str
    ) -> None:
        waveform = np.concatenate([np.zeros(N_SAMPLES, np.float32), music(5 * N_SAMPLES), np.zeros(9_000, np.float32)])
        soundfile.write(tmp_path / "x.wav", waveform, RATE)
        stored = transform_track("x", tmp_path / "x.wav", config())
        if length == "long":
            request.getfixturevalue("long")
        fragments = stream_file(tmp_path / "x.wav", config(), kind)
        starts = [start for batch, _ in fragments.batches for start in batch]
        assert starts == [N_SAMPLES * number for number in range(1, 6)]
        assert fragments.silent_starts == {0, 6 * N_SAMPLES, 7 * N_SAMPLES}
        assert fragments.band_power.bandwidth_hz == pytest.approx(stored.facts.bandwidth_hz)
        assert not fragments.padded

    @pytest.mark.usefixtures("long")
    def test_memory_does_not_grow_with_the_file(self, tmp_path: Path) -> None:
        def peak(seconds: int) -> int:
            path = tmp_path / f"{seconds}.wav"
            soundfile.write(path, music(seconds * RATE), RATE)
            tracemalloc.start()
            for _ in stream_file(path, config()).batches:
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(2)
        short = peak(6)
        assert peak(60) < 1.1 * short

    @pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5])
    def test_a_file_not_longer_than_a_fragment_gives_one(self, tmp_path: Path, seconds: float) -> None:
        soundfile.write(tmp_path / "x.wav", music(round(seconds * RATE)), RATE)
        starts, waveforms = read_all(tmp_path / "x.wav", config(), "waveform")
        assert starts == [0]
        np.testing.assert_array_equal(waveforms[0], np.resize(waveforms[0, : round(seconds * RATE)], N_SAMPLES))
        fragments = stream_file(tmp_path / "x.wav", config())
        assert fragments.duration_s == pytest.approx(seconds)
        assert fragments.padded == (seconds < 0.5)

    @pytest.mark.parametrize("pad", ["wrap", "reflect", "zero"])
    def test_a_short_file_is_padded_as_in_a_cache(self, tmp_path: Path, pad: str) -> None:
        soundfile.write(tmp_path / "x.wav", music(1_000), RATE)
        _, mels = read_all(tmp_path / "x.wav", config(pad=pad))
        stored = transform_track("x", tmp_path / "x.wav", config(pad=pad))
        np.testing.assert_array_equal(mels, stored.tensors["mel"].astype(np.float32))

    def test_silence_gives_no_fragments(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "x.wav", np.full(2 * N_SAMPLES, 0.1), RATE)
        fragments = stream_file(tmp_path / "x.wav", config())
        assert not [*fragments.batches]
        assert fragments.silent_starts == {0, N_SAMPLES}

    @pytest.mark.usefixtures("long")
    @pytest.mark.parametrize("calls", [1, 30])
    def test_the_callback_for_blocks_can_stop_the_pass(self, tmp_path: Path, calls: int) -> None:
        soundfile.write(tmp_path / "x.wav", music(30_000), RATE)
        with pytest.raises(KeyboardInterrupt):
            for _ in stream_file(tmp_path / "x.wav", config(), on_block=stopping_at(calls)).batches:
                pass


def stopping_at(calls: int) -> Callable[[], None]:
    left = iter(range(calls - 1))

    def on_block() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return on_block
