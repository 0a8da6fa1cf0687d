"""How `prepare` read a collection. Bundles keep it, so that reports can print the command."""

from __future__ import annotations

from genrekit.config.base import Config
from genrekit.config.prepare import ArtistSource


class CollectionOptions(Config):
    """The arguments of `prepare` that select tracks, genres and artists. Paths are as the user gave them.

    `data` is None if a manifest was given.
    """

    data: str | None = None
    manifest: str | None = None
    artists: ArtistSource = "auto"
    genre_aliases: str | None = None
    genres: tuple[str, ...] = ()
    min_tracks: int = 1
    keep_near_duplicates: bool = False
