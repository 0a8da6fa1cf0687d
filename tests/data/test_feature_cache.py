"""Features of a network beside a cache are computed once, and a stopped computation resumes."""

from pathlib import Path

import numpy as np
import pytest
from tiny_cache import AUGMENTED, build
from tiny_music import write_collection

from genrekit._types import FloatArray
from genrekit.config import PrepareConfig
from genrekit.data import feature_cache as module
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.feature_cache import features_folder, original_features
from genrekit.errors import GenrekitError, IncompatibleCacheError


class Loudness:
    """Two features of each fragment: its RMS and its peak. It counts the fragments and can fail after some calls."""

    name, dimension = "loudness", 2

    def __init__(self, digest: str = "1", calls: int = 1_000) -> None:
        self.digest, self.calls, self.computed = digest, calls, 0

    def compute(self, fragments: FloatArray, sample_rate: int) -> FloatArray:
        """Compute features."""
        assert sample_rate == 8_000
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        self.computed += len(fragments)
        rms, peak = np.sqrt(np.square(fragments).mean(axis=1)), np.abs(fragments).max(axis=1)
        return np.stack([rms, peak], axis=1).astype(np.float32)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 3)


def expected(cache: Cache) -> FloatArray:
    waveforms = cache.waveform[cache.variant == 0] / np.float32(32_767)
    return Loudness().compute(waveforms.astype(np.float32), 8_000)


def test_they_are_those_of_the_originals_and_are_computed_once(cache: Cache) -> None:
    first, again = Loudness(), Loudness()
    np.testing.assert_allclose(original_features(cache, first), expected(cache), rtol=1e-6)
    np.testing.assert_array_equal(original_features(cache, again), original_features(cache, first))
    assert (first.computed, again.computed) == (len(expected(cache)), 0)


@pytest.mark.usefixtures("_small_blocks")
def test_a_stopped_computation_resumes_after_its_last_block(cache: Cache) -> None:
    stopped, resumed, told = Loudness(calls=2), Loudness(), list[tuple[int, int]]()
    with pytest.raises(KeyboardInterrupt):
        original_features(cache, stopped)
    features = original_features(cache, resumed, lambda *done: told.append(done))
    count = len(expected(cache))
    assert (stopped.computed, resumed.computed) == (6, count - 6)
    assert (told[0], told[-1]) == ((6, count), (count, count))
    np.testing.assert_allclose(features, expected(cache), rtol=1e-6)
    assert [path.suffix for path in features_folder(cache).iterdir() if path.name[0] != "."] == [".safetensors"]


@pytest.mark.usefixtures("_small_blocks")
def test_a_block_that_was_cut_off_is_computed_again(cache: Cache) -> None:
    with pytest.raises(KeyboardInterrupt):
        original_features(cache, Loudness(calls=2))
    block = next(features_folder(cache).glob("*.blocks/*.npy"))
    block.write_bytes(block.read_bytes()[:-4])
    np.testing.assert_allclose(original_features(cache, Loudness()), expected(cache), rtol=1e-6)


def test_another_network_has_another_file(cache: Cache) -> None:
    original_features(cache, Loudness())
    other = Loudness(digest="2")
    original_features(cache, other)
    assert other.computed > 0
    assert len(list(features_folder(cache).glob("*.safetensors"))) == 2


def test_features_of_an_older_cache_are_removed(tmp_path: Path, music: Path, cache: Cache) -> None:
    original_features(cache, Loudness())
    write_collection(music, {"jazz": 1}, duration_s=1.1, sample_rate=8_000)
    build(music, tmp_path / "cache.h5", AUGMENTED)
    grown = open_cache(tmp_path / "cache.h5")
    np.testing.assert_allclose(original_features(grown, Loudness()), expected(grown), rtol=1e-6)
    assert len(list(features_folder(grown).glob("*.safetensors"))) == 1


def test_a_damaged_file_is_computed_again(cache: Cache) -> None:
    original_features(cache, Loudness())
    (path,) = features_folder(cache).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    np.testing.assert_allclose(original_features(cache, Loudness()), expected(cache), rtol=1e-6)


def test_a_cache_without_waveforms_is_refused_before_anything_is_computed(tmp_path: Path, music: Path) -> None:
    plain = PrepareConfig.of({**AUGMENTED.model_dump(), "store": "mel"})
    build(music, tmp_path / "mel.h5", plain)
    extractor = Loudness()
    with pytest.raises(IncompatibleCacheError, match="has no waveform, only mel"):
        original_features(open_cache(tmp_path / "mel.h5"), extractor)
    assert extractor.computed == 0


def test_a_folder_that_cannot_be_written_is_named(cache: Cache) -> None:
    features_folder(cache).write_text("a file")
    with pytest.raises(GenrekitError, match=r"cannot store features in .*cache\.features"):
        original_features(cache, Loudness())


@pytest.mark.slow
def test_processes_compute_the_same_features(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 4)
    np.testing.assert_allclose(original_features(cache, Loudness(), workers=2), expected(cache), rtol=1e-6)
