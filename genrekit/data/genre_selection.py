"""Which genres of a collection are used, and under which names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection as AnyCollection
from collections.abc import Mapping, Sequence
from dataclasses import replace

from genrekit.data.collection import Collection
from genrekit.data.genre_names import genre_name, names_problem, renamed
from genrekit.errors import GenrekitError, counted, few, unknown_name

_FEWEST_GENRES = 2


def select_genres(
    collection: Collection,
    *,
    aliases: Mapping[str, str] | None = None,
    genres: Sequence[str] = (),
    min_tracks: int = 1,
) -> Collection:
    """Rename genres by their aliases, and keep only some `genres`, and those with at least `min_tracks` tracks.

    Notes say what was left out.
    Errors: GenrekitError if fewer than two genres are left or two differ only in case; UsageError if one is unknown.
    """
    notes = list(collection.notes)
    if aliases is not None:
        notes += _unused(collection, aliases)
        tracks = (replace(track, genre=renamed(track.genre, aliases)) for track in collection.tracks)
        collection = replace(collection, tracks=tuple(tracks))
    if genres:
        wanted = {_known(genre, collection) for genre in genres}
        collection, left_out = _keep(collection, wanted)
        notes += [f"left out, not in --genres: {left_out}"] if left_out else []
    counts = Counter(track.genre for track in collection.tracks)
    enough = {genre for genre, count in counts.items() if count >= min_tracks}
    if len(enough) < _FEWEST_GENRES and (genres or min_tracks > 1):
        remaining = f"only {few(sorted(enough))}" if enough else "no genre"
        numbers = few([f"{genre} {count}" for genre, count in counts.most_common()], 8)
        options = [*(["--genres"] if genres else []), *([f"--min-tracks {min_tracks}"] if min_tracks > 1 else [])]
        raise GenrekitError(
            f"{collection.root}: {remaining} is left with {' and '.join(options)}, but a "
            f"classifier needs at least two; tracks per genre: {numbers}"
        )
    collection, left_out = _keep(collection, enough)
    notes += [f"left out, fewer than {min_tracks} tracks (--min-tracks): {left_out}"] if left_out else []
    _require_distinct_genres(collection)
    return replace(collection, notes=tuple(notes))


def _require_distinct_genres(collection: Collection) -> None:
    """Errors: GenrekitError if genres of a collection differ only in case, or cannot be printed."""
    if (problem := names_problem(collection.genres)) is not None:
        raise GenrekitError(f"{collection.root}: {problem}: rename one, or join them with --genre-aliases")


def _known(genre: str, collection: Collection) -> str:
    name, _ = genre_name(genre)
    if name not in collection.genres:
        raise unknown_name("genre", name, collection.genres)
    return name


def _keep(collection: Collection, genres: AnyCollection[str]) -> tuple[Collection, str]:
    """Return a collection with some genres only, and a list of the others with their numbers of tracks."""
    others = Counter(track.genre for track in collection.tracks if track.genre not in genres)
    names = [f"{genre} ({counted(count, 'track')})" for genre, count in sorted(others.items())]
    kept = tuple(track for track in collection.tracks if track.genre in genres)
    return replace(collection, tracks=kept), few(names, 8)


def _unused(collection: Collection, aliases: Mapping[str, str]) -> list[str]:
    unused = sorted(set(aliases) - set(collection.genres))
    return [f"aliases of genres that do not occur: {few(unused)}"] if unused else []
