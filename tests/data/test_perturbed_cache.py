"""Altered fragments are computed once from a cache and stored. Those of another cache are never used."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_cache import AUGMENTED, SMALL, build

from genrekit.audio.transform import FULL_SCALE, altered_waveform
from genrekit.config import PrepareConfig
from genrekit.data import perturbed_cache as module
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.loader import FragmentSource, TrainingBatches
from genrekit.data.perturbed_cache import altered_folder, altered_fragments
from genrekit.errors import GenrekitError, IncompatibleCacheError

TRAINING = ["blues/blues-0", "rock/rock-1"]
VALIDATION = ["blues/blues-1", "rock/rock-0"]


def expected(cache: Cache, ids: list[str], tempo: float, semitones: float) -> np.ndarray:
    return np.stack([altered_waveform(row, tempo, semitones) for row in cache.waveform[cache.original_rows(ids)]])


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("made again")


def files(cache: Cache) -> list[str]:
    return sorted(path.name for path in altered_folder(cache).iterdir() if path.name != ".lock")


def test_they_are_those_of_the_tracks_originals_in_order(cache: Cache) -> None:
    told: list[tuple[int, int]] = []
    found = altered_fragments(cache, cache.original_rows(TRAINING), 1.2, -3.0, lambda done, of: told.append((done, of)))
    assert isinstance(found, np.memmap)
    assert (found.dtype, found.shape) == (np.int16, (4, SMALL.n_samples))
    np.testing.assert_array_equal(found, expected(cache, TRAINING, 1.2, -3.0))
    assert told == [(done, 4) for done in range(1, 5)]


def test_they_are_made_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    first = altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 2.0)
    monkeypatch.setattr(module, "altered_waveform", refuse)
    np.testing.assert_array_equal(altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 2.0, refuse), first)
    assert altered_folder(cache).name == "cache.altered"


def test_each_alteration_and_each_choice_of_tracks_has_its_file(cache: Cache) -> None:
    choices: list[tuple[list[str], float, float]] = [
        (TRAINING, 1.2, 0.0),
        (TRAINING, 1.0, 2.0),
        (TRAINING, 1.0, -2.0),
        (TRAINING, 1.2000001, 0.0),
        (VALIDATION, 1.2, 0.0),
    ]
    for ids, tempo, semitones in choices * 2:
        found = altered_fragments(cache, cache.original_rows(ids), tempo, semitones)
        np.testing.assert_array_equal(found, expected(cache, ids, tempo, semitones))
    assert len(files(cache)) == len(choices)


def test_those_of_other_audio_are_not_read_but_removed(tmp_path: Path, music: Path, cache: Cache) -> None:
    altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    (old,) = files(cache)
    (music / "blues" / "blues-0.wav").write_bytes((music / "rock" / "rock-0.wav").read_bytes())
    build(music, tmp_path / "cache.h5", AUGMENTED)
    changed = open_cache(tmp_path / "cache.h5")
    np.testing.assert_array_equal(
        altered_fragments(changed, changed.original_rows(TRAINING), 1.2, 0.0), expected(changed, TRAINING, 1.2, 0.0)
    )
    assert len(files(cache)) == 1
    assert old not in files(cache)


def test_those_of_another_version_are_computed_again(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    monkeypatch.setattr(module, "FORMAT_VERSION", 0)
    monkeypatch.setattr(module, "altered_waveform", lambda row, **_: np.zeros_like(row))
    assert not altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0).any()


@pytest.mark.parametrize("keep", [0, 10, 200, 20_000], ids=lambda keep: f"{keep} bytes")
def test_a_damaged_file_is_replaced(cache: Cache, keep: int) -> None:
    altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    path = altered_folder(cache) / files(cache)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    np.testing.assert_array_equal(
        altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0), expected(cache, TRAINING, 1.2, 0.0)
    )
    assert path.read_bytes() == whole


def test_an_interrupt_leaves_no_half_file(cache: Cache) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0, interrupt)
    assert files(cache) == []
    np.testing.assert_array_equal(
        altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0), expected(cache, TRAINING, 1.2, 0.0)
    )


def test_what_a_kill_left_is_removed(cache: Cache) -> None:
    altered_folder(cache).mkdir()
    (altered_folder(cache) / ".some.npy.123.tmp").write_bytes(b"half")
    altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    assert len(files(cache)) == 1


def test_two_at_once_make_them_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first, and then reads what that has made."""
    started, made = threading.Event(), []

    def slow(row: np.ndarray, **options: float) -> np.ndarray:
        started.set()
        made.append(1)
        return altered_waveform(row, **options)

    monkeypatch.setattr(module, "altered_waveform", slow)
    first = threading.Thread(target=altered_fragments, args=(cache, cache.original_rows(TRAINING), 1.2, 0.0))
    first.start()
    started.wait()
    found = altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    first.join()
    assert len(made) == len(found) == 4
    np.testing.assert_array_equal(found, expected(cache, TRAINING, 1.2, 0.0))


def test_a_folder_that_cannot_be_made_is_a_line(cache: Cache) -> None:
    altered_folder(cache).write_text("no folder")
    with pytest.raises(GenrekitError, match=r"cannot store altered fragments in .*cache\.altered: ") as caught:
        altered_fragments(cache, cache.original_rows(TRAINING), 1.2, 0.0)
    assert "\n" not in str(caught.value)


def test_a_cache_without_waveforms_is_refused(tmp_path: Path, music: Path) -> None:
    build(music, tmp_path / "plain.h5", PrepareConfig.of({"front_end": SMALL.model_dump(), "store": "mel"}))
    with pytest.raises(IncompatibleCacheError, match="has no waveform, only mel"):
        altered_fragments(open_cache(tmp_path / "plain.h5"), np.arange(4), 1.2, 0.0)
    assert not (tmp_path / "plain.altered").exists()


class TestBatchesOfAltered:
    """Training reads them in the place of originals and variants; validation does not."""

    @pytest.fixture
    def altered(self, cache: Cache) -> np.ndarray:
        return altered_fragments(cache, cache.original_rows(TRAINING), 0.8, 4.0)

    @pytest.fixture
    def data(self, cache: Cache, altered: np.ndarray) -> TrainingBatches:
        training, validation = (FragmentSource(cache, "waveform", ids) for ids in (TRAINING, VALIDATION))
        training.alter(altered)
        return TrainingBatches(training, validation, batch_size=3, seed=0)

    def test_an_epoch_has_each_of_them_once_with_its_genre_and_track(
        self, cache: Cache, altered: np.ndarray, data: TrainingBatches
    ) -> None:
        inputs, genres, tracks = (torch.cat(part) for part in zip(*data.train_batches(1), strict=True))
        stored = (inputs * FULL_SCALE).round().short().numpy()
        places = [int(np.flatnonzero((altered == row).all(1))[0]) for row in stored]
        assert sorted(places) == [0, 1, 2, 3]
        rows = cache.original_rows(TRAINING)[places]
        np.testing.assert_array_equal(genres, cache.genre[rows])
        np.testing.assert_array_equal(tracks, cache.track[rows])

    def test_the_order_is_that_of_the_originals(self, cache: Cache, data: TrainingBatches) -> None:
        source = FragmentSource(cache, "waveform", TRAINING)
        plain = TrainingBatches(source, source, batch_size=3, seed=0)
        for (_, *found), (_, *others) in zip(data.train_batches(2), plain.train_batches(2), strict=True):
            assert all(torch.equal(one, other) for one, other in zip(found, others, strict=True))

    def test_statistics_are_theirs(self, altered: np.ndarray, data: TrainingBatches) -> None:
        mean, deviation = data.statistics()
        np.testing.assert_allclose(mean, [altered.mean() / FULL_SCALE], atol=1e-6)
        np.testing.assert_allclose(deviation, [altered.std() / FULL_SCALE], rtol=1e-4)

    def test_validation_reads_the_originals(self, cache: Cache, data: TrainingBatches) -> None:
        inputs = torch.cat([inputs for inputs, _, _ in data.validation_batches()])
        np.testing.assert_array_equal(
            inputs, cache.waveform[cache.original_rows(VALIDATION)].astype(np.float32) / FULL_SCALE
        )

    def test_figures_of_the_training_part_are_of_the_originals(self, cache: Cache, data: TrainingBatches) -> None:
        inputs = torch.cat([inputs for inputs, _, _ in data.training_batches_in_order()])
        originals = cache.waveform[cache.original_rows(TRAINING)].astype(np.float32) / FULL_SCALE
        np.testing.assert_array_equal(inputs, originals)
