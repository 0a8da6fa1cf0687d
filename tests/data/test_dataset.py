"""A cache can be used by a training loop that uses nothing of genrekit except for the dataset."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_cache import AUGMENTED, PLAIN, build
from tiny_music import write_collection
from torch.utils.data import DataLoader, Subset

from genrekit import FragmentDataset, open_cache
from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.split import Split
from genrekit.data.splits.store import open_split
from genrekit.errors import IncompatibleCacheError, UsageError


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    folder = write_collection(root / "music", {"blues": 4, "jazz": 4, "metal": 4}, duration_s=1.2, sample_rate=8_000)
    build(folder, root / "cache.h5", AUGMENTED)
    return root / "cache.h5"


def test_items_are_the_original_fragments_as_float32_with_their_genre(path: Path) -> None:
    cache = open_cache(path)
    mels, waveforms = FragmentDataset(cache, "all"), FragmentDataset(cache, "all", "waveform")
    assert len(mels) == len(waveforms) == 12 * 2
    for index, row in enumerate(np.flatnonzero(cache.variant == 0)):
        mel, genre = mels[index]
        waveform, same_genre = waveforms[index]
        assert (mel.dtype, mel.shape) == (torch.float32, (16, 16))
        assert (waveform.dtype, waveform.shape) == (torch.float32, (4_000,))
        np.testing.assert_array_equal(mel, cache.mel[row].astype(np.float32))
        np.testing.assert_allclose(waveform, cache.waveform[row] / 32_767, atol=1e-7)
        assert genre == same_genre == cache.genre[row]
        assert mels.tracks[index] == cache.track[row]
    assert mels.genres == ("blues", "jazz", "metal")
    assert len([mels[index] for index in range(len(mels))]) == len(mels)
    with pytest.raises(IndexError):  # ends a for loop
        mels[len(mels)]


def test_subsets_have_the_tracks_of_the_stored_split(path: Path) -> None:
    cache = open_cache(path)
    split = open_split(cache, "track", 3)
    subsets: dict[str, set[str]] = {}
    for name in ("train", "validation", "test"):
        for chosen in (split, "track"):
            dataset = FragmentDataset(path, name, split=chosen, split_seed=3)
            subsets[name] = {cache.tracks[index].id for index in dataset.tracks.tolist()}
            assert subsets[name] == set(split.ids(name))
    assert sum(map(len, subsets.values())) == len(set.union(*subsets.values())) == 12


def test_all_variants_are_items_if_they_are_requested(path: Path) -> None:
    cache = open_cache(path)
    originals, every = FragmentDataset(cache, "train"), FragmentDataset(cache, "train", variants=True)
    assert len(every) == 5 * len(originals)
    assert every.rows[::5].tolist() == originals.rows.tolist()
    assert cache.variant[every.rows[:5]].tolist() == [0, 1, 2, 3, 4]


def test_a_pickled_dataset_maps_the_file_again_instead_of_carrying_it(path: Path) -> None:
    dataset = FragmentDataset(path, "all", "waveform")
    first = dataset[0][0]
    pickled = pickle.dumps(dataset)
    assert len(pickled) < dataset.cache.waveform.nbytes / 10
    copy = pickle.loads(pickled)
    assert torch.equal(copy[0][0], first)
    assert len(copy) == len(dataset)


@pytest.mark.slow
def test_a_loader_with_workers_yields_the_same_batches(path: Path) -> None:
    dataset = FragmentDataset(path, "train")
    ours, theirs = (
        list(DataLoader(dataset, batch_size=4, num_workers=workers, multiprocessing_context=context))
        for workers, context in ((0, None), (2, "spawn"))
    )
    assert len(ours) == len(theirs) == -(-len(dataset) // 4)
    for (inputs, genres), (same_inputs, same_genres) in zip(ours, theirs, strict=True):
        assert torch.equal(inputs, same_inputs)
        assert torch.equal(genres, same_genres)
        assert genres.dtype == torch.int64


def test_a_training_loop_in_plain_torch_overfits_eight_fragments(path: Path) -> None:
    torch.manual_seed(0)
    dataset = FragmentDataset(path, "train")
    eight = DataLoader(Subset(dataset, range(2, 10)), batch_size=4, shuffle=True)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16 * 16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        for inputs, genres in eight:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), genres).backward()
            optimizer.step()
    inputs, genres = (torch.cat(values) for values in zip(*eight, strict=True))
    assert len(set(genres.tolist())) > 1
    assert torch.equal(model(inputs).argmax(1), genres)


def test_an_unknown_subset_is_refused_with_a_close_match(path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown subset 'valid': did you mean validation\?"):
        FragmentDataset(path, "valid")  # type: ignore[arg-type]


def test_an_input_that_the_cache_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 1, "jazz": 1}, duration_s=1.2, sample_rate=8_000)
    build(folder, tmp_path / "cache.h5", PrepareConfig.of({**PLAIN.model_dump(), "store": "mel"}))
    with pytest.raises(IncompatibleCacheError, match="has no waveform, only mel"):
        FragmentDataset(tmp_path / "cache.h5", "all", "waveform")


def test_a_cache_is_a_context_manager_that_forgets_its_arrays(path: Path) -> None:
    with open_cache(path) as cache:
        assert isinstance(cache, Cache)
        assert cache.shapes == {"waveform": (120, 4_000), "mel": (120, 16, 16)}
        row = np.array(cache.mel[0])
        assert "mel" in vars(cache)
    assert "mel" not in vars(cache)
    np.testing.assert_array_equal(cache.mel[0], row)


def test_open_cache_takes_a_path_as_text(path: Path) -> None:
    assert open_cache(str(path)).genres == ("blues", "jazz", "metal")


def test_a_fragment_split_divides_the_fragments_of_a_track(path: Path) -> None:
    split = Split("fragment", 0, {track.id: "train" for track in open_cache(path).tracks})
    training, validation = (FragmentDataset(path, name, split=split) for name in ("train", "validation"))
    assert sorted([*training.rows, *validation.rows]) == FragmentDataset(path, "all").rows.tolist()
