import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from genrekit.data.splits.gtzan import (
    CROSSING_ARTISTS,
    GENRES,
    artists_of,
    fault_filtered_subset,
    gtzan_name,
    has_gtzan_names,
    index,
    is_gtzan,
)

PUBLISHED_INDEX = Path(__file__).parents[3].parent / "shared" / "data" / "gtzan-index.csv"
"""Sturm's index as it was published, where it lies beside the checkout."""

JAZZ_REPETITIONS = {
    33: 51, 34: 53, 35: 55, 36: 58, 37: 60, 38: 62, 39: 65, 40: 67, 42: 68, 43: 69, 44: 70, 45: 71, 46: 72,
}  # fmt: skip
"""Excerpts that Sturm (2013) lists as exact repetitions of others."""


@pytest.fixture
def published() -> dict[str, dict[str, str]]:
    if not PUBLISHED_INDEX.is_file():
        pytest.skip("the published index does not lie beside the checkout")
    with open(PUBLISHED_INDEX, newline="", encoding="utf-8") as file:
        return {row["track"]: row for row in csv.DictReader(file)}


def words(artists: str) -> list[str]:
    """Return the words of some artists' names, however these are joined."""
    return re.sub(r"[,;&]| and ", " ", artists.casefold()).split()


def test_a_hundred_tracks_of_each_genre_are_known() -> None:
    assert len(index()) == 1_000
    assert Counter(name.split(".")[0] for name in index()) == dict.fromkeys(GENRES, 100)
    assert all(gtzan_name(name) == name for name in index())


def test_the_fault_filtered_split_has_the_published_sizes_and_every_genre() -> None:
    subsets = {name: entry.subset for name, entry in index().items()}
    assert Counter(subsets.values()) == {"train": 443, "validation": 197, "test": 290, None: 70}
    assert {(name.split(".")[0], subset) for name, subset in subsets.items() if subset} == {
        (genre, subset) for genre in GENRES for subset in ("train", "validation", "test")
    }


def test_only_the_declared_artists_cross_the_fault_filtered_split() -> None:
    sides = defaultdict(set)
    for entry in index().values():
        for artist in entry.artists:
            sides[artist.casefold()].add(entry.subset)
    crossing = {artist for artist, subsets in sides.items() if len(subsets - {None}) > 1}
    assert crossing == {artist.casefold() for artist in CROSSING_ARTISTS}


def test_an_artist_that_crosses_does_so_by_a_duet() -> None:
    for artist in CROSSING_ARTISTS:
        alone = {entry.subset for entry in index().values() if entry.artists == (artist,)} - {None}
        together = {entry.subset for entry in index().values() if artist in entry.artists and len(entry.artists) > 1}
        assert len(alone) == len(together) == 1
        assert alone != together


def test_of_an_exact_repetition_one_excerpt_at_most_is_listed() -> None:
    pairs = [(f"jazz.{one:05}", f"jazz.{other:05}") for one, other in JAZZ_REPETITIONS.items()]
    for one, other in [*pairs, ("metal.00058", "rock.00016")]:
        assert None in (fault_filtered_subset(one), fault_filtered_subset(other))
        assert artists_of(one) == artists_of(other)


def test_the_artists_are_those_of_the_published_index(published: dict[str, dict[str, str]]) -> None:
    assert list(published) == list(index())
    for name, row in published.items():
        assert words(" ".join(artists_of(name))) == words(row["artist"]), name


def test_no_recording_of_a_known_artist_crosses_the_fault_filtered_split(published: dict[str, dict[str, str]]) -> None:
    sides = defaultdict(set)
    for name, row in published.items():
        if row["artist"] and row["title"] and (subset := fault_filtered_subset(name)):
            sides[row["artist"].casefold(), row["title"].casefold()].add(subset)
    assert not [recording for recording, subsets in sides.items() if len(subsets) > 1]


@pytest.mark.parametrize(
    ("track_id", "name"),
    [
        ("blues.00000", "blues.00000"),
        ("genres_original/rock/rock.00099", "rock.00099"),
        ("blues/blues.00100", None),
        ("blues/blues.000001", None),
        ("folk/folk.00001", None),
        ("blues.00000/song", None),
        ("blues/my blues.00000", None),
    ],
)
def test_gtzan_s_names_are_recognized_by_the_stem_alone(track_id: str, name: str | None) -> None:
    assert gtzan_name(track_id) == name


def test_a_duet_has_each_of_its_artists() -> None:
    assert artists_of("disco/disco.00047") == ("Barbra Streisand", "Donna Summer")
    assert artists_of("reggae/reggae.00087") == ("Lauryn Hill", "Bob Marley")


def test_nothing_is_known_of_tracks_with_other_names() -> None:
    assert artists_of("blues/song") == ()
    assert fault_filtered_subset("blues/song") is None


def test_nine_of_ten_of_gtzan_s_names_are_enough_to_recognize_them() -> None:
    names, others = list(index())[:9], ["blues/a", "blues/b"]
    assert has_gtzan_names([*names, *others[:1]])
    assert not has_gtzan_names([*names, *others])
    assert not has_gtzan_names([])


def test_a_collection_is_gtzan_where_nine_of_ten_of_the_listed_tracks_are_there() -> None:
    listed = [f"genres/{name}" for name, entry in index().items() if entry.subset]
    assert is_gtzan(index())
    assert is_gtzan([*listed[:837], "other/song"])
    assert not is_gtzan(listed[:836])
    assert not is_gtzan([*listed[:836], *(name for name, entry in index().items() if not entry.subset)])
