"""The artists of tracks, from the metadata of audio files or from folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, get_args

from genrekit.audio.tags import can_read_tags, read_artist_tags, require_tags
from genrekit.config import ArtistSource
from genrekit.data.collection import Collection, Track
from genrekit.data.splits.groups import KNOWN_ENOUGH
from genrekit.data.splits.gtzan import artists_of
from genrekit.errors import GenrekitError, UsageError, counted, unknown_name

_NOBODY: Final = frozenset(
    {"", "unknown", "unknown artist", "<unknown>", "[unknown]", "various", "various artists", "va", "v.a.", "n/a"}
)
"""Names, in lower case, that do not say who the artist is. As artists they would join unrelated tracks."""

_SAMPLE: Final = 30
"""Tracks whose tags are read to find out whether to suggest them."""


def with_artists(collection: Collection, source: ArtistSource, *, suggest: bool = True) -> Collection:
    """Return a collection with the artists of a source; a track that has none there keeps its own.

    With `suggest`, a note suggests a source if no artists are known. This reads the tags of some tracks.
    Errors: UsageError if the source is unknown or does not fit the collection; GenrekitError if no track has an artist
    there, or the package that reads tags is missing.
    """
    if source not in get_args(ArtistSource):
        raise unknown_name("source of artists", source, get_args(ArtistSource))
    if source == "auto":
        offer = _offer(collection) if suggest else None
        return replace(collection, notes=(*collection.notes, offer)) if offer else collection
    if source == "tags":
        require_tags("reading artists from tags")
    elif collection.listed_in is not None:
        raise UsageError(
            f"--artists folders needs folders GENRE/ARTIST/, but {collection.listed_in} lists the tracks: leave it "
            "out, and use the CSV file's column for artists"
        )
    names_of = _artists_in_tags if source == "tags" else _artists_in_folders
    found = [names_of(track) for track in collection.tracks]
    if not any(found):
        where = "their tags" if source == "tags" else "folders GENRE/ARTIST/"
        raise GenrekitError(f"no track in {collection.root} has an artist in {where}: leave out --artists {source}")
    tracks = tuple(
        replace(track, artists=names or track.artists) for track, names in zip(collection.tracks, found, strict=True)
    )
    known, artists = sum(map(bool, found)), len({name.casefold() for names in found for name in names})
    note = f"{counted(artists, 'artist')} in {source}, of {known:,} of {counted(len(tracks), 'track')}"
    return replace(collection, tracks=tracks, notes=(*collection.notes, note))


def artist_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return the names in tags or folders: separated at ";", without extra spaces, placeholders and repetitions.

    >>> artist_names(["Ella Fitzgerald;Louis  Armstrong ", "Various Artists"])
    ('Ella Fitzgerald', 'Louis Armstrong')
    """
    names: dict[str, str] = {}
    for value in values:
        for part in value.split(";"):
            printable = "".join(character if character.isprintable() else " " for character in part)
            name = unicodedata.normalize("NFC", " ".join(printable.split()))
            if name.casefold() not in _NOBODY:
                names.setdefault(name.casefold(), name)
    return tuple(names.values())


def lost_artists(before: Iterable[tuple[str, Sequence[str]]], tracks: Iterable[Track]) -> list[str]:
    """Return the ids of tracks that had an artist before and have none now; `before` has ids and artists."""
    had = {track_id for track_id, artists in before if artists}
    return [track.id for track in tracks if track.id in had and not track.artists]


def _artists_in_tags(track: Track) -> tuple[str, ...]:
    return artist_names(read_artist_tags(track.path))


def _artists_in_folders(track: Track) -> tuple[str, ...]:
    """Return the name of the folder below the folders of genre and subset."""
    folders = PurePosixPath(track.id).parts[:-1]
    return artist_names(folders[2:3] if track.subset else folders[1:2])


def _offer(collection: Collection) -> str | None:
    """Return a note about artists that could be used, if none are known."""
    tracks = collection.tracks
    if any(track.artists or artists_of(track.id) for track in tracks):
        return None
    keeps = "keeps the tracks of an artist in the same set"
    if can_read_tags() and _most(tracks[:: max(1, len(tracks) // _SAMPLE)], _artists_in_tags):
        return f"most tracks have an artist in their tags: --artists tags {keeps}"
    if collection.listed_in is None and _most(tracks, _artists_in_folders):
        return f"most tracks are in folders GENRE/NAME/: if NAME is the artist, --artists folders {keeps}"
    return None


def _most(tracks: Sequence[Track], names_of: Callable[[Track], tuple[str, ...]]) -> bool:
    """Whether most tracks have an artist, and not all the same."""
    found = [names for names in map(names_of, tracks) if names]
    return len(found) > KNOWN_ENOUGH * len(tracks) and len(set(found)) > 1
