"""Find the joined streams of an Ogg file, and their lengths by the positions that its pages store.

libsndfile reads the first stream of a chain only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from genrekit.audio.byte_ranges import Content, Layout, Part

_PAGE = b"OggS"
_HEADER_BYTES = 27
_FIRST, _LAST = 2, 4
"""Flags of the first and of the last page of a stream."""

_NO_POSITION = 2**64 - 1
_OPUS_RATE = 48_000


@dataclass
class _Link:
    """One of the streams that follow each other."""

    start: int
    serial: bytes
    rate: int
    delay: int
    first: int | None = None
    last: int = 0
    ended: bool = False

    @property
    def seconds(self) -> float | None:
        """The length, None if the stream does not start at its beginning and so has no known length."""
        if not self.rate or self.first is None or self.first > 10 * self.rate:
            return None
        return max(self.last - self.delay, 0) / self.rate


def ogg_layout(content: Content) -> Layout | None:
    """Return how an Ogg file must be read, or None if it has no stream of a known codec."""
    links, lost_bytes = _links(content)
    if not links or not links[0].rate:
        return None
    seconds = [link.seconds for link in links]
    known = [value for value in seconds if value is not None]
    complete = len(known) == len(links)
    edges = [*(link.start for link in links), len(content)]
    parts = [Part(((start, end),)) for start, end in pairwise(edges)]
    return Layout(
        parts=tuple(parts) if len(parts) > 1 else (),
        declared_s=seconds[0],
        whole_s=sum(known) if complete else None,
        readable_s=sum(known) if complete and len(parts) > 1 else None,
        joined=len(links),
        lost_bytes=lost_bytes,
        cut=not all(link.ended for link in links),
    )


def _links(content: Content) -> tuple[list[_Link], int]:
    """Return the streams, and the number of bytes that do not belong to a page."""
    links: list[_Link] = []
    position, lost_bytes, in_headers = content.find(_PAGE), 0, False
    while position >= 0 and position + _HEADER_BYTES <= len(content):
        if content[position : position + 4] != _PAGE:
            following = content.find(_PAGE, position)
            lost_bytes += (len(content) if following < 0 else following) - position
            position = following
            continue
        page = content[position : position + _HEADER_BYTES]
        body = position + _HEADER_BYTES + page[26]
        end = body + sum(content[position + _HEADER_BYTES : body])
        if end > len(content):
            break  # the file is cut within this page
        flags, serial, granule = page[5], page[14:18], int.from_bytes(page[6:14], "little")
        if flags & _FIRST:
            if not in_headers:
                links.append(_Link(position, serial, *_codec(content[body : body + 64])))
            elif not links[-1].rate:
                links[-1].serial = serial
                links[-1].rate, links[-1].delay = _codec(content[body : body + 64])
        elif links and serial == links[-1].serial:
            _add_page(links[-1], granule, flags)
        in_headers = bool(flags & _FIRST)
        position = end
    return links, lost_bytes


def _add_page(link: _Link, granule: int, flags: int) -> None:
    if granule not in (0, _NO_POSITION):
        link.first = granule if link.first is None else link.first
        link.last = max(link.last, granule) if granule < 2**62 else link.last
    link.ended = link.ended or bool(flags & _LAST)


def _codec(packet: bytes) -> tuple[int, int]:
    """Return the rate of positions and the delay of a stream by its first packet; 0 for an unknown codec."""
    if packet[:7] == b"\x01vorbis":
        return int.from_bytes(packet[12:16], "little"), 0
    if packet[:8] == b"OpusHead":
        return _OPUS_RATE, int.from_bytes(packet[10:12], "little")
    if packet[:5] == b"\x7fFLAC":
        return int.from_bytes(packet[27:30], "big") >> 4, 0
    return 0, 0
