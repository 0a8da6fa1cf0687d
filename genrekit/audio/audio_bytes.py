"""A digest of the audio data of a file: of its bytes, without the metadata. It shows that tags did not change audio."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

_BLOCK = 1 << 20
_METADATA_CHUNKS = frozenset({b"id3 ", b"ID3 ", b"LIST", b"JUNK", b"PAD ", b"FLLR"})
_ID3V1_BYTES, _APE_FOOTER_BYTES = 128, 32
_NO_AUDIO_YET = (0, 2**64 - 1)
"""Positions of Ogg pages on which no audio ends: those of headers, and of packets that continue."""


def audio_digest(path: Path) -> str:
    """Return a digest of the audio of a WAV, AIFF, FLAC, Ogg or MP3 file.

    Errors: OSError if the file cannot be read.
    """
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = _id3_length(file)
        file.seek(start)
        head = file.read(12)
        if head[:4] in (b"RIFF", b"FORM") and head[8:] in (b"WAVE", b"AIFF", b"AIFC"):
            spans = _chunks(file, start + 12, end, "little" if head[:4] == b"RIFF" else "big")
        elif head[:4] == b"fLaC":
            spans = iter([(_flac_audio(file, start + 4), end)])
        elif head[:4] == b"OggS":
            spans = _ogg_audio(file, start, end)
        else:
            spans = iter([(start, end - _trailing_tags(file, end))])
        digest = hashlib.sha256()
        for first, last in spans:
            _add(digest, file, first, last)
    return digest.hexdigest()


def _id3_length(file: IO[bytes]) -> int:
    """Return the length of the ID3v2 tags at the start of a file."""
    length = 0
    while True:
        file.seek(length)
        header = file.read(10)
        if len(header) < 10 or not header.startswith(b"ID3"):
            return length
        footer = 10 if header[5] & 0x10 else 0
        size = sum((byte & 127) << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
        length += 10 + size + footer


def _trailing_tags(file: IO[bytes], end: int) -> int:
    """Return the length of the ID3v1 and APEv2 tags at the end of a file."""
    length = len(_id3v1_tag(file, end))
    file.seek(max(end - length - _APE_FOOTER_BYTES, 0))
    footer = file.read(_APE_FOOTER_BYTES)
    if footer.startswith(b"APETAGEX"):
        has_header = footer[23] & 0x80
        length += int.from_bytes(footer[12:16], "little") + (_APE_FOOTER_BYTES if has_header else 0)
    return length


def id3v1_tag(path: Path) -> bytes:
    """Return the ID3v1 tag at the end of a file, or nothing."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        return _id3v1_tag(file, end)


def _id3v1_tag(file: IO[bytes], end: int) -> bytes:
    file.seek(max(end - _ID3V1_BYTES, 0))
    tag = file.read(_ID3V1_BYTES)
    return tag if tag.startswith(b"TAG") and len(tag) == _ID3V1_BYTES else b""


def _add(digest: hashlib._Hash, file: IO[bytes], first: int, last: int) -> None:
    file.seek(first)
    while first < last and (block := file.read(min(_BLOCK, last - first))):
        digest.update(block)
        first += len(block)


def _chunks(file: IO[bytes], position: int, end: int, order: Literal["little", "big"]) -> Iterator[tuple[int, int]]:
    """The chunks that are not metadata."""
    while position + 8 <= end:
        file.seek(position)
        header = file.read(8)
        size = int.from_bytes(header[4:], order)
        last = min(position + 8 + size, end)
        if header[:4] not in _METADATA_CHUNKS:
            yield position, last
        position = last + size % 2


def _flac_audio(file: IO[bytes], position: int) -> int:
    """The start of the audio, after the blocks of metadata."""
    while True:
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            return position
        position += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:
            return position


def _ogg_audio(file: IO[bytes], position: int, end: int) -> Iterator[tuple[int, int]]:
    """The content of pages, from the first on which audio ends. Tags change page numbers and checksums."""
    started = False
    while position + 27 <= end:
        file.seek(position)
        header = file.read(27)
        if header[:4] != b"OggS":
            yield position, end
            return
        first = position + 27 + header[26]
        last = first + sum(file.read(header[26]))
        started = started or int.from_bytes(header[6:14], "little") not in _NO_AUDIO_YET
        if started:
            yield position + 6, position + 14
            yield first, last
        position = last
