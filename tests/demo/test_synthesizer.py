from pathlib import Path

import numpy as np
import pytest
import soundfile

from genrekit._types import FloatArray
from genrekit.data.collection import scan_folder
from genrekit.demo.instruments import INSTRUMENTS
from genrekit.demo.styles import BEATS_PER_BAR, STYLES
from genrekit.demo.synthesizer import GENRES, synthesize_track, write_collection
from genrekit.errors import UsageError

RATE, DURATION_S = 8_000, 1.5


def synthesized(genre: str = "rock", index: int = 0, seed: int = 0, duration_s: float = DURATION_S) -> FloatArray:
    return synthesize_track(genre, index, seed, RATE, duration_s)


def written(root: Path, tracks_per_genre: int, seed: int = 0) -> dict[str, bytes]:
    write_collection(root, tracks_per_genre=tracks_per_genre, duration_s=0.5, sample_rate=RATE, seed=seed)
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if not path.is_dir()
    }


def test_the_genres_are_those_of_gtzan() -> None:
    assert GENRES == (
        "blues",
        "classical",
        "country",
        "disco",
        "hiphop",
        "jazz",
        "metal",
        "pop",
        "reggae",
        "rock",
    )


class TestStyles:
    """The table of styles follows its documentation."""

    @pytest.mark.parametrize("genre", GENRES)
    def test_each_pattern_fills_a_bar_with_symbols_that_are_played(self, genre: str) -> None:
        style = STYLES[genre]
        drums = [part for groove in style.grooves for part in (groove.kick, groove.snare, groove.hat)]
        for patterns, symbols in ((drums, "Xx-o."), (style.bass, "1358w."), (style.chords, "xa.")):
            for pattern in patterns:
                assert len(pattern) == BEATS_PER_BAR * style.steps, pattern
                assert set(pattern) <= set(symbols), pattern

    @pytest.mark.parametrize("genre", GENRES)
    def test_each_instrument_is_known(self, genre: str) -> None:
        style = STYLES[genre]
        assert {*style.bass_instruments, *style.chord_instruments, *style.lead_instruments} <= set(INSTRUMENTS)


class TestTrack:
    """One synthetic track."""

    @pytest.mark.parametrize("genre", GENRES)
    def test_it_has_the_requested_length_and_is_audible_throughout(self, genre: str) -> None:
        for index in range(3):
            waveform = synthesized(genre, index)
            assert waveform.shape == (12_000,)
            assert waveform.dtype == np.float32
            assert np.isfinite(waveform).all()
            assert 10 ** (-6.01 / 20) <= np.abs(waveform).max() <= 10 ** (-0.49 / 20)
            assert np.abs(waveform.reshape(4, -1)).max(axis=1).min() > 1e-3

    @pytest.mark.parametrize("sample_rate", [1_000, 8_000, 22_050, 44_100])
    def test_any_sample_rate_works(self, sample_rate: int) -> None:
        for genre in GENRES:
            waveform = synthesize_track(genre, 0, 0, sample_rate, 1.0)
            assert waveform.shape == (sample_rate,)
            assert 0.4 < np.abs(waveform).max() < 1

    @pytest.mark.parametrize("duration_s", [0.01, 0.1])
    def test_a_track_that_ends_before_its_first_note_is_finite(self, duration_s: float) -> None:
        for genre in GENRES:
            for index in range(8):
                waveform = synthesized(genre, index, duration_s=duration_s)
                assert waveform.shape == (round(duration_s * RATE),)
                assert np.isfinite(waveform).all()
                assert np.abs(waveform).max() < 1

    def test_the_same_arguments_give_the_same_samples(self) -> None:
        np.testing.assert_array_equal(synthesized(), synthesized())

    @pytest.mark.parametrize(
        ("genre", "index", "seed"), [("pop", 0, 0), ("rock", 1, 0), ("rock", 0, 1)], ids=["genre", "index", "seed"]
    )
    def test_another_genre_index_or_seed_is_another_track(self, genre: str, index: int, seed: int) -> None:
        correlation = np.corrcoef(synthesized(), synthesized(genre, index, seed))[0, 1]
        assert abs(correlation) < 0.5

    def test_seed_and_index_are_two_numbers(self) -> None:
        assert not np.array_equal(synthesized(index=1, seed=2), synthesized(index=2, seed=1))

    def test_an_unknown_genre_is_refused_with_a_close_match(self) -> None:
        with pytest.raises(UsageError, match=r"unknown genre 'raggae': did you mean reggae\?"):
            synthesized("raggae")


class TestCollection:
    """Tracks on disk."""

    def test_files_have_documented_names(self, tmp_path: Path) -> None:
        files = written(tmp_path / "audio", 2)
        assert list(files) == [f"{genre}/demo-{genre}-{index:03d}.wav" for genre in GENRES for index in range(2)]
        collection = scan_folder(tmp_path / "audio")
        assert collection.genres == GENRES
        assert (len(collection.tracks), collection.skipped) == (20, ())

    def test_each_file_is_its_track_in_16_bits(self, tmp_path: Path) -> None:
        written(tmp_path, 1, seed=3)
        path = tmp_path / "jazz" / "demo-jazz-000.wav"
        header = soundfile.info(path)
        assert (header.samplerate, header.channels, header.frames) == (RATE, 1, 4_000)
        assert (header.format, header.subtype) == ("WAV", "PCM_16")
        samples, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(samples, synthesized("jazz", seed=3, duration_s=0.5), atol=1 / 32_768)

    def test_a_track_does_not_depend_on_how_many_are_written(self, tmp_path: Path) -> None:
        few, many = written(tmp_path / "few", 1), written(tmp_path / "many", 3)
        assert few == {name: many[name] for name in few}

    def test_another_seed_is_another_collection(self, tmp_path: Path) -> None:
        one, other = written(tmp_path / "one", 1, seed=1), written(tmp_path / "other", 1, seed=2)
        assert one.keys() == other.keys()
        assert all(one[name] != other[name] for name in one)

    def test_no_two_tracks_are_equal(self, tmp_path: Path) -> None:
        files = written(tmp_path, 3)
        assert len(set(files.values())) == len(files) == 30

    def test_progress_counts_to_all(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        write_collection(
            tmp_path,
            tracks_per_genre=2,
            duration_s=0.2,
            sample_rate=RATE,
            seed=0,
            on_track=lambda done, total: calls.append((done, total)),
        )
        assert calls == [(done, 20) for done in range(1, 21)]

    def test_an_interrupt_leaves_only_complete_files(self, tmp_path: Path) -> None:
        def interrupt(done: int, _total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_collection(tmp_path, tracks_per_genre=1, duration_s=0.5, sample_rate=RATE, seed=0, on_track=interrupt)
        names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert names == ["demo-blues-000.wav", "demo-classical-000.wav", "demo-country-000.wav"]
