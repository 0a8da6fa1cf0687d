"""The same recording is found at another level, rate, codec and offset, and stays in one subset."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from tiny_cache import build
from tiny_tunes import RATE, tune, write

from genrekit import info
from genrekit._types import FloatArray
from genrekit.audio.augment import time_stretch
from genrekit.config import FeatureConfig, PrepareConfig
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.collection import scan_folder
from genrekit.data.duplicates import group_recordings, matches_path, shared_passages
from genrekit.data.matching import SharedAudio
from genrekit.data.splits.policy import make_split
from genrekit.data.splits.store import split_tracks

PLAIN = PrepareConfig(front_end=FeatureConfig(sample_rate=RATE, duration_s=2.5, n_fft=1_024, hop_length=256, n_mels=64))

Change = Callable[[FloatArray], tuple[FloatArray, int, str]]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Six tunes of two genres."""
    for number in range(6):
        write(tmp_path / "music" / ("blues" if number < 3 else "jazz") / f"{number}.wav", tune(number))
    return tmp_path / "music"


def prepared(music: Path) -> Cache:
    return build(music, music.parent / "cache.h5", PLAIN).cache


def test_different_tunes_are_different_recordings(music: Path) -> None:
    cache = prepared(music)
    assert [track.recording for track in cache.tracks] == list(range(6))
    assert cache.near_duplicates() == ()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: (0.1 * x, RATE, "copy.wav"), id="quieter"),
        pytest.param(lambda x: (x, RATE, "copy.mp3"), id="mp3"),
        pytest.param(lambda x: (x, RATE, "copy.ogg"), id="ogg"),
        pytest.param(lambda x: (soxr.resample(x, RATE, 44_100), 44_100, "copy.flac"), id="another rate"),
        pytest.param(lambda x: (x[20_123:], RATE, "copy.wav"), id="begins later"),
        pytest.param(lambda x: (np.tanh(3 * x), RATE, "copy.wav"), id="distorted"),
        pytest.param(lambda x: (x[40_000:120_000], RATE, "copy.wav"), id="a part"),
        pytest.param(lambda x: (soxr.resample(x, RATE, RATE / 1.01), RATE, "copy.wav"), id="faster"),
        pytest.param(lambda x: (time_stretch(x, 0.98), RATE, "copy.wav"), id="slower"),
        pytest.param(lambda x: (0.3 * x[33_333:], RATE, "copy.mp3"), id="all at once"),
    ],
)
def test_a_changed_copy_is_the_same_recording(music: Path, change: Change) -> None:
    samples, rate, name = change(tune(1))
    write(music / "jazz" / name, samples, rate)
    cache = prepared(music)
    assert cache.duplicates() == ()
    assert cache.near_duplicates() == (("blues/1", "jazz/copy"),)


def test_sample_identical_tracks_are_reported_once(music: Path) -> None:
    write(music / "jazz" / "copy.flac", soundfile.read(music / "blues" / "1.wav", dtype="float32")[0])
    cache = prepared(music)
    assert (cache.duplicates(), cache.near_duplicates()) == ((("blues/1", "jazz/copy"),), ())


def test_adding_and_removing_tracks_ends_as_a_fresh_build_does(music: Path, tmp_path: Path) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    prepared(music)
    write(music / "jazz" / "later.mp3", tune(1)[12_345:])
    write(music / "jazz" / "new.wav", tune(9))
    (music / "blues" / "1.wav").unlink()
    cache = prepared(music)
    assert cache.near_duplicates() == (("blues/copy", "jazz/later"),)
    fresh = build(music, tmp_path / "fresh.h5", PLAIN).cache
    assert [track.recording for track in cache.tracks] == [track.recording for track in fresh.tracks]


def test_audio_that_did_not_change_is_not_searched_for_again(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    prepared(music)
    write(music / "jazz" / "new.wav", tune(9))
    searched: list[int] = []

    def nothing(_index: object, _code: object, _frame: object, track: int, _wanted: object) -> Iterator[None]:
        searched.append(track)
        yield from ()

    monkeypatch.setattr("genrekit.data.matching.LandmarkIndex.shared_with", nothing)
    cache = prepared(music)
    assert [cache.tracks[track].id for track in searched] == ["jazz/new"]
    assert cache.near_duplicates() == (("blues/1", "blues/copy"),)


def test_a_damaged_file_of_matches_is_made_again(music: Path) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    path = matches_path(prepared(music).path)
    before = path.read_bytes()
    path.write_bytes(before[:100])
    assert prepared(music).near_duplicates() == (("blues/1", "blues/copy"),)
    assert path.read_bytes() == before


@pytest.fixture
def jingles(tmp_path: Path) -> Path:
    """Two genres of three different tunes, which all begin with the same five seconds."""
    jingle = tune(100, 5)
    for number in range(6):
        samples = np.concatenate([jingle, tune(number)])
        write(tmp_path / "music" / ("blues" if number < 3 else "jazz") / f"{number}.wav", samples)
    return tmp_path / "music"


def test_tracks_with_the_same_intro_are_different_recordings(jingles: Path) -> None:
    cache = prepared(jingles)
    assert cache.near_duplicates() == ()
    passages = shared_passages(cache)
    assert len(passages) == 6 * 5 // 2
    shared = passages[0].shared
    assert (passages[0].first, passages[0].second) == ("blues/0", "blues/1")
    assert shared.start_s < 0.5
    assert shared.second_start_s < 0.5
    assert 4 < shared.end_s < 5.5
    assert 0.15 < shared.first_share < 0.35
    make_split(split_tracks(cache), "track", 0)
    lines = info(cache.path).facts["shared_audio"]
    assert len(lines) == len(passages)
    assert lines[0].startswith("blues/0 and blues/1 share audio from 0:00 to 0:0")


def test_a_track_that_has_parts_of_two_others_does_not_link_them(music: Path) -> None:
    write(music / "blues" / "medley.wav", np.concatenate([tune(1), tune(2)]))
    cache = prepared(music)
    assert cache.near_duplicates() == (("blues/1", "blues/medley"),)
    assert [(passage.first, passage.second) for passage in shared_passages(cache)] == [("blues/2", "blues/medley")]


def grouped(music: Path, shares: dict[tuple[int, int], tuple[float, float]]) -> list[int]:
    pairs = {pair: SharedAudio(*both, 0, 3, 0) for pair, both in shares.items()}
    return group_recordings(prepared(music), pairs).tolist()


def test_copies_of_a_track_are_one_recording_even_if_they_do_not_match_each_other(music: Path) -> None:
    assert grouped(music, {(0, 1): (0.95, 1), (0, 2): (0.9, 0.92)})[:4] == [0, 0, 0, 3]
    assert grouped(music, {(0, 1): (0.95, 1), (0, 2): (1, 0.89)})[:4] == [0, 0, 2, 3]


def test_copies_of_a_medley_do_not_link_its_songs(music: Path) -> None:
    medley, copy = 2, 3
    shares = {(0, medley): (1.0, 0.89), (1, copy): (1.0, 0.89), (medley, copy): (0.91, 0.91)}
    assert grouped(music, shares)[:4] == [0, 1, 2, 2]


def test_near_duplicates_can_be_kept_and_linked_again(music: Path) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    write(music / "blues" / "identical.flac", soundfile.read(music / "blues" / "1.wav", dtype="float32")[0])
    linked = prepared(music)
    kept = build(music, linked.path, PLAIN, keep_near_duplicates=True)
    assert (kept.reused, kept.cache.near_duplicates()) == (8, ())
    assert kept.cache.tracks[1].recording == kept.cache.tracks[-4].recording == 1
    assert kept.cache.duplicates() == (("blues/1", "blues/identical"),)
    again = prepared(music)
    assert [track.recording for track in again.tracks] == [track.recording for track in linked.tracks]


def test_an_interrupted_build_whose_rows_are_all_there_still_links_recordings(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("genrekit.data.cache.builder._link_recordings", stop)
        with pytest.raises(KeyboardInterrupt):
            prepared(music)
    assert prepared(music).near_duplicates() == (("blues/1", "blues/copy"),)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_split_keeps_a_recording_on_one_side(music: Path, seed: int) -> None:
    for number in range(10, 16):
        write(music / "jazz" / f"{number}.wav", tune(number))
    write(music / "jazz" / "copy.wav", 0.2 * tune(10))
    subsets = make_split(split_tracks(prepared(music)), "track", seed).subsets
    assert subsets["jazz/10"] == subsets["jazz/copy"]


def test_silent_tracks_are_neither_one_recording_nor_sample_identical(music: Path) -> None:
    for number in range(2):
        write(music / "jazz" / f"silent-{number}.wav", np.zeros(RATE, np.float32))
    cache = prepared(music)
    assert (cache.duplicates(), cache.near_duplicates()) == ((), ())
    assert not [track for track in split_tracks(cache) if "silent" in track.id]


def test_a_cache_says_so_without_opening_audio_again(music: Path) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    prepared(music)
    assert len(scan_folder(music).tracks) == 7
    assert open_cache(music.parent / "cache.h5").near_duplicates() == (("blues/1", "blues/copy"),)
