"""Find the frames of an MP3 file, so that joined files, wrong Xing headers and damaged bytes are noticed.

libmpg123 stops at the number of frames in the Xing header of the first frame, which LAME and others write, and gives up
in damaged bytes. Each part here is therefore the frames of one of the joined files, with a corrected Xing header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from genrekit.audio.byte_ranges import Content, Layout, Part

_KILOBITS = {
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by MPEG version (1, or 2 and 2.5) and layer."""

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sample rates by the version bits of a header: MPEG 1, 2 and 2.5."""

_HEADER = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x10-\xef]", re.DOTALL)
_XING_OFFSETS = (13, 21, 36)
"""Bytes from the start of a frame to its Xing header, by MPEG version and number of channels."""

_CONSECUTIVE = 3
"""Frames in a row that show that bytes are not frames by chance."""

_EDGE_FRAMES = 4
"""Frames that a decoder may leave out: its delay and the padding of the encoder."""

_FIRST_FRAME_BYTES = 64
"""Bytes of a frame that have a Xing header if there is one."""

_ALL_FIELDS = 0xF


@dataclass(frozen=True)
class _Kind:
    """What does not change within a file: sample rate and samples per frame, and the length of frames by header."""

    rate: int
    samples: int
    lengths: dict[bytes, int] = field(compare=False)


def _kinds() -> dict[bytes, _Kind]:
    """Return the kind of frames by the first three bytes of a header."""
    kinds = {}
    for version, rates in _RATES.items():
        for layer_bits, layer in ((1, 3), (2, 2)):
            for rate_bits, rate in enumerate(rates):
                samples = 576 if layer == 3 and version != 3 else 1_152
                kind = _Kind(rate, samples, {})
                for index, kilobits in enumerate(_KILOBITS[1 if version == 3 else 2, layer], 1):
                    for low in range(4):  # padding and the private bit
                        third = index << 4 | rate_bits << 2 | low
                        length = samples // 8 * 1_000 * kilobits // rate + (low >> 1)
                        for protection in range(2):
                            header = bytes((0xFF, 0xE0 | version << 3 | layer_bits << 1 | protection, third))
                            kind.lengths[header] = length
                            kinds[header] = kind
    return kinds


_KINDS = _kinds()


@dataclass
class _Segment:
    """Frames of one file: ranges without damaged bytes, and the number of frames in its Xing header if it has one."""

    kind: _Kind
    ranges: list[tuple[int, int]]
    frames: int = 0
    lost_bytes: int = 0
    xing: int | None = None
    """Position of the Xing header."""


def mp3_layout(content: Content) -> Layout | None:
    """Return how an MP3 file must be read, or None if it has no frames that can be found.

    Without parts, the decoder reads all of it.
    """
    start = _sync(content, _after_tags(content, 0), len(content))
    if start is None:
        return None
    segments = [*_segments(content, _xing_frames(content, start, start + _FIRST_FRAME_BYTES))]
    if not (len(segments) == 1 and _is_complete(content, segments[0])):
        segments = [*_segments(content, _xing_frames(content, start, len(content)))]
    declared = [_declared(content, segment) for segment in segments]
    wholes = [_whole(segment, count) for segment, count in zip(segments, declared, strict=True)]
    first = segments[0]
    layout = Layout(
        declared_s=_seconds(first, declared[0] or wholes[0]),
        whole_s=sum(map(_seconds, segments, wholes)),
        tolerance_s=_EDGE_FRAMES * len(segments) * first.kind.samples / first.kind.rate,
        joined=len(segments),
        lost_bytes=sum(segment.lost_bytes for segment in segments),
    )
    if len(segments) == 1 and _is_complete(content, first):
        return layout
    parts = tuple(_part(content, segment, count) for segment, count in zip(segments, declared, strict=True))
    readable_s = sum(_seconds(segment, segment.frames) for segment in segments)
    return replace(layout, parts=parts, readable_s=readable_s)


def _is_complete(content: Content, segment: _Segment) -> bool:
    return not segment.lost_bytes and _agrees(segment, _declared(content, segment))


def _seconds(segment: _Segment, frames: float) -> float:
    return frames * segment.kind.samples / segment.kind.rate


def _whole(segment: _Segment, declared: int | None) -> float:
    """Return the number of frames with those that are damaged, as the header says or by their mean length."""
    if declared is not None and declared >= segment.frames:
        return declared
    size = sum(end - start for start, end in segment.ranges)
    return segment.frames * (1 + segment.lost_bytes / size)


def _declared(content: Content, segment: _Segment) -> int | None:
    """Return the number of frames in the Xing header, with the frame of the header itself."""
    at = segment.xing
    if at is None or not content[at + 7] & 1:
        return None
    return int.from_bytes(content[at + 8 : at + 12], "big") + 1


def _agrees(segment: _Segment, declared: int | None) -> bool:
    """Return whether a Xing header counts all frames; some encoders do not count the frame of the header."""
    return declared is None or abs(declared - segment.frames) <= 1


def _part(content: Content, segment: _Segment, declared: int | None) -> Part:
    """Return a segment as a file whose Xing header counts all of its frames."""
    ranges = tuple(segment.ranges)
    if segment.xing is None or _agrees(segment, declared):
        return Part(ranges)
    start, end = ranges[0]
    length = segment.kind.lengths[content[start : start + 3]]
    frame = bytearray(content[start : start + length])
    at = segment.xing - start
    frame[at + 8 : at + 12] = (segment.frames - 1).to_bytes(4, "big")
    flags = frame[at + 7]
    if flags & 2:
        size = sum(end - start for start, end in ranges)
        frame[at + 12 : at + 16] = size.to_bytes(4, "big")
    if flags & _ALL_FIELDS == _ALL_FIELDS and len(frame) > at + 143:
        frame[at + 142] &= 0xF0  # the padding after the last sample
        frame[at + 143] = 0
    return Part(((start + length, end), *ranges[1:]), bytes(frame))


def _segments(content: Content, starts: set[int]) -> Iterator[_Segment]:
    """Yield the joined files: each starts at one of the frames with a Xing header, or with another sample rate."""
    end = _without_tags(content)
    position = _after_tags(content, 0)
    segment: _Segment | None = None
    while (found := _sync(content, position, end)) is not None:
        kind = _KINDS[content[found : found + 3]]
        stop, frames = _walk(content, found, end, kind, starts)
        begins = found in starts or segment is None or segment.kind != kind
        if begins:
            if segment is not None:
                yield segment
            segment = _Segment(kind, [(found, stop)], frames, xing=_xing(content, found) if found in starts else None)
        else:
            assert segment is not None
            segment.lost_bytes += found - position
            segment.ranges.append((found, stop))
            segment.frames += frames
        position = _after_tags(content, stop)
    if segment is not None:
        if end - position > segment.ranges[-1][1] - segment.ranges[-1][0] or end - position > 4_096:
            segment.lost_bytes += end - position
        yield segment


def _walk(content: Content, position: int, end: int, kind: _Kind, starts: set[int]) -> tuple[int, int]:
    """Follow frames of a kind from a position to the first byte that is not one, or to the start of another file."""
    frames, length_of = 0, kind.lengths.get
    edges = sorted(start for start in starts if start > position and content[start : start + 3] in kind.lengths)
    for edge in (*edges, end):
        while position < edge and (length := length_of(content[position : position + 3])):
            if position + length > end:
                return position, frames
            position += length
            frames += 1
        if position < end and position == edge:
            return position, frames
        if position < edge:
            break
    return position, frames


def _sync(content: Content, position: int, end: int) -> int | None:
    """Return the position of the next frame that others of its kind follow, or that ends the file."""
    for match in _HEADER.finditer(content, position, end):
        start = following = match.start()
        kind = _KINDS.get(content[start : start + 3])
        if kind is None:
            continue
        for _ in range(_CONSECUTIVE):
            length = kind.lengths.get(content[following : following + 3])
            if length is None or following + length > end:
                break
            following += length
            if following == end:
                return start
        else:
            return start
    return None


def _xing_frames(content: Content, begin: int, end: int) -> set[int]:
    """Return where frames with a Xing header may start, by all of its possible positions in a frame."""
    starts = set()
    for name in (b"Xing", b"Info"):
        found = content.find(name, begin, end)
        while found >= 0:
            starts |= {found - offset for offset in _XING_OFFSETS}
            found = content.find(name, found + 1, end)
    return starts


def _xing(content: Content, frame: int) -> int:
    return next(frame + offset for offset in _XING_OFFSETS if content[frame + offset :][:4] in (b"Xing", b"Info"))


def _after_tags(content: Content, position: int) -> int:
    """Return the position after ID3 and APE tags at a position."""
    while True:
        head = content[position : position + 32]
        if head[:3] == b"ID3":
            position += tag_size(head)
        elif head[:8] == b"APETAGEX":
            position += 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)
        elif head[:3] == b"TAG":
            position += 128
        else:
            return min(position, len(content))


def tag_size(head: bytes) -> int:
    """Return the size of an ID3 tag from its first 10 bytes."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9] if len(head) >= 10 else 0
    return 10 + size + (10 if size and head[5] & 0x10 else 0)


def _without_tags(content: Content) -> int:
    """Return the position at which the tags at the end of a file begin."""
    end = len(content)
    while end > 0:
        if content[max(end - 128, 0) : end][:3] == b"TAG":
            end -= 128
        elif content[max(end - 32, 0) : end][:8] == b"APETAGEX":
            footer = content[end - 32 : end]
            end -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
        elif content[max(end - 9, 0) : end] == b"LYRICS200":
            digits = content[end - 15 : end - 9]
            end -= 15 + (int(digits) if digits.isdigit() else 0)
        else:
            break
    return max(end, 0)
