"""Genres have one spelling, and rare or unwanted ones are left out."""

from pathlib import Path

import pytest

from genrekit.data.collection import Collection, Track
from genrekit.data.genre_names import read_aliases
from genrekit.data.genre_selection import select_genres
from genrekit.errors import GenrekitError, UsageError


def collection(**counts: int) -> Collection:
    tracks = [Track(f"{genre}/{n}", Path(f"{genre}/{n}.wav"), genre) for genre in counts for n in range(counts[genre])]
    return Collection(Path("data"), tuple(tracks), notes=("a note",))


def tracks_per_genre(selected: Collection) -> dict[str, int]:
    return {genre: sum(track.genre == genre for track in selected.tracks) for genre in selected.genres}


def test_rare_genres_are_left_out_with_their_counts() -> None:
    selected = select_genres(collection(blues=5, jazz=4, polka=1, ska=3), min_tracks=4)
    assert tracks_per_genre(selected) == {"blues": 5, "jazz": 4}
    assert selected.notes == (
        "a note",
        "left out, fewer than 4 tracks (--min-tracks): polka (1 track), ska (3 tracks)",
    )


def test_only_named_genres_are_used() -> None:
    selected = select_genres(collection(blues=2, jazz=2, ska=1), genres=["jazz", " blues"])
    assert tracks_per_genre(selected) == {"blues": 2, "jazz": 2}
    assert selected.notes[1:] == ("left out, not in --genres: ska (1 track)",)


def test_aliases_join_genres_before_tracks_are_counted() -> None:
    aliases = {"Metal": "metal", "ska": "reggae"}
    selected = select_genres(collection(Metal=1, metal=1, jazz=2), aliases=aliases, min_tracks=2)
    assert tracks_per_genre(selected) == {"jazz": 2, "metal": 2}
    assert [track.id for track in selected.tracks][:2] == ["Metal/0", "metal/0"]
    assert selected.notes[1:] == ("aliases of genres that do not occur: ska",)


def test_an_unknown_genre_is_refused_with_the_close_one() -> None:
    with pytest.raises(UsageError, match="unknown genre 'jaz': did you mean jazz"):
        select_genres(collection(blues=2, jazz=2), genres=["jaz", "blues"])


def test_too_few_genres_are_refused_with_the_counts() -> None:
    with pytest.raises(
        GenrekitError,
        match=r"^data: only blues is left with --min-tracks 3, but a classifier needs at least two; "
        r"tracks per genre: blues 3, jazz 2$",
    ):
        select_genres(collection(blues=3, jazz=2), min_tracks=3)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", 'Metal = "metal"\n"Hip-Hop" = "hiphop"\n'), ("a.csv", "Alias,Genre\nMetal,metal\nHip-Hop,hiphop\n")],
)
def test_aliases_are_toml_or_csv(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_aliases(tmp_path / name) == {"Metal": "metal", "Hip-Hop": "hiphop"}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.toml", "Metal = 3\n", 'the genre of Metal must be text, such as Metal = "jazz", got 3'),
        ("a.csv", "Metal,metal\n", "its first line must be alias,genre, got 'Metal,metal'"),
        ("a.csv", "alias,genre\nMetal\n", "each line must have an alias and a genre, got 'Metal'"),
        ("a.csv", "alias,genre\nMetal,\n", "the genre of the alias 'Metal' is empty"),
        ("a.csv", "alias,genre\nMetal,metal\nMetal,rock\n", "Metal is an alias of metal and of rock: remove one"),
    ],
)
def test_a_wrong_file_of_aliases_is_one_line(name: str, text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(GenrekitError, match=problem):
        read_aliases(tmp_path / name)
