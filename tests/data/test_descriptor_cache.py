"""The statistics beside a cache are stored, and computed again if they are of another cache."""

from pathlib import Path

import numpy as np
import pytest
from tiny_cache import AUGMENTED, SMALL, build
from tiny_music import write_collection

from genrekit.audio.mel_descriptors import mel_statistics
from genrekit.config import PrepareConfig
from genrekit.data import descriptor_cache as module
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.descriptor_cache import original_statistics, statistics_path
from genrekit.errors import IncompatibleCacheError


def expected(cache: Cache) -> np.ndarray:
    return mel_statistics(cache.mel[cache.variant == 0].astype(np.float32), SMALL)


def refuse(*_: object) -> None:
    raise AssertionError("computed again")


def test_they_are_those_of_the_originals(cache: Cache) -> None:
    assert np.array_equal(original_statistics(cache), expected(cache))


def test_progress_is_reported_only_while_they_are_computed(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 3)
    told: list[tuple[int, int]] = []
    for _ in range(2):
        original_statistics(cache, lambda *done: told.append(done))
    assert told == [(0, 8), (3, 8), (6, 8), (8, 8)]


def test_they_are_computed_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    first = original_statistics(cache)
    monkeypatch.setattr(module, "mel_statistics", refuse)
    assert np.array_equal(original_statistics(cache), first)
    assert statistics_path(cache).name == "cache.statistics.npz"


def test_another_caches_are_replaced(tmp_path: Path, music: Path, cache: Cache) -> None:
    old = original_statistics(cache)
    write_collection(music, {"pop": 2}, duration_s=1.1, sample_rate=8_000)
    build(music, tmp_path / "cache.h5", AUGMENTED)
    grown = open_cache(tmp_path / "cache.h5")
    assert len(original_statistics(grown)) > len(old)
    assert np.array_equal(original_statistics(grown), expected(grown))


def test_those_of_other_audio_with_the_same_names_are_replaced(tmp_path: Path, music: Path, cache: Cache) -> None:
    original_statistics(cache)
    (music / "blues" / "blues-0.wav").write_bytes((music / "rock" / "rock-0.wav").read_bytes())
    build(music, tmp_path / "cache.h5", AUGMENTED)
    changed = open_cache(tmp_path / "cache.h5")
    assert np.array_equal(original_statistics(changed), expected(changed))


def test_those_of_another_version_are_replaced(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    original_statistics(cache)
    monkeypatch.setattr(module, "STATISTICS_VERSION", -1)
    monkeypatch.setattr(module, "mel_statistics", lambda mels, _: np.zeros((len(mels), 1), dtype=np.float32))
    assert not original_statistics(cache).any()


@pytest.mark.parametrize("keep", [0, 10, 400, 5_000], ids=lambda keep: f"{keep} bytes")
def test_a_damaged_file_is_replaced(cache: Cache, keep: int) -> None:
    original_statistics(cache)
    path = statistics_path(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert np.array_equal(original_statistics(cache), expected(cache))
    assert len(path.read_bytes()) == len(whole)


def test_pickles_are_not_read(cache: Cache) -> None:
    np.savez(statistics_path(cache), version=np.array({"a": 1}, dtype=object), key="", statistics=np.zeros(1))
    assert np.array_equal(original_statistics(cache), expected(cache))


def test_a_folder_that_cannot_be_written_does_not_matter(cache: Cache) -> None:
    statistics_path(cache).mkdir()
    assert np.array_equal(original_statistics(cache), expected(cache))


def test_a_cache_without_mel_is_refused(tmp_path: Path, music: Path) -> None:
    build(music, tmp_path / "plain.h5", PrepareConfig.of({"front_end": SMALL.model_dump(), "store": "waveform"}))
    with pytest.raises(IncompatibleCacheError, match="has no mel, only waveform"):
        original_statistics(open_cache(tmp_path / "plain.h5"))
