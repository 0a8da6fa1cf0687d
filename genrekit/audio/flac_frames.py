"""Find the frames of a FLAC file: joined files, and the next intact frame after damaged bytes, where libFLAC stops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from genrekit.audio.byte_ranges import Content, Layout, Part

_START = b"fLaC\x00\x00\x00\x22"
"""The start of a file: its name, and the header of a block with 34 bytes."""

_INFO = slice(8, 42)
_SYNC = re.compile(rb"\xff[\xf8\xf9][^\x00-\x0f].", re.DOTALL)


def flac_layout(content: Content) -> Layout | None:
    """Return how a FLAC file must be read, or None if it has no header."""
    starts = [*_starts(content)]
    if not starts:
        return None
    seconds = [_seconds(content[start : start + 42][_INFO]) for start in starts]
    whole_s = sum(seconds) if all(seconds) else None
    edges = [*starts, len(content)]
    parts = [Part(((start, end),)) for start, end in pairwise(edges)]
    several = len(parts) > 1
    return Layout(
        parts=tuple(parts) if several else (),
        declared_s=seconds[0] or None,
        whole_s=whole_s,
        readable_s=whole_s if several else None,
        joined=len(parts),
    )


def _starts(content: Content) -> Iterator[int]:
    found = content.find(_START)
    while found >= 0:
        yield found
        found = content.find(_START, found + 42)


def _seconds(info: bytes) -> float:
    packed = int.from_bytes(info[10:18], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples / rate if rate else 0.0


class FlacFrames:
    """The intact frames of one FLAC file within [start, end) of a content, in their order."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._position = start

    def next_part(self, content: Content, sample: int) -> tuple[int, Part] | None:
        """Return the sample number of the next intact frame from a sample on, and the file from there on."""
        start = content.find(_START, self._start, self._end)  # a tag may come first
        if start < 0:
            return None
        info = content[start : start + 42][_INFO]
        head = b"fLaC\x80\x00\x00\x22" + info[:13] + bytes([info[13] & 0xF0]) + bytes(4 + 16)  # no length, no MD5 sum
        block = int.from_bytes(info[2:4], "big")
        for match in _SYNC.finditer(content, self._position, self._end):
            number = _sample_number(content[match.start() : match.start() + 16], block)
            if number is not None and number >= sample:
                self._position = match.start() + 1
                return number, Part(((match.start(), self._end),), head)
        return None


def _sample_number(header: bytes, block: int) -> int | None:
    """Return the number of the first sample of a frame, None if these bytes are not the header of a frame."""
    if len(header) < 16 or header[3] & 1 or header[2] & 15 == 15 or header[3] >> 4 > 10:
        return None
    coded = _coded_number(header[4:11])
    if coded is None:
        return None
    number, used = coded
    size = 4 + used + {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if _crc8(header[:size]) != header[size]:
        return None
    return number if header[1] & 1 else number * block


def _coded_number(data: bytes) -> tuple[int, int] | None:
    """Decode a number that is coded as in UTF-8; return it and its bytes."""
    first = data[0]
    if first < 0x80:
        return first, 1
    length = 8 - (~first & 0xFF).bit_length()
    if not 2 <= length <= 7 or any(byte >> 6 != 2 for byte in data[1:length]):
        return None
    number = first & (1 << 7 - length) - 1
    for byte in data[1:length]:
        number = number << 6 | byte & 0x3F
    return number, length


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
