"""Digests of files."""

import hashlib
from contextlib import suppress
from pathlib import Path

from genrekit.io.regular_files import open_regular


def file_digest(path: Path) -> str:
    """Return a digest of the content of a file, or nothing if it cannot be read."""
    with suppress(OSError), open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return ""
