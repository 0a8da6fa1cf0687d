"""The record of the bundles that genrekit copied into a folder of best models, so that it never removes another."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from genrekit.errors import GenrekitError
from genrekit.io.digests import file_digest
from genrekit.io.files import is_file, read_json, write_json

_RECORD, _VERSION = ".kept.json", 1

Record = dict[str, dict[str, str]]
"""Digests of the files of each bundle, by the name of its folder."""


def read_record(folder: Path) -> Record:
    """Return the record of a folder; it is empty if there is none, or if it is damaged."""
    path = folder / _RECORD
    with suppress(GenrekitError, OSError):
        values = read_json(path) if is_file(path) else None
        if isinstance(values, dict) and values.get("format_version") == _VERSION:
            bundles = values.get("bundles")
            items = bundles.items() if isinstance(bundles, dict) else ()
            return {name: files for name, files in items if isinstance(files, dict)}
    return {}


def write_record(folder: Path, record: Record) -> None:
    """Replace the record of a folder.

    Errors: OSError if it cannot be written.
    """
    write_json(folder / _RECORD, {"format_version": _VERSION, "bundles": record})


def digests(bundle: Path) -> dict[str, str]:
    """Return the digest of each file of a bundle."""
    return {path.name: file_digest(path) for path in sorted(bundle.iterdir()) if path.is_file()}


def is_unchanged(bundle: Path, record: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether a folder has nothing but files that genrekit copied there. A link is never such a folder."""
    files = record.get(bundle.name)
    if not files or bundle.is_symlink() or not bundle.is_dir():
        return False
    with suppress(OSError):
        return all(
            path.is_file() and not path.is_symlink() and files.get(path.name) == file_digest(path)
            for path in bundle.iterdir()
        )
    return False


def remove_copies(folder: Path) -> None:
    """Remove the bundles that genrekit copied into a folder, except those that were changed."""
    record = read_record(folder)
    for path in folder.iterdir() if record else ():
        if is_unchanged(path, record):
            shutil.rmtree(path)
