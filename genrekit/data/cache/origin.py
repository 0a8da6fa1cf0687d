"""Store beside a cache how its collection was read, so that a report can print the command that prepares it again."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from genrekit.config import CollectionOptions
from genrekit.data.cache.reader import Cache
from genrekit.data.cache.side_files import beside
from genrekit.errors import GenrekitError
from genrekit.io.files import write_json
from genrekit.io.records import read_record

_VERSION = 1
_NAME = "origin.json"


class _Origin(CollectionOptions):
    """The content of the file."""

    format_version: Literal[1]


def write_origin(cache: Cache, options: CollectionOptions) -> None:
    """Write the options beside a cache.

    Errors: OSError if the file cannot be written.
    """
    write_json(beside(cache, _NAME), {"format_version": _VERSION, **options.model_dump(mode="json")})


def read_origin(cache: Cache) -> CollectionOptions | None:
    """Return the options that a cache was prepared with.

    None if they are not known, as for older caches, or if the file is damaged.
    """
    with suppress(GenrekitError):
        origin = read_record(_Origin, beside(cache, _NAME), "run genrekit prepare again")
        return CollectionOptions.of(origin.model_dump(exclude={"format_version"}))
    return None


def path_text(path: Path) -> str:
    """Return a path as text that JSON can store; bytes that are not UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
