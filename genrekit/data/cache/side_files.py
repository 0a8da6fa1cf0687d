"""Where files that belong to a cache are stored: beside it, or in the current folder if its folder is read-only."""

from __future__ import annotations

import glob
import hashlib
from contextlib import suppress
from pathlib import Path

from genrekit.data.cache.reader import Cache
from genrekit.errors import GenrekitError
from genrekit.io.files import require_writable


def beside(cache: Cache, name: str) -> Path:
    """Return the path of a file or folder beside a cache: `cache.NAME` for `cache.h5`."""
    return cache.path.parent / f"{cache.path.stem}.{name}"


def elsewhere(cache: Cache, name: str) -> Path:
    """Return the path in the current folder, which has a digest of the cache's path in its name."""
    return Path(f"{_stem_elsewhere(cache.path)}.{name}")


def any_elsewhere(cache_path: Path) -> bool:
    """Return whether the current folder has files of a cache."""
    return any(Path().glob(f"{glob.escape(_stem_elsewhere(cache_path))}.*"))


def _stem_elsewhere(cache_path: Path) -> str:
    digest = hashlib.sha256(str(cache_path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{cache_path.stem}-{digest}"


def stored(cache: Cache, name: str) -> Path:
    """Return the path to read: that in the current folder if it exists, else that beside the cache."""
    other = elsewhere(cache, name)
    return other if other.exists() else beside(cache, name)


def to_write(cache: Cache, name: str) -> Path:
    """Return the path to write: the stored one, or that in the current folder if the cache's cannot be written."""
    path = stored(cache, name)
    with suppress(GenrekitError):
        require_writable(path if path.is_dir() else path.parent)
        return path
    return elsewhere(cache, name)
