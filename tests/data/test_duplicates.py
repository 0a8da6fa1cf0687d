"""The same recording is found at another level, rate, codec and offset, and stays in one subset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from tiny_cache import build

from genrekit._types import FloatArray
from genrekit.config import FeatureConfig, PrepareConfig
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.collection import scan_folder
from genrekit.data.splits.policy import make_split
from genrekit.data.splits.store import split_tracks

RATE = 16_000
PLAIN = PrepareConfig(front_end=FeatureConfig(sample_rate=RATE, duration_s=2.5, n_fft=1_024, hop_length=256, n_mels=64))

Change = Callable[[FloatArray], tuple[FloatArray, int, str]]


def tune(seed: int, seconds: float = 15.0) -> FloatArray:
    """Decaying notes of a scale, no two tunes alike."""
    generator = np.random.default_rng(seed)
    out = np.zeros(round(seconds * RATE))
    time = np.arange(RATE // 2) / RATE
    for start in range(0, len(out) - len(time), round(generator.uniform(0.11, 0.16) * RATE)):
        hertz = 110 * 2 ** (generator.integers(0, 48) / 12)
        note = sum(np.sin(2 * np.pi * hertz * partial * time) / partial for partial in (1, 2, 3, 4))
        out[start : start + len(time)] += note * np.exp(-6 * time) * generator.uniform(0.3, 1)
    return (0.4 * out / np.abs(out).max()).astype(np.float32)


def write(path: Path, samples: FloatArray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


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


@pytest.mark.slow
def test_recordings_of_tracks_that_did_not_change_are_not_looked_up_again(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    prepared(music)
    write(music / "jazz" / "new.wav", tune(9))
    looked_up: list[int] = []

    def twins(_: object, track: int) -> list[int]:
        looked_up.append(track)
        return []

    monkeypatch.setattr("genrekit.data.duplicates._twins", twins)
    cache = prepared(music)
    assert [cache.tracks[track].id for track in looked_up] == ["jazz/new"]
    assert cache.near_duplicates() == (("blues/1", "blues/copy"),)


def test_an_interrupted_build_whose_rows_are_all_there_still_links_recordings(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))

    def stop(*_: object) -> None:
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
    write(music / "jazz" / "copy.wav", 0.2 * tune(1))
    subsets = make_split(split_tracks(prepared(music)), "track", seed).subsets
    assert subsets["blues/1"] == subsets["jazz/copy"]


def test_silent_tracks_are_neither_one_recording_nor_sample_identical(music: Path) -> None:
    for number in range(2):
        write(music / "jazz" / f"silent-{number}.wav", np.zeros(RATE, np.float32))
    cache = prepared(music)
    assert (cache.duplicates(), cache.near_duplicates()) == ((), ())
    silent = [track for track in split_tracks(cache) if "silent" in track.id]
    assert len({track.digest or track.id for track in silent}) == 2


def test_a_cache_says_so_without_opening_audio_again(music: Path) -> None:
    write(music / "blues" / "copy.wav", 0.2 * tune(1))
    prepared(music)
    assert len(scan_folder(music).tracks) == 7
    assert open_cache(music.parent / "cache.h5").near_duplicates() == (("blues/1", "blues/copy"),)
