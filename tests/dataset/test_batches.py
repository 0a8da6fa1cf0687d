"""Batches visit each training fragment once an epoch, draw its variants, and never touch the other parts."""

import numpy as np
import pytest
import torch
from tiny_cache import AUGMENTED, build
from tiny_music import write_collection

from genrekit.config import Input
from genrekit.dataset.batches import FragmentSource, TrainingBatches
from genrekit.dataset.cache import Cache

TRAINING = ["blues/blues-0", "blues/blues-1", "jazz/jazz-0"]
VALIDATION = ["blues/blues-2", "jazz/jazz-1"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = tmp_path_factory.mktemp("batches")
    folder = write_collection(root / "music", {"blues": 3, "jazz": 2}, duration_s=1.7, sample_rate=8_000)
    return build(folder, root / "cache.h5", AUGMENTED).cache


def batches(cache: Cache, kind: Input = "mel", batch_size: int = 4, seed: int = 0) -> TrainingBatches:
    return TrainingBatches(
        FragmentSource(cache, kind, TRAINING),
        FragmentSource(cache, kind, VALIDATION),
        batch_size=batch_size,
        seed=seed,
    )


def visited(cache: Cache, data: TrainingBatches, epoch: int) -> list[int]:
    """Return the cache rows of an epoch's fragments, found by their content."""
    inputs = torch.cat([inputs for inputs, _ in data.train_batches(epoch)])
    everything = torch.from_numpy(np.array(cache.mel)).float()
    return [int((everything == one).flatten(1).all(1).nonzero()[0, 0]) for one in inputs]


def test_an_epoch_visits_each_training_fragment_once_in_one_of_its_variants(cache: Cache) -> None:
    data = batches(cache)
    originals = FragmentSource(cache, "mel", TRAINING).rows
    for epoch in (1, 2):
        rows = np.array(visited(cache, data, epoch))
        np.testing.assert_array_equal(np.sort(rows // 5), originals // 5)
        assert len(set(rows % 5)) > 1


def test_order_and_variants_depend_on_seed_and_epoch_alone(cache: Cache) -> None:
    first = visited(cache, batches(cache), 3)
    assert first == visited(cache, batches(cache), 3)
    assert first != visited(cache, batches(cache), 4)
    assert first != visited(cache, batches(cache, seed=1), 3)


def test_targets_are_the_genres_of_the_inputs(cache: Cache) -> None:
    data = batches(cache)
    targets = torch.cat([targets for _, targets in data.train_batches(1)])
    np.testing.assert_array_equal(targets, cache.genre[visited(cache, data, 1)])


def test_validation_sees_originals_only_and_in_order(cache: Cache) -> None:
    inputs, targets, tracks = (torch.cat(parts) for parts in zip(*batches(cache).validation_batches(), strict=True))
    rows = FragmentSource(cache, "mel", VALIDATION).rows
    np.testing.assert_array_equal(inputs, cache.mel[rows].astype(np.float32))
    np.testing.assert_array_equal(targets, cache.genre[rows])
    np.testing.assert_array_equal(tracks, cache.track[rows])
    assert (cache.variant[rows] == 0).all()


def test_a_last_batch_of_one_joins_the_one_before(cache: Cache) -> None:
    data = batches(cache, batch_size=4)
    assert data.n_training == 9
    assert [len(targets) for _, targets in data.train_batches(1)] == [4, 5]
    assert data.steps_per_epoch == 2


@pytest.mark.parametrize(("kind", "axes"), [("mel", (0, 2)), ("waveform", (0, 1))])
def test_statistics_are_those_of_the_training_originals_alone(cache: Cache, kind: Input, axes: tuple[int, ...]) -> None:
    rows = FragmentSource(cache, kind, TRAINING).rows
    values = cache.tensor(kind)[rows].astype(np.float64) / (1 if kind == "mel" else 32_767)
    mean, deviation = batches(cache, kind).statistics()
    assert mean.shape == ((16, 1) if kind == "mel" else (1,))
    np.testing.assert_allclose(mean.flatten(), np.atleast_1d(values.mean(axes)), atol=1e-6)
    np.testing.assert_allclose(deviation.flatten(), np.atleast_1d(values.std(axes)), atol=1e-5)


def test_waveforms_come_as_floats_within_one(cache: Cache) -> None:
    inputs, _ = next(batches(cache, "waveform").train_batches(1))
    assert inputs.dtype == torch.float32
    assert inputs.shape == (4, 4_000)
    assert float(inputs.abs().max()) <= 1.0
