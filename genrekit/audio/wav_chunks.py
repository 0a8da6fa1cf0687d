"""The sizes in the headers of uncompressed audio: WAV, AIFF and AU."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from genrekit.audio.byte_ranges import Layout, Part

_UNKNOWN: Final = 0x7FFF_0000
"""Programs that write to a pipe put sizes from this on into a header, because they do not know the size."""

_CHUNK_NAME = re.compile(rb"[A-Za-z0-9_ ]{4}")
_UNCOMPRESSED: Final = {1, 3, 6, 7, 0xFFFE}
"""Formats of WAV files whose samples all have the same size: integers, floats, A-law, mu-law, and extensible."""

_AU_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""Bytes of a sample by the encoding of an AU file."""

_SHORTEST_REST_S: Final = 0.1
"""Fewer samples after the end that a header declares are padding."""


@dataclass(frozen=True)
class _Wav:
    """A WAV file within a file: where it starts and ends, and its data."""

    start: int
    end: int
    data: int
    declared: int
    bytes_per_s: int

    def part(self, file: BinaryIO) -> Part:
        """Return the file with the size that it has, whatever its header declares."""
        file.seek(self.start)
        head = bytearray(file.read(self.data - self.start))
        size = min(self.end - self.data, 2**32 - 2)
        head[4:8] = min(size + len(head) - 8, 2**32 - 1).to_bytes(4, "little")
        head[-4:] = size.to_bytes(4, "little")
        return Part(((self.data, self.end),), bytes(head))


def wav_layout(file: BinaryIO, size: int) -> Layout | None:
    """Return how a WAV file must be read, also if others were appended to it or its data is longer than declared."""
    files: list[_Wav] = []
    position: int | None = 0
    while position is not None and (wav := _wav(file, size, position)) is not None:
        files.append(wav)
        position = _next_wav(file, size, wav)
        if position is None and _extends(file, size, wav):
            files[-1] = replace(wav, end=size)
    if not files:
        return None
    first = files[0]
    # An unknown size means that the audio ends with the file.
    lengths = [wav.end - wav.data if _is_unknown(wav) else max(wav.declared, wav.end - wav.data) for wav in files]
    whole_s = sum(length / wav.bytes_per_s for length, wav in zip(lengths, files, strict=True))
    declared_s = whole_s if _is_unknown(first) else first.declared / first.bytes_per_s
    if len(files) == 1 and first.end - first.data <= first.declared:
        return Layout(declared_s=declared_s, whole_s=whole_s)
    readable_s = sum((wav.end - wav.data) / wav.bytes_per_s for wav in files)
    return Layout(tuple(wav.part(file) for wav in files), declared_s, whole_s, readable_s, joined=len(files))


def _is_unknown(wav: _Wav) -> bool:
    return wav.declared == 0 or (wav.declared >= _UNKNOWN and wav.declared > wav.end - wav.data)


def _wav(file: BinaryIO, size: int, start: int) -> _Wav | None:
    file.seek(start)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    position, bytes_per_s = start + 12, 0
    while len(chunk := _read(file, position, 8)) == 8:
        name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"fmt ":
            kind, channels, rate, _, block = struct.unpack("<HHIIH", _read(file, position + 8, 14).ljust(14, b"\0"))
            bytes_per_s = rate * block if kind in _UNCOMPRESSED and channels else 0
        elif name == b"data":
            data = position + 8
            return _Wav(start, min(data + length, size), data, length, bytes_per_s) if bytes_per_s else None
        position += 8 + length + length % 2
    return None


def _next_wav(file: BinaryIO, size: int, wav: _Wav) -> int | None:
    """Return the position of a WAV file that follows, perhaps after other chunks."""
    position = _after_chunks(file, size, wav)
    return position if _read(file, position, 4) == b"RIFF" else None


def _after_chunks(file: BinaryIO, size: int, wav: _Wav) -> int:
    position = wav.end + (wav.end - wav.data) % 2
    while len(chunk := _read(file, position, 8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"RIFF" or not _CHUNK_NAME.fullmatch(chunk[:4]) or position + 8 + length > size:
            break
        position += 8 + length + length % 2
    return position


def _extends(file: BinaryIO, size: int, wav: _Wav) -> bool:
    """Return whether the rest of the file is audio: neither chunks, nor a tag, nor a little padding."""
    position = _after_chunks(file, size, wav)
    if _read(file, position, 3) in (b"ID3", b"TAG"):
        return False
    return size - position > _SHORTEST_REST_S * wav.bytes_per_s


def _read(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def aiff_layout(file: BinaryIO, _: int) -> Layout | None:
    """Return the length that an uncompressed AIFF file declares."""
    if _read(file, 8, 4) != b"AIFF":
        return None
    position = 12
    while len(chunk := _read(file, position, 8)) == 8:
        length = int.from_bytes(chunk[4:], "big")
        if chunk[:4] == b"COMM":
            _channels, frames, _bits, exponent, mantissa = struct.unpack(
                ">HIHHQ", _read(file, position + 8, 18).ljust(18, b"\0")
            )
            rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16_383 - 63) if exponent < 0x4020 else 0
            known = rate >= 1 and frames < _UNKNOWN
            return Layout(declared_s=frames / rate, whole_s=frames / rate) if known else None
        position += 8 + length + length % 2
    return None


def au_layout(file: BinaryIO, _: int) -> Layout | None:
    """Return the length that an AU file declares."""
    head = _read(file, 0, 24).ljust(24, b"\0")
    _mark, _offset, declared, encoding, rate, channels = struct.unpack(">4s5I", head)
    bytes_per_s = _AU_BYTES.get(encoding, 0) * rate * channels
    if not bytes_per_s or declared >= _UNKNOWN:
        return None
    return Layout(declared_s=declared / bytes_per_s, whole_s=declared / bytes_per_s)
