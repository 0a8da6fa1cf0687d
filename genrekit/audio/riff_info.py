"""The genre in the LIST INFO chunk of a WAV file, which mutagen does not write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from genrekit.errors import GenrekitError

_GENRE = b"IGNR"
_BLOCK = 1 << 16


def info_genre(path: Path) -> str | None:
    """Return the genre in a file's LIST INFO chunk; None if it has none, or is not a WAV file.

    Errors: GenrekitError if the sizes of the chunks do not fit the file.
    """
    with open(path, "rb") as file:
        values = [items[_GENRE] for items in map(_items, _info_chunks(file)) if _GENRE in items]
    return values[0].rstrip(b"\0").decode("utf-8", "replace") if values else None


def set_info_genre(path: Path, target: Path, genre: str) -> None:
    """Copy a WAV file to `target` with another genre in its LIST INFO chunk."""
    with open(path, "rb") as file, open(target, "wb") as new:
        new.write(file.read(12))
        while header := file.read(8):
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"LIST" and file.read(4) == b"INFO":
                content = file.read(size - 4 + size % 2)[: size - 4]
                content = b"INFO" + _with_genre(content, genre)
                new.write(b"LIST" + len(content).to_bytes(4, "little") + content)
                continue
            if header[:4] == b"LIST":
                file.seek(-4, os.SEEK_CUR)
            new.write(header)
            _copy(file, new, size + size % 2)
        length = new.tell()
        new.seek(4)
        new.write((length - 8).to_bytes(4, "little"))


def _info_chunks(file: IO[bytes]) -> list[bytes]:
    """The contents of the LIST INFO chunks, if all chunks of the file are complete."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head, found, position = file.read(12), [], 12
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return []
    while position + 8 <= end:
        file.seek(position)
        header = file.read(12)
        size = int.from_bytes(header[4:8], "little")
        if position + 8 + size > end:
            raise GenrekitError("tags cannot be written: the sizes in its header are wrong, as in a WAV from a pipe")
        if header[:4] == b"LIST" and header[8:] == b"INFO":
            found.append(file.read(size - 4))
        position += 8 + size + size % 2
    return found


def _items(content: bytes) -> dict[bytes, bytes]:
    items, position = dict[bytes, bytes](), 0
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        items[content[position : position + 4]] = content[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return items


def _with_genre(content: bytes, genre: str) -> bytes:
    items = _items(content)
    if _GENRE in items:
        items[_GENRE] = genre.encode() + b"\0"
    return b"".join(
        name + len(value).to_bytes(4, "little") + value + bytes(len(value) % 2) for name, value in items.items()
    )


def _copy(file: IO[bytes], new: IO[bytes], size: int) -> None:
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        new.write(block)
        size -= len(block)
