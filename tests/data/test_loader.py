"""An epoch has each training fragment once, in a random variant, and no fragment of other subsets."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_cache import AUGMENTED, PLAIN, build
from tiny_music import write_collection

from genrekit.audio.features import power_stft
from genrekit.config import FeatureConfig, Input, PrepareConfig, Stored
from genrekit.data.cache.reader import Cache
from genrekit.data.loader import FragmentSource, TrainingBatches
from genrekit.errors import IncompatibleCacheError

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
    inputs = torch.cat([inputs for inputs, _, _ in data.train_batches(epoch)])
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
    targets = torch.cat([targets for _, targets, _ in data.train_batches(1)])
    np.testing.assert_array_equal(targets, cache.genre[visited(cache, data, 1)])


def test_track_indices_name_the_tracks_of_the_inputs(cache: Cache) -> None:
    data = batches(cache)
    tracks = torch.cat([tracks for _, _, tracks in data.train_batches(1)])
    np.testing.assert_array_equal(tracks, cache.track[visited(cache, data, 1)])
    assert sorted({data.track_ids[index] for index in tracks.tolist()}) == TRAINING


def test_genres_are_counted_in_the_training_set_only(cache: Cache) -> None:
    assert cache.genres == ("blues", "jazz")
    assert batches(cache).genre_counts.tolist() == [6, 3]


@pytest.mark.parametrize("part", ["validation", "training"])
def test_evaluation_batches_have_only_originals_in_order(cache: Cache, part: str) -> None:
    data = batches(cache)
    asked = data.validation_batches() if part == "validation" else data.training_batches_in_order()
    inputs, targets, tracks = (torch.cat(parts) for parts in zip(*asked, strict=True))
    rows = FragmentSource(cache, "mel", VALIDATION if part == "validation" else TRAINING).rows
    np.testing.assert_array_equal(inputs, cache.mel[rows].astype(np.float32))
    np.testing.assert_array_equal(targets, cache.genre[rows])
    np.testing.assert_array_equal(tracks, cache.track[rows])
    assert (cache.variant[rows] == 0).all()


def test_a_last_batch_of_one_joins_the_one_before(cache: Cache) -> None:
    data = batches(cache, batch_size=4)
    assert data.n_training == 9
    assert [len(targets) for _, targets, _ in data.train_batches(1)] == [4, 5]
    assert data.steps_per_epoch == 2


@pytest.mark.parametrize(("kind", "axes"), [("mel", (0, 2)), ("waveform", (0, 1))])
def test_statistics_are_those_of_the_training_originals_alone(
    cache: Cache, kind: Stored, axes: tuple[int, ...]
) -> None:
    rows = FragmentSource(cache, kind, TRAINING).rows
    values = cache.tensor(kind)[rows].astype(np.float64) / (1 if kind == "mel" else 32_767)
    mean, deviation = batches(cache, kind).statistics()
    assert mean.shape == ((16, 1) if kind == "mel" else (1,))
    np.testing.assert_allclose(mean.flatten(), np.atleast_1d(values.mean(axes)), atol=1e-6)
    np.testing.assert_allclose(deviation.flatten(), np.atleast_1d(values.std(axes)), atol=1e-5)


def test_waveforms_come_as_floats_within_one(cache: Cache) -> None:
    inputs, _, _ = next(batches(cache, "waveform").train_batches(1))
    assert inputs.dtype == torch.float32
    assert inputs.shape == (4, 4_000)
    assert float(inputs.abs().max()) <= 1.0


def test_power_spectrograms_are_computed_of_the_waveforms(cache: Cache) -> None:
    read, made = batches(cache, "waveform"), batches(cache, "stft")
    for (waveforms, *others), (inputs, *same) in zip(read.train_batches(1), made.train_batches(1), strict=True):
        assert inputs.shape == (len(waveforms), 201, 21)
        np.testing.assert_array_equal(inputs, power_stft(waveforms.numpy()))
        assert all(torch.equal(one, other) for one, other in zip(others, same, strict=True))


def test_statistics_of_power_spectrograms_are_those_of_each_band(cache: Cache) -> None:
    values = power_stft(FragmentSource(cache, "waveform", TRAINING).inputs(cache.original_rows(TRAINING)).numpy())
    mean, deviation = batches(cache, "stft").statistics()
    assert mean.shape == deviation.shape == (201, 1)
    np.testing.assert_allclose(mean.flatten(), values.mean((0, 2)), rtol=1e-4)
    np.testing.assert_allclose(deviation.flatten(), values.std((0, 2)), rtol=1e-4)


def test_power_spectrograms_of_fragments_within_half_a_window_are_refused(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 1, "jazz": 1}, duration_s=0.2, sample_rate=8_000)
    short = FeatureConfig(sample_rate=8_000, duration_s=0.025, n_fft=64, hop_length=32, n_mels=8)
    tiny = build(folder, tmp_path / "cache.h5", PrepareConfig(front_end=short)).cache
    with pytest.raises(IncompatibleCacheError, match="fragments of 200 samples, but stft needs more than 200"):
        FragmentSource(tiny, "stft", ["blues/blues-0"])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Tracks of three fragments each, of 4,000 samples and without variants."""
    root = tmp_path_factory.mktemp("originals")
    folder = write_collection(root / "music", {"blues": 3, "jazz": 2}, duration_s=1.7, sample_rate=8_000)
    return build(folder, root / "cache.h5").cache


def started(cache: Cache, training: list[str] = TRAINING, seed: int = 0) -> TrainingBatches:
    source = FragmentSource(cache, "waveform", training)
    return TrainingBatches(source, source, batch_size=4, seed=seed, random_start=True)


def track_samples(cache: Cache, index: int) -> npt.NDArray[np.int16]:
    """A track's original fragments, one after the other."""
    rows = np.flatnonzero((cache.track == index) & (cache.variant == 0))
    return cache.tensor("waveform")[rows].ravel()


def places(cache: Cache, data: TrainingBatches, epoch: int) -> list[tuple[int, int]]:
    """Track and first sample of each window, found by content; fails where a window is no part of its track."""
    found = []
    for inputs, _, tracks in data.train_batches(epoch):
        for window, track in zip((inputs * 32_767).round().short().numpy(), tracks.tolist(), strict=True):
            whole = track_samples(cache, track)
            starts = np.flatnonzero(whole[: len(whole) - len(window) + 1] == window[0])
            found.append((track, next(int(at) for at in starts if (whole[at : at + len(window)] == window).all())))
    return found


def test_random_starts_read_unbroken_windows_from_all_of_a_track(originals: Cache) -> None:
    data = started(originals)
    found = [place for epoch in range(1, 21) for place in places(originals, data, epoch)]
    assert len(found) == 20 * data.n_training
    for track in {track for track, _ in found}:
        starts = sorted(start for other, start in found if other == track)
        assert len(starts) == 20 * 3
        assert starts[0] < 1_000
        assert starts[-1] > 7_000
        assert starts[-1] <= 8_000
        assert np.diff(starts).max() < 2_000


def test_random_starts_depend_on_seed_and_epoch_and_leave_the_order(originals: Cache) -> None:
    first = places(originals, started(originals), 1)
    assert first == places(originals, started(originals), 1)
    assert first != places(originals, started(originals), 2)
    plain = batches(originals, "waveform")
    tracks = torch.cat([tracks for _, _, tracks in plain.train_batches(1)]).tolist()
    assert [track for track, _ in first] == tracks


def test_an_augmented_variant_is_read_as_it_is(cache: Cache) -> None:
    """Its fragments were stretched or shifted one by one, so they do not go on in each other."""
    variants = torch.from_numpy(cache.tensor("waveform")[np.flatnonzero(cache.variant != 0)]).float()
    plain = torch.cat([inputs for inputs, _, _ in batches(cache, "waveform").train_batches(1)])
    found = torch.cat([inputs for inputs, _, _ in started(cache).train_batches(1)])
    is_variant = torch.tensor([bool((variants == row).all(1).any()) for row in (plain * 32_767).round()])
    assert 0 < int(is_variant.sum()) < len(plain)
    assert torch.equal(found[is_variant], plain[is_variant])
    assert not (found[~is_variant] == plain[~is_variant]).all(1).any()


def test_the_only_fragment_of_a_track_stays(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 3, "jazz": 2}, duration_s=0.8, sample_rate=8_000)
    short = build(folder, tmp_path / "cache.h5").cache
    assert {start for _, start in places(short, started(short), 1)} == {0}


def test_fragments_with_a_gap_between_them_are_not_joined(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 3, "jazz": 2}, duration_s=2.2, sample_rate=8_000)
    config = PrepareConfig.of({**PLAIN.model_dump(), "fragments": 2})
    spread = build(folder, tmp_path / "cache.h5", config).cache
    assert np.diff(spread.start_s)[0] > 0.5
    assert {start for _, start in places(spread, started(spread), 1)} == {0, 4_000}


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_batches_gathered_on_a_device_equal_those_of_the_file(cache: Cache, kind: Input) -> None:
    """The device here is the CPU; another one holds the same numbers."""
    read, resident = batches(cache, kind), batches(cache, kind)
    assert resident.live_on(torch.device("cpu"), room=1e9)
    for ours, theirs in (
        (resident.train_batches(3), read.train_batches(3)),
        (resident.validation_batches(), read.validation_batches()),
        (resident.training_batches_in_order(), read.training_batches_in_order()),
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))


def test_fragments_that_do_not_fit_or_are_computed_stay_where_they_are(cache: Cache) -> None:
    cpu, data = torch.device("cpu"), batches(cache)
    needed = sum(FragmentSource(cache, "mel", ids).resident_bytes for ids in (TRAINING, VALIDATION))
    assert needed == 5 * 3 * 5 * cache.mel[0].nbytes
    assert not data.live_on(cpu, needed - 1)
    assert data.live_on(cpu, needed)
    assert not batches(cache, "stft").live_on(cpu, 1e9)
    sources = [FragmentSource(cache, "waveform", ids) for ids in (TRAINING, VALIDATION)]
    assert not TrainingBatches(*sources, batch_size=2, seed=0, random_start=True).live_on(cpu, 1e9)
    sources[0].alter(np.zeros((9, cache.config.front_end.n_samples), np.int16))
    assert not TrainingBatches(*sources, batch_size=2, seed=0).live_on(cpu, 1e9)
