"""A track stays in its subset, with its artist in an artist split, and always with its duplicates."""

from __future__ import annotations

import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.config import PrepareConfig, SplitPolicy, TrainConfig
from genrekit.data.cache.layout import CachedTrack, CachePlan
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.checks import check_split
from genrekit.data.splits.groups import artist_clusters, what_to_resample
from genrekit.data.splits.gtzan import gtzan_summary, index
from genrekit.data.splits.policy import choose_policy, make_split
from genrekit.data.splits.split import Split, SplitTrack
from genrekit.data.splits.store import load_split, open_split, save_split, split_tracks
from genrekit.errors import SplitError

SUBSETS = {"train", "validation", "test"}
DRAWN: tuple[SplitPolicy, ...] = ("track", "artist")


def tracks_of(genre: str, count: int, *, per_artist: int = 0) -> list[SplitTrack]:
    """Return tracks GENRE/NUMBER, with so many of each artist, or of unknown artists."""
    return [
        SplitTrack(
            f"{genre}/{number:03}",
            genre,
            (f"{genre} artist {number // per_artist}",) if per_artist else (),
            digest=f"digest of {genre} {number}",
        )
        for number in range(count)
    ]


def gtzan_tracks(*, listed: bool | None = None) -> list[SplitTrack]:
    """Return all of GTZAN, or the tracks that the fault-filtered split lists or leaves out."""
    return [
        SplitTrack(f"genres/{name}", name.split(".")[0], entry.artists)
        for name, entry in index().items()
        if listed is None or listed == bool(entry.subset)
    ]


def counts(split: Split, tracks: Iterable[SplitTrack]) -> dict[str, list[int]]:
    """Return how many tracks of each genre train, validate and test."""
    found = Counter((track.genre, split.subsets.get(track.id)) for track in tracks)
    return {genre: [found[genre, subset] for subset in ("train", "validation", "test")] for genre, _ in found}


def crossing(split: Split, tracks: Iterable[SplitTrack], key: str) -> list[str]:
    """Return the artists or digests that are in two subsets."""
    sides = defaultdict(set)
    for track in tracks:
        if track.id in split.subsets:
            for value in track.artists if key == "artist" else filter(None, [track.digest]):
                sides[value.casefold()].add(split.subsets[track.id])
    return [value for value, subsets in sides.items() if len(subsets) > 1]


def two_genres(tracks: Iterable[SplitTrack]) -> set[str]:
    """Return the ids of tracks whose audio also has another genre."""
    genres = defaultdict(set)
    for track in tracks:
        genres[track.digest].add(track.genre)
    return {track.id for track in tracks if track.digest and len(genres[track.digest]) > 1}


def assert_sound(split: Split, tracks: Sequence[SplitTrack]) -> None:
    """Check what every split promises."""
    ids = {track.id for track in tracks}
    assert split.subsets.keys() | split.left_out.keys() == ids
    assert not split.subsets.keys() & split.left_out.keys()
    assert set(split.subsets.values()) <= SUBSETS
    assert all(split.left_out.values())
    assert not two_genres(tracks) & split.subsets.keys()
    assert crossing(split, tracks, "digest") == []
    if split.policy == "artist":
        assert crossing(split, tracks, "artist") == []


def own_tracks(genres: Iterable[str], what: str, count: int) -> list[SplitTrack]:
    """Return tracks of each genre that share nothing with any other, so that as many subsets can have one."""
    return [
        SplitTrack(f"{genre}/{what} {n}", genre, (f"{what} {genre} {n}",)) for genre in genres for n in range(count)
    ]


@st.composite
def collections(draw: st.DrawFn) -> list[SplitTrack]:
    """Draw tracks of up to three genres, among them duets, unknown artists, and sample-identical ones."""
    artists = st.lists(st.sampled_from(["Ann", "ann", "Bob", "Cy", "Dee", "Eve"]), max_size=2, unique=True)
    digests = st.sampled_from(["", "", "", "d1", "d2", "d3"])
    drawn = draw(st.lists(st.tuples(st.sampled_from(["blues", "jazz", "pop"]), artists, digests), max_size=24))
    return [
        SplitTrack(f"{genre}/{number:02}", genre, tuple(names), digest=digest)
        for number, (genre, names, digest) in enumerate(drawn)
    ]


class TestDrawnSplits:
    """By track and by artist."""

    @pytest.mark.parametrize("policy", DRAWN)
    def test_each_genre_is_divided_80_10_10(self, policy: SplitPolicy) -> None:
        tracks = [
            *tracks_of("blues", 100, per_artist=5),
            *tracks_of("jazz", 50, per_artist=5),
            *tracks_of("pop", 10, per_artist=1),
        ]
        split = make_split(tracks, policy, 0)
        assert counts(split, tracks) == {"blues": [80, 10, 10], "jazz": [40, 5, 5], "pop": [8, 1, 1]}
        assert (split.left_out, split.notes) == ({}, ())

    def test_artists_of_unequal_fame_are_divided_nearly_80_10_10(self) -> None:
        tracks = gtzan_tracks()
        for seed in range(4):
            for genre, (train, validation, test) in counts(make_split(tracks, "artist", seed), tracks).items():
                assert 77 <= train <= 83, genre
                assert 8 <= validation <= 12, genre
                assert 8 <= test <= 12, genre

    @pytest.mark.parametrize(("count", "expected"), [(2, [1, 1, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])])
    @pytest.mark.parametrize("policy", DRAWN)
    def test_a_small_genre_trains_then_validates_then_tests(
        self, policy: SplitPolicy, count: int, expected: list[int]
    ) -> None:
        tracks = [*tracks_of("blues", count, per_artist=1), *tracks_of("jazz", 20, per_artist=1)]
        split = make_split(tracks, policy, 0)
        assert counts(split, tracks) == {"blues": expected, "jazz": [16, 2, 2]}

    def test_a_genre_leaves_the_test_artist_of_another_genre_in_the_test_set(self) -> None:
        """Ann and Bob must train and validate for jazz, so Cy remains to test for blues."""
        tracks = [
            SplitTrack("blues/0", "blues", ("Ann",)),
            SplitTrack("blues/2", "blues", ("Bob",)),
            SplitTrack("blues/3", "blues", ("Cy",)),
            SplitTrack("jazz/1", "jazz", ("Bob",)),
            SplitTrack("jazz/4", "jazz", ("Ann",)),
        ]
        assert counts(make_split(tracks, "artist", 0), tracks) == {"blues": [1, 1, 1], "jazz": [1, 1, 0]}

    def test_a_genre_s_second_artist_validates_and_does_not_test(self) -> None:
        """Bob would test, as jazz has other tracks to validate with, but is blues' only artist beside Ann."""
        tracks = [
            *[SplitTrack(f"jazz/{n}", "jazz", ("Cy",)) for n in range(9)],
            *[SplitTrack(f"jazz/{n}", "jazz", ("Dee",)) for n in (10, 11)],
            *[SplitTrack(f"blues/{n}", "blues", ("Ann",)) for n in (1, 2)],
            SplitTrack("jazz/ann", "jazz", ("Ann",)),
            SplitTrack("blues/bob", "blues", ("Bob",)),
            SplitTrack("jazz/bob", "jazz", ("Bob",)),
        ]
        assert counts(make_split(tracks, "artist", 0), tracks)["blues"] == [2, 1, 0]

    def test_an_empty_test_set_is_allowed_and_noted(self) -> None:
        split = make_split([*tracks_of("jazz", 2), *tracks_of("blues", 2), *tracks_of("pop", 3)], "track", 0)
        assert [note for note in split.notes if "no test tracks of blues, jazz:" in note]

    @pytest.mark.slow
    @given(collections(), st.sampled_from(DRAWN), st.integers(0, 3), st.data())
    @settings(max_examples=150, deadline=None)
    def test_every_split_is_sound_and_the_same_for_any_order_of_the_tracks(
        self, drawn: list[SplitTrack], policy: SplitPolicy, seed: int, data: st.DataObject
    ) -> None:
        tracks = [*drawn, *own_tracks(["blues", "jazz", "pop"], "own", 3)]
        split = make_split(tracks, policy, seed)
        assert_sound(split, tracks)
        assert split.left_out.keys() == two_genres(tracks)
        assert all(min(found) > 0 for found in counts(split, tracks).values())
        assert make_split(data.draw(st.permutations(tracks)), policy, seed) == split

    @pytest.mark.slow
    @given(collections(), collections(), st.sampled_from(DRAWN))
    @settings(max_examples=150, deadline=None)
    def test_adding_tracks_never_moves_one(
        self, first: list[SplitTrack], second: list[SplitTrack], policy: SplitPolicy
    ) -> None:
        """The new tracks share artists and audio with the old ones, and bring a genre of their own."""
        before = [*first, *own_tracks(["blues", "jazz", "pop"], "own", 2)]
        later = [*(replace(track, id=f"{track.id} later") for track in second), *own_tracks(["metal", "pop"], "new", 2)]
        spoilt = two_genres([*later, *before]) - two_genres(before)
        after = [*(replace(track, digest="") if track.id in spoilt else track for track in later), *before]
        made = make_split(before, policy, 0)
        split = make_split(after, policy, 0, previous=made)
        assert_sound(split, after)
        assert made.subsets.items() <= split.subsets.items()
        assert make_split(after, policy, 0, previous=split) == split

    def test_a_track_that_is_added_again_with_another_genre_is_no_longer_used(self) -> None:
        tracks = [*tracks_of("blues", 10), *tracks_of("jazz", 10)]
        made = make_split(tracks, "track", 0)
        split = make_split([*tracks, replace(tracks[0], id="jazz/again", genre="jazz")], "track", 0, previous=made)
        assert split.left_out.keys() == {tracks[0].id, "jazz/again"}
        assert split.subsets.items() <= made.subsets.items()

    @pytest.mark.parametrize("policy", DRAWN)
    def test_added_tracks_are_divided_so_that_the_whole_is_80_10_10(self, policy: SplitPolicy) -> None:
        tracks = tracks_of("blues", 60, per_artist=2)
        made = make_split(tracks[:20], policy, 0)
        assert counts(make_split(tracks, policy, 0, previous=made), tracks) == {"blues": [48, 6, 6]}

    @pytest.mark.parametrize("policy", DRAWN)
    def test_an_added_track_fills_the_empty_subset_of_a_small_genre(self, policy: SplitPolicy) -> None:
        tracks = tracks_of("blues", 3, per_artist=1)
        made = make_split(tracks[1:], policy, 0)
        assert make_split(tracks, policy, 0, previous=made).subsets == {**made.subsets, tracks[0].id: "test"}

    def test_the_seed_decides_who_tests_and_not_how_many(self) -> None:
        tracks = tracks_of("blues", 50)
        first, second = (make_split(tracks, "track", seed) for seed in (0, 1))
        assert first.ids("test") != second.ids("test")
        assert counts(first, tracks) == counts(second, tracks)

    def test_a_track_that_joins_two_sides_is_left_out_with_that_reason(self) -> None:
        tracks = tracks_of("blues", 20, per_artist=1)
        made = make_split(tracks, "artist", 0)
        one, other = (next(t for t in tracks if made.subsets[t.id] == subset) for subset in ("train", "test"))
        duet = SplitTrack("blues/duet", "blues", (*one.artists, *other.artists))
        split = make_split([*tracks, duet], "artist", 0, previous=made)
        assert split.subsets == made.subsets
        assert split.left_out == {"blues/duet": "added later, and it links tracks of different subsets"}
        assert [note for note in split.notes if note.startswith("1 track is not in")]

    def test_a_duet_keeps_all_its_artists_on_one_side(self) -> None:
        tracks = [
            SplitTrack(f"{genre}/{n:02}", genre, (f"artist {n}", f"artist {n + 1}" if n % 5 else f"artist {n}"))
            for genre in ("blues", "jazz")
            for n in range(20)
        ]
        split = make_split(tracks, "artist", 0)
        assert len({split.subsets[track.id] for track in tracks}) == 3
        assert crossing(split, tracks, "artist") == []

    def test_unknown_artists_are_counted_in_a_note(self) -> None:
        split = make_split([*tracks_of("blues", 10, per_artist=1), *tracks_of("jazz", 7)], "artist", 0)
        assert split.notes == ("7 tracks without a known artist: each counts as another artist",)

    @pytest.mark.parametrize("policy", DRAWN)
    def test_of_a_recording_with_two_genres_no_track_is_used_and_a_note_names_them(self, policy: SplitPolicy) -> None:
        tracks = [
            *tracks_of("metal", 10),
            *tracks_of("rock", 10),
            SplitTrack("metal/queen", "metal", digest="1", recording="metal/queen"),
            SplitTrack("rock/queen", "rock", digest="2", recording="metal/queen"),
        ]
        split = make_split(tracks, policy, 0)
        assert split.left_out == {
            "metal/queen": "the same recording as rock/queen, which has another genre",
            "rock/queen": "the same recording as metal/queen, which has another genre",
        }
        assert (
            "metal/queen (metal) and rock/queen (rock) are the same recording, with different genres: no set has them; "
            "remove tracks, or correct their genres"
        ) in split.notes

    @pytest.mark.parametrize("policy", DRAWN)
    def test_of_sample_identical_tracks_with_two_genres_neither_is_used(self, policy: SplitPolicy) -> None:
        tracks = [
            *tracks_of("metal", 10),
            *tracks_of("rock", 10),
            SplitTrack("metal/queen", "metal", digest="same"),
            SplitTrack("rock/queen", "rock", digest="same"),
        ]
        split = make_split(tracks, policy, 0)
        assert split.left_out == {
            "metal/queen": "sample-identical to rock/queen, which has another genre",
            "rock/queen": "sample-identical to metal/queen, which has another genre",
        }
        assert len(split.subsets) == 20


class TestRefusals:
    """Collections that cannot be split are refused with the genre and the remedy."""

    def test_a_genre_of_one_artist_is_named_with_the_artist_and_the_remedy(self) -> None:
        tracks = [*tracks_of("blues", 10, per_artist=10), *tracks_of("jazz", 10, per_artist=1)]
        with pytest.raises(
            SplitError,
            match=r"^blues has only one artist \(blues artist 0\), so an artist split leaves its validation set empty: "
            "choose --split track, or add artists$",
        ):
            make_split(tracks, "artist", 0)
        assert counts(make_split(tracks, "track", 0), tracks)["blues"] == [8, 1, 1]

    def test_artists_that_duets_tie_together_count_as_one(self) -> None:
        tracks = [
            SplitTrack("blues/1", "blues", ("Ann",)),
            SplitTrack("blues/2", "blues", ("Bob",)),
            SplitTrack("blues/3", "blues", ("Bob", "Ann")),
        ]
        with pytest.raises(SplitError, match="blues has too few independent artists"):
            make_split([*tracks, *tracks_of("jazz", 10)], "artist", 0)

    @pytest.mark.parametrize("policy", DRAWN)
    def test_a_genre_of_one_track_is_named_with_the_remedy(self, policy: SplitPolicy) -> None:
        with pytest.raises(
            SplitError,
            match=r"^blues has 1 usable track, but the training and the validation set need one each: "
            r"add tracks, or leave out rare genres: prepare with --min-tracks$",
        ):
            make_split([*tracks_of("blues", 1, per_artist=1), *tracks_of("jazz", 10, per_artist=1)], policy, 0)

    @pytest.mark.parametrize("policy", DRAWN)
    def test_a_track_that_cannot_be_used_does_not_count_as_usable(self, policy: SplitPolicy) -> None:
        tracks = [
            SplitTrack("blues/1", "blues"),
            SplitTrack("blues/2", "blues", digest="same"),
            SplitTrack("jazz/1", "jazz", digest="same"),
            *tracks_of("jazz", 10),
        ]
        with pytest.raises(
            SplitError,
            match=r"^blues has 1 usable track \(1 is left out: blues/2 is sample-identical to jazz/1, which has "
            r"another genre\), but the training and the validation set need one each: remove the copies, or correct",
        ):
            make_split(tracks, policy, 0)

    def test_sample_identical_tracks_count_as_one(self) -> None:
        twins = [SplitTrack("blues/1", "blues", digest="same"), SplitTrack("blues/2", "blues", digest="same")]
        with pytest.raises(SplitError, match=r"^all 2 tracks of blues are sample-identical, but .* add other tracks$"):
            make_split([*twins, *tracks_of("jazz", 10)], "track", 0)

    @pytest.mark.parametrize("policy", DRAWN)
    def test_a_genre_of_one_recording_is_named_as_the_cause(self, policy: SplitPolicy) -> None:
        copies = [SplitTrack(f"blues/{n}", "blues", ("Ann",), digest=str(n), recording="blues/0") for n in range(4)]
        with pytest.raises(SplitError, match=r"^all 4 tracks of blues are one recording, .* --keep-near-duplicates$"):
            make_split([*copies, *tracks_of("jazz", 10)], policy, 0)

    @pytest.mark.parametrize("policy", DRAWN)
    def test_tracks_that_come_to_share_something_across_sides_are_refused_with_the_remedy(
        self, policy: SplitPolicy
    ) -> None:
        """Such as a manifest that names the artists only after the split was made."""
        tracks = tracks_of("blues", 20)
        made = make_split(tracks, policy, 0)
        known = [replace(track, artists=("Ann",), digest="same") for track in tracks[:10]]
        with pytest.raises(
            SplitError,
            match=f"of the {policy} split, because tracks changed after it was made: use another split seed",
        ):
            make_split([*known, *tracks[10:]], policy, 0, previous=made)


class TestPublishedSplits:
    """GTZAN's fault-filtered split, and a manifest's own."""

    def test_fault_filtered_divides_gtzan_as_published(self) -> None:
        tracks = gtzan_tracks()
        split = make_split(tracks, "fault-filtered", 0)
        assert Counter(split.subsets.values()) == {"train": 443, "validation": 197, "test": 290}
        assert set(split.left_out.values()) == {"not listed in the fault-filtered split"}
        assert split.notes == ("70 tracks are not in the fault-filtered split, and not used",)
        assert_sound(split, tracks)

    def test_fault_filtered_uses_neither_of_gtzan_s_excerpt_in_two_genres(self) -> None:
        twins = ("genres/metal.00058", "genres/rock.00016")
        tracks = [replace(track, digest="same" if track.id in twins else "") for track in gtzan_tracks()]
        split = make_split(tracks, "fault-filtered", 0)
        assert Counter(split.subsets.values()) == {"train": 442, "validation": 197, "test": 290}
        assert all("which has another genre" in split.left_out[twin] for twin in twins)

    def test_fault_filtered_keeps_sample_identical_tracks_in_one_subset_only(self) -> None:
        """For example copies of one file under two names. A test track stays a test track."""
        twins = ("genres/blues.00000", "genres/blues.00012", "genres/blues.00029")
        tracks = [replace(track, digest="same" if track.id in twins else "") for track in gtzan_tracks()]
        subsets = {index()[twin.removeprefix("genres/")].subset for twin in twins}
        assert subsets == SUBSETS
        split = make_split(tracks, "fault-filtered", 0)
        assert [split.subsets[twin] for twin in twins if twin in split.subsets] == ["test"]
        assert Counter(split.left_out[twin] for twin in twins if twin in split.left_out) == {
            "sample-identical to a test track": 2
        }

    def test_fault_filtered_is_refused_where_an_artist_crosses_that_is_not_declared(self) -> None:
        tracks = [
            replace(track, artists=("Ann",)) if track.id.endswith(("blues.00000", "blues.00029")) else track
            for track in gtzan_tracks()
        ]
        with pytest.raises(SplitError, match=r"^1 artist \(Ann\) is in more than one set of the fault-filtered split"):
            make_split(tracks, "fault-filtered", 0)

    def test_the_declared_artists_may_cross_however_a_manifest_spells_them(self) -> None:
        tracks = [replace(track, artists=tuple(name.upper() for name in track.artists)) for track in gtzan_tracks()]
        assert len(make_split(tracks, "fault-filtered", 0).subsets) == 930

    def test_without_gtzan_s_names_fault_filtered_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(SplitError, match="no track has a GTZAN name: choose --split track or artist"):
            make_split(tracks_of("blues", 10), "fault-filtered", 0)

    def test_a_manifest_without_a_split_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(
            SplitError, match="no track has a value in the manifest's split column: choose --split track"
        ):
            make_split(tracks_of("blues", 10), "manifest", 0)

    def test_the_split_of_a_manifest_is_used_unchanged(self) -> None:
        tracks = [
            replace(track, subset=subset)
            for track, subset in zip(tracks_of("blues", 4), ("train", "validation", "test", None), strict=True)
        ]
        split = make_split(tracks, "manifest", 0)
        assert split.subsets == {"blues/000": "train", "blues/001": "validation", "blues/002": "test"}
        assert split.left_out == {"blues/003": "not listed in the manifest split"}

    def test_a_manifest_without_training_tracks_is_refused_with_the_remedy(self) -> None:
        tracks = [replace(track, subset="test") for track in tracks_of("blues", 4)]
        for policy in ("manifest", choose_policy(tracks, "auto", 0)[0]):
            with pytest.raises(
                SplitError,
                match=r"^the manifest's split column names 4 test tracks but no training tracks: name these, too, or "
                "choose --split track, which ignores the column$",
            ):
                make_split(tracks, policy, 0)

    def test_a_genre_without_validation_tracks_is_refused_if_others_have_some(self) -> None:
        tracks = [
            replace(track, subset="validation" if track.id == "jazz/000" else "train")
            for track in [*tracks_of("blues", 4), *tracks_of("jazz", 4)]
        ]
        with pytest.raises(
            SplitError, match=r"^the manifest split has no blues tracks in the validation set: choose --split track"
        ):
            make_split(tracks, "manifest", 0)

    def test_a_manifest_of_one_track_per_genre_is_refused(self) -> None:
        tracks = [replace(track, subset="train") for track in [*tracks_of("blues", 1), *tracks_of("jazz", 1)]]
        with pytest.raises(SplitError, match=r"^the manifest split has no blues tracks in the (validation|training)"):
            make_split(tracks, "manifest", 0)

    @pytest.mark.parametrize(("per_artist", "drawn_by"), [(3, "artist"), (27, "track"), (0, "track")])
    def test_without_validation_tracks_some_training_tracks_are_drawn(self, per_artist: int, drawn_by: str) -> None:
        tracks = [
            replace(track, subset="test" if track.id[-2:] > "26" else "train")
            for track in [*tracks_of("blues", 30, per_artist=per_artist), *tracks_of("jazz", 30, per_artist=per_artist)]
        ]
        split = make_split(tracks, "manifest", 0)
        assert counts(split, tracks) == {"blues": [24, 3, 3], "jazz": [24, 3, 3]}
        assert split.ids("test") == [track.id for track in tracks if track.subset == "test"]
        assert split.notes[0] == (
            f"the manifest's split has no validation set: 6 of its 54 training tracks, drawn by {drawn_by}, "
            "are used for validation"
        )
        if per_artist == 3:
            assert crossing(split, tracks, "artist") == []
        assert make_split(tracks, "manifest", 5).subsets == split.subsets

    def test_a_drawn_validation_set_stays_when_tracks_are_added(self) -> None:
        tracks = [replace(track, subset="train") for track in [*tracks_of("blues", 40), *tracks_of("jazz", 40)]]
        first = make_split(tracks[::2], "manifest", 0)
        grown = make_split(tracks, "manifest", 0, previous=first)
        assert first.subsets.items() <= grown.subsets.items()
        assert counts(grown, tracks) == {"blues": [36, 4, 0], "jazz": [36, 4, 0]}

    def test_a_validation_set_is_drawn_when_the_manifest_s_is_removed(self) -> None:
        tracks = [replace(track, subset="train") for track in tracks_of("blues", 18)]
        first = make_split([replace(tracks[0], subset="validation"), *tracks[1:]], "manifest", 0)
        assert counts(make_split(tracks[1:], "manifest", 0, previous=first), tracks[1:]) == {"blues": [15, 2, 0]}

    def test_what_crosses_a_manifest_s_split_is_counted_and_with_strict_refused(self) -> None:
        """An artist's name may be written in two ways, as in an artist split."""
        tracks = [
            SplitTrack("blues/1", "blues", ("Ann",), "train", "one"),
            SplitTrack("blues/2", "blues", ("ANN", "Bob"), "validation", "one"),
            SplitTrack("blues/3", "blues", ("Cy",), "test", "two"),
            SplitTrack("blues/4", "blues", ("Bob",), "test", "two"),
            SplitTrack("blues/5", "blues", ("Dee",), "train"),
        ]
        split = make_split(tracks, "manifest", 0)
        assert split.notes[0] == "1 group of sample-identical tracks is in more than one set of the manifest split"
        assert split.notes[1].casefold() == "2 artists (ann, bob) are in more than one set of the manifest split"
        with pytest.raises(
            SplitError, match="of sample-identical tracks is in more than one set of the manifest split"
        ):
            make_split(tracks, "manifest", 0, strict=True)
        with pytest.raises(SplitError, match=r"^2 artists \(.*\) are in more than one set of the manifest split"):
            make_split([replace(track, digest="") for track in tracks], "manifest", 0, strict=True)

    def test_many_crossing_artists_are_counted_and_a_few_named(self) -> None:
        tracks = [
            SplitTrack(f"blues/{n}", "blues", (f"artist {n // 2}",), "validation" if n % 2 else "train")
            for n in range(10)
        ]
        split = make_split(tracks, "manifest", 0)
        assert split.notes[0].startswith("5 artists (artist 0, artist 1, artist 2 and 2 more) are in more than one set")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param(SplitTrack("blues/1", "blues", ("Ann",)), SplitTrack("jazz/1", "jazz", ("ann", "B")), id="artist"),
        pytest.param(SplitTrack("blues/1", "blues", digest="d"), SplitTrack("blues/2", "blues", digest="d"), id="twin"),
    ],
)
def test_a_split_in_which_something_crosses_fails_the_check(left: SplitTrack, right: SplitTrack) -> None:
    split = Split("artist", 0, {left.id: "train", right.id: "test"})
    with pytest.raises(SplitError, match="is in more than one set of the artist split"):
        check_split(split, [left, right])
    assert check_split(Split("artist", 0, {left.id: "train", right.id: "train"}), [left, right]) == []


def test_tracks_of_one_artist_or_one_recording_are_one_cluster() -> None:
    tracks = [
        SplitTrack("a", "blues", ("Ann",)),
        SplitTrack("b", "jazz", ("Bob", "ann")),
        SplitTrack("c", "pop", ("Bob",), digest="d"),
        SplitTrack("d", "pop", digest="d"),
        SplitTrack("e", "pop"),
        SplitTrack("f", "pop"),
    ]
    assert artist_clusters(tracks) == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e", "f": "f"}


def test_artists_are_resampled_where_they_are_known_for_most() -> None:
    tracks = [SplitTrack(name, "pop", ("Ann",) if name in "abc" else ()) for name in "abcdef"]
    assert what_to_resample(tracks, ["a", "b", "d"]) == "artists"
    assert what_to_resample(tracks, ["a", "d"]) == what_to_resample(tracks, ["d", "e", "f"]) == "tracks"


class TestAuto:
    """The policy that `auto` selects, and its notes."""

    def test_gtzan_is_fault_filtered(self) -> None:
        assert choose_policy(gtzan_tracks(), "auto", 0) == ("fault-filtered", ())

    def test_a_part_of_gtzan_gets_a_note_about_the_fault_filtered_split(self) -> None:
        policy, notes = choose_policy(gtzan_tracks()[::2], "auto", 0)
        assert policy == "artist"
        assert notes == (
            "split by artist",
            "--split fault-filtered uses GTZAN's published split: 465 of these tracks",
        )
        assert choose_policy(gtzan_tracks()[::2], "track", 0)[1] == ()

    def test_a_part_of_gtzan_whose_lists_cannot_be_used_gets_no_note_about_them(self) -> None:
        tracks = [track for track in gtzan_tracks() if track.genre != "pop" or track.id.endswith("00010")]
        assert not [note for note in choose_policy(tracks, "auto", 0)[1] if "GTZAN" in note]

    def test_gtzan_s_lists_are_not_used_if_a_genre_would_be_missing_from_a_set(self) -> None:
        tested = {track.id for track in gtzan_tracks() if index()[track.id.removeprefix("genres/")].subset == "test"}
        tracks = [track for track in gtzan_tracks() if track.genre != "pop" or track.id not in tested]
        policy, notes = choose_policy(tracks, "auto", 0)
        assert policy == "artist"
        assert notes[-1].startswith("--split fault-filtered uses")
        summary = gtzan_summary({track.id: track.genre for track in tracks}) or ""
        assert summary.endswith("test tracks, but no test tracks of pop")

    @pytest.mark.parametrize("genre", ["pop", "folk"])
    def test_other_tracks_beside_gtzan_are_used(self, genre: str) -> None:
        others = [replace(track, id=f"own/{track.id}") for track in tracks_of(genre, 20, per_artist=1)]
        policy, notes = choose_policy([*gtzan_tracks(), *others], "auto", 0)
        assert policy == "artist"
        summary = gtzan_summary({track.id: track.genre for track in [*gtzan_tracks(), *others]})
        start = "1,000 of GTZAN's 1,000 tracks are here, and 20 other tracks:"
        lists = {
            "pop": "--split fault-filtered, which keeps artists apart, has 443 training, 197 validation and 290 test "
            "tracks",
            "folk": "its fault-filtered split cannot be used, because its training set has no folk tracks here",
        }
        assert summary == f"{start} {lists[genre]}"
        assert ("GTZAN" in notes[-1]) == (genre == "pop")

    def test_the_summary_of_gtzan_has_at_most_three_lines_of_80_columns(self) -> None:
        tested = {track.id for track in gtzan_tracks() if index()[track.id.removeprefix("genres/")].subset == "test"}
        tracks = [track for track in gtzan_tracks() if track.id not in tested or track.id.endswith("blues.00000")]
        genre_of = {track.id: track.genre for track in tracks} | {f"own/{n}": "blues" for n in range(1_000)}
        for lacking in (tracks, gtzan_tracks()):
            summary = gtzan_summary(genre_of | {track.id: track.genre for track in lacking}) or ""
            assert len(textwrap.wrap(f"note: {summary}", 80)) <= 3

    def test_a_manifest_that_lists_every_track_is_used(self) -> None:
        tracks = [replace(track, subset="train") for track in tracks_of("blues", 10, per_artist=1)]
        assert choose_policy(tracks, "auto", 0) == ("manifest", ("using the split of the manifest or of the folders",))

    def test_a_manifest_that_lists_some_tracks_is_used_and_the_others_are_counted(self) -> None:
        """Before, the split was dropped, so that a test track could be in the training set."""
        subsets = ["train", "train", "validation", "test", None, None]
        tracks = [replace(t, subset=s) for t, s in zip(tracks_of("blues", 6), subsets, strict=True)]
        assert choose_policy(tracks, "auto", 0)[0] == "manifest"
        split = make_split(tracks, "manifest", 0)
        assert split.ids("test") == ["blues/003"]
        assert split.notes == ("2 tracks are not in the manifest split, and not used",)

    def test_a_manifest_s_split_of_gtzan_is_used_instead_of_the_published_one(self) -> None:
        subsets = ["train", "validation", "test"]
        tracks = [replace(track, subset=subsets[n % 3]) for n, track in enumerate(gtzan_tracks())]
        policy, notes = choose_policy(tracks, "auto", 0)
        assert (policy, notes[0]) == ("manifest", "using the split of the manifest or of the folders")
        assert len(notes) == 1

    @pytest.mark.parametrize("step", [1, 2])
    def test_gtzan_s_published_split_in_a_manifest_is_called_fault_filtered(self, step: int) -> None:
        tracks = [replace(t, subset=index()[t.id.removeprefix("genres/")].subset) for t in gtzan_tracks()[::step]]
        assert choose_policy(tracks, "auto", 0) == (
            "fault-filtered",
            ("the manifest's split is GTZAN's fault-filtered split",),
        )

    def test_half_of_the_artists_known_are_enough_to_split_by_artist(self) -> None:
        known, unknown = tracks_of("blues", 10, per_artist=1), tracks_of("jazz", 11)
        assert choose_policy([*known, *unknown[:10]], "auto", 0) == ("artist", ("split by artist",))
        policy, notes = choose_policy([*known, *unknown], "auto", 0)
        assert policy == "track"
        assert notes == ("split by track: most artists are unknown, so an artist can be in several sets",)

    def test_where_no_artist_split_is_possible_it_is_by_track_and_says_why(self) -> None:
        tracks = [*tracks_of("blues", 10, per_artist=10), *tracks_of("jazz", 10, per_artist=1)]
        policy, (note,) = choose_policy(tracks, "auto", 0)
        assert policy == "track"
        assert note.startswith("split by track, so expect lower accuracy for new artists: blues has only one artist")

    @pytest.mark.parametrize("policy", ["track", "artist", "fault-filtered", "manifest"])
    def test_a_policy_other_than_auto_is_kept(self, policy: SplitPolicy) -> None:
        assert choose_policy(tracks_of("blues", 10), policy, 0) == (policy, ())


@pytest.mark.parametrize(
    ("policy", "name"),
    [("track", "track, seed 3"), ("artist", "artist, seed 3"), ("manifest", "manifest")],
)
def test_the_name_of_a_drawn_split_has_its_seed(policy: str, name: str) -> None:
    assert Split(policy, 3, {}).name == name


class TestSplitFiles:
    """A split is stored beside its cache when it is first made."""

    @staticmethod
    def cache(folder: Path, tracks: Iterable[SplitTrack]) -> Cache:
        """Return a cache of which only the tracks are there."""
        cached = tuple(
            CachedTrack(t.id, t.genre, t.artists, t.subset, 1, 1, row, 1, digest=t.digest, done=True)
            for row, t in enumerate(sorted(tracks, key=lambda track: track.id))
        )
        columns = dict.fromkeys(("track", "genre", "variant", "start_s", "checksum"), np.arange(len(cached)))
        return Cache(folder / "cache.h5", CachePlan(PrepareConfig(), cached, ()), {}, columns)

    def test_it_is_written_once_and_read_from_then_on(self, tmp_path: Path) -> None:
        cache = self.cache(tmp_path, tracks_of("blues", 20))
        first = open_split(cache, "track", 7)
        path = tmp_path / "cache.splits" / "track-7.json"
        before = path.stat()
        assert open_split(cache, "track", 7) == first
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert load_split(path) == replace(first, notes=())
        assert json.loads(path.read_text())["format_version"] == 1

    def test_a_stored_split_is_used_even_if_it_would_be_drawn_differently(self, tmp_path: Path) -> None:
        cache = self.cache(tmp_path, tracks_of("blues", 20))
        first = open_split(cache, "track", 0)
        swapped = {"train": "train", "validation": "test", "test": "validation"}
        other = {track_id: swapped[subset] for track_id, subset in first.subsets.items()}
        save_split(tmp_path / "cache.splits" / "track-0.json", replace(first, subsets=other))
        assert open_split(cache, "track", 0).subsets == other

    def test_a_manifest_that_was_changed_is_noted_with_the_tracks_that_moved(self, tmp_path: Path) -> None:
        tracks = [
            replace(t, subset=s) for t, s in zip(tracks_of("blues", 3), ("train", "validation", "test"), strict=True)
        ]
        open_split(self.cache(tmp_path, tracks), "auto", 0)
        changed = [*tracks[:2], replace(tracks[2], subset="train")]
        split = open_split(self.cache(tmp_path, changed), "auto", 7)
        assert split.notes[1].startswith("1 track is in another set of the manifest split than before (blues/002): ")
        assert sorted(path.name for path in (tmp_path / "cache.splits").iterdir()) == ["manifest-0.json"]

    def test_a_grown_collection_keeps_its_subsets_and_stores_the_new_ones(self, tmp_path: Path) -> None:
        tracks = tracks_of("blues", 40)
        first = open_split(self.cache(tmp_path, tracks[::2]), "track", 0)
        grown = open_split(self.cache(tmp_path, tracks), "track", 0)
        assert len(grown.subsets) == 40
        assert first.subsets.items() <= grown.subsets.items()
        assert load_split(tmp_path / "cache.splits" / "track-0.json").subsets == grown.subsets

    def test_policies_and_seeds_have_files_of_their_own_and_the_training_s_seed_has_none(self, tmp_path: Path) -> None:
        cache = self.cache(tmp_path, tracks_of("blues", 20, per_artist=1))
        asked: list[dict[str, object]] = [
            {"split": "track"},
            {"split": "track", "seed": 5},
            {"split": "track", "split_seed": 5},
            {"split": "auto"},
        ]
        for values in asked:
            config = TrainConfig.of(values)
            open_split(cache, config.split, config.split_seed)
        written = sorted(path.name for path in (tmp_path / "cache.splits").iterdir())
        assert written == ["artist-0.json", "track-0.json", "track-5.json"]

    def test_the_choice_of_auto_comes_with_its_notes(self, tmp_path: Path) -> None:
        split = open_split(self.cache(tmp_path, tracks_of("blues", 2)), "auto", 0)
        assert split.policy == "track"
        assert [note.split(":")[0] for note in split.notes] == ["split by track", "no test tracks of blues"]

    def test_a_split_that_is_refused_is_not_written(self, tmp_path: Path) -> None:
        tracks = [replace(t, subset=p) for t, p in zip(tracks_of("blues", 2), ("train", "validation"), strict=True)]
        cache = self.cache(tmp_path, [replace(track, artists=("Ann",)) for track in tracks])
        with pytest.raises(SplitError, match="is in more than one set"):
            open_split(cache, "manifest", 0, strict=True)
        assert not (tmp_path / "cache.splits").exists()
        assert open_split(cache, "manifest", 0).policy == "manifest"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param('{"format_version": 1, "policy": "tra', id="cut off"),
            pytest.param("[]", id="no object"),
            pytest.param('{"format_version": 1, "policy": "track", "seed": 0, "parts": {}}', id="lacks a key"),
            pytest.param(
                '{"format_version": 1, "policy": "track", "seed": 0, "parts": 5, "left_out": {}}', id="another type"
            ),
            pytest.param(
                '{"format_version": 1, "policy": "track", "seed": 0, "parts": {"blues/000": "tset"}, "left_out": {}}',
                id="unknown subset",
            ),
            pytest.param(
                '{"format_version": 2, "policy": "track", "seed": 0, "parts": {}, "left_out": {}}', id="another version"
            ),
        ],
    )
    def test_a_damaged_file_or_another_version_is_refused_with_the_remedy(self, tmp_path: Path, text: str) -> None:
        cache = self.cache(tmp_path, tracks_of("blues", 20))
        path = tmp_path / "cache.splits" / "track-0.json"
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(SplitError, match=r"track-0\.json.*[:;] delete it to make the split again$"):
            open_split(cache, "track", 0)
        assert path.read_text() == text

    def test_gtzan_s_index_names_the_artists_that_the_manifest_does_not(self, tmp_path: Path) -> None:
        tracks = [
            SplitTrack("disco/disco.00047", "disco"),
            SplitTrack("disco/disco.00046", "disco", ("Ann",)),
            SplitTrack("disco/song", "disco"),
        ]
        assert [track.artists for track in split_tracks(self.cache(tmp_path, tracks))] == [
            ("Ann",),
            ("Barbra Streisand", "Donna Summer"),
            (),
        ]
