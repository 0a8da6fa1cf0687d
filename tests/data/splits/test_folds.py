"""Cross-validation folds, and the split by fragment."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny_music
from hypothesis import given
from hypothesis import strategies as st
from tiny_cache import build

from genrekit.config import TrainConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.loader import subset_source
from genrekit.data.splits.folds import fold_split, trained_split
from genrekit.data.splits.policy import make_split
from genrekit.data.splits.split import SplitTrack
from genrekit.data.splits.store import open_split
from genrekit.errors import SplitError, UsageError

TRACKS = [SplitTrack(f"{genre}/{n:02}", genre, (f"artist {genre} {n // 3}",)) for genre in "ab" for n in range(30)]
SPLIT = make_split(TRACKS, "artist", 0)


def test_each_track_that_is_not_tested_validates_once() -> None:
    folds = [fold_split(SPLIT, TRACKS, 5, fold) for fold in range(5)]
    validated = Counter(track_id for fold in folds for track_id in fold.ids("validation"))
    assert validated == Counter(SPLIT.ids("train") + SPLIT.ids("validation"))
    for fold in folds:
        assert fold.ids("test") == SPLIT.ids("test")
        assert set(fold.ids("train")) | set(fold.ids("validation")) == set(validated)


def test_artists_stay_together_and_genres_are_spread() -> None:
    of_artist = {track.id: track.artists[0] for track in TRACKS}
    for fold in range(4):
        split = fold_split(SPLIT, TRACKS, 4, fold)
        artists = [{of_artist[track_id] for track_id in split.ids(subset)} for subset in ("train", "validation")]
        assert not artists[0] & artists[1]
        counts = Counter(track_id[0] for track_id in split.ids("validation"))
        assert set(counts) == {"a", "b"}
        assert max(counts.values()) <= 10


def test_a_genre_with_too_few_artists_is_refused() -> None:
    with pytest.raises(SplitError, match="a has too few artists or tracks for 12 folds"):
        fold_split(SPLIT, TRACKS, 12, 0)


@given(st.permutations(TRACKS))
def test_folds_do_not_depend_on_the_order_of_tracks(tracks: list[SplitTrack]) -> None:
    assert fold_split(SPLIT, tracks, 3, 1).subsets == fold_split(SPLIT, TRACKS, 3, 1).subsets


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 1}, "folds must be at least 2"),
        ({"folds": 3, "fold": 3}, "fold must be less than folds"),
        ({"fold": 1}, "fold must be less than folds"),
        ({"fragments": "first", "input": "waveform", "random_start": True}, "random_start needs all fragments"),
    ],
)
def test_contradictions_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig.of(values)


def test_what_validated_is_part_of_the_name() -> None:
    assert TrainConfig.of({"folds": 5, "fold": 1}).validated_on == ", fold 2 of 5"
    assert TrainConfig.of({"fragments": "first"}).validated_on == ", first fragments"
    assert not TrainConfig.of({}).validated_on


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    tiny_music.write_collection(folder / "music", {"blues": 10, "metal": 10}, duration_s=3.1, sample_rate=8_000)
    build(folder / "music", folder / "cache.h5")
    return folder / "cache.h5"


def test_the_first_fragment_of_each_track_is_read(cache_path: Path) -> None:
    cache = open_cache(cache_path)
    split = open_split(cache, "track", 0)
    every = subset_source(cache, "mel", split, "train")
    first = subset_source(cache, "mel", split, "train", "first")
    assert len(first.rows) == len(split.ids("train")) < len(every.rows)
    assert np.all(cache.start_s[first.rows] == 0)


def test_a_fragment_split_divides_the_fragments_of_every_track(cache_path: Path) -> None:
    cache = open_cache(cache_path)
    split = open_split(cache, "fragment", 0)
    training, validation = (subset_source(cache, "mel", split, subset) for subset in ("train", "validation"))
    assert not set(training.rows) & set(validation.rows)
    assert sorted([*training.rows, *validation.rows]) == sorted(cache.original_rows([t.id for t in cache.tracks]))
    assert set(validation.track.tolist()) & set(training.track.tolist())
    assert split.ids("test") == []
    assert any("inflates accuracy" in note for note in split.notes)


def test_folds_of_a_fragment_split_validate_each_fragment_once(cache_path: Path) -> None:
    cache = open_cache(cache_path)
    rows: list[int] = []
    for fold in range(3):
        split = trained_split(cache, TrainConfig.of({"split": "fragment", "folds": 3, "fold": fold}))
        training, validation = (
            set(subset_source(cache, "mel", split, subset).rows) for subset in ("train", "validation")
        )
        assert not training & validation
        assert training
        rows += validation
    assert sorted(rows) == sorted(cache.original_rows([track.id for track in cache.tracks]))


def test_a_fold_without_a_fragment_is_refused(cache_path: Path) -> None:
    cache = open_cache(cache_path)
    configs = [TrainConfig.of({"split": "fragment", "folds": 100, "fold": fold}) for fold in range(100)]
    with pytest.raises(SplitError, match="the validation set of the fragment split is empty: choose fewer"):
        [subset_source(cache, "mel", trained_split(cache, config), "validation") for config in configs]


def test_a_trained_split_is_the_caches_own_without_folds(cache_path: Path) -> None:
    cache = open_cache(cache_path)
    assert trained_split(cache, TrainConfig.of({})).subsets == open_split(cache, "auto", 0).subsets
    folds = [set(trained_split(cache, TrainConfig.of({"folds": 3, "fold": f})).ids("validation")) for f in range(3)]
    assert not folds[0] & folds[1]
