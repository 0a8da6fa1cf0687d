"""Audio files of six formats, and mutations of their bytes.

Each mutation gets the whole content of a sound file and a seeded generator. It returns what a broken disk, a broken
program or a malicious person could have written. This module does not use genrekit.
"""

import io
import random
from collections.abc import Callable

import numpy as np
import soundfile

Mutation = Callable[[bytes, str, random.Random], bytes]

ENCODINGS = {
    "wav": [
        ("WAV", "PCM_16", 1),
        ("WAV", "PCM_24", 2),
        ("WAV", "FLOAT", 1),
        ("WAV", "ULAW", 1),
        ("WAV", "IMA_ADPCM", 1),
        ("WAVEX", "PCM_16", 2),
        ("RF64", "PCM_16", 1),
    ],
    "flac": [("FLAC", "PCM_16", 1), ("FLAC", "PCM_24", 2)],
    "ogg": [("OGG", "VORBIS", 2), ("OGG", "VORBIS", 1), ("OGG", "OPUS", 1)],
    "mp3": [("MP3", "MPEG_LAYER_III", 1), ("MP3", "MPEG_LAYER_III", 2)],
    "au": [("AU", "PCM_16", 1), ("AU", "FLOAT", 2), ("AU", "ULAW", 1)],
    "aiff": [("AIFF", "PCM_16", 1), ("AIFF", "FLOAT", 2)],
}
"""By suffix: containers, encodings and numbers of channels."""

_LENGTHS = [0, 1, 2**24 - 1, 2**31 - 1, 2**32 - 1, 2**36 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1]
_RATES = [0, 1, 7, 100, 999, 8_001, 655_350, 2**20 - 1, 2**31 - 1, 2**32 - 1]
_CHANNELS = [0, 3, 8, 64, 65, 255, 1_000, 65_535]
_FLOATS = [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 1e20]


def sound(suffix: str, number: int) -> bytes:
    """Return a short sound in the encoding of a suffix; each number gives another sound."""
    form, encoding, channels = ENCODINGS[suffix][number % len(ENCODINGS[suffix])]
    rate = 48_000 if encoding == "OPUS" else (22_050, 16_000, 44_100)[number % 3]
    content = encoded(number, form, encoding, channels, rate, 0.7 + 0.3 * (number % 3))
    return _numbered(content, number) if suffix == "ogg" else content


def encoded(number: int, form: str, encoding: str, channels: int, rate: int, duration_s: float) -> bytes:
    """Return a chord with noise as the bytes of a file."""
    generator = np.random.default_rng(number)
    t = np.arange(round(duration_s * rate)) / rate
    tone = sum(np.sin(2 * np.pi * (150 + 17 * (number % 31)) * partial * t) / partial for partial in (1, 2, 3))
    samples = 0.2 * np.asarray(tone)[:, None] + 0.02 * generator.standard_normal((len(t), channels))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=encoding)
    return _undated(file.getvalue())


def truncated(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Keep only the beginning, often less than the header."""
    return content[: rng.randrange(1, rng.choice([16, 64, 512, len(content)]))]


def bit_flips(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Flip single bits at random positions."""
    return _flipped(content, len(content), rng.choice([1, 8, 64, 512]), suffix, rng)


def header_flips(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Flip single bits in the header."""
    return _flipped(content, min(len(content), rng.choice([48, 128, 512])), rng.choice([1, 2, 4, 16]), suffix, rng)


def lying_length(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Write a wrong length into the header, up to 16 EB."""
    data, length = bytearray(content), rng.choice(_LENGTHS)
    if suffix == "wav":
        _put(data, 4, 4, length, "little")
        _put(data, _after(data, b"data"), 4, length, "little")
        if data[:4] == b"RF64":
            for place in (20, 28, 36):
                _put(data, place, 8, rng.choice(_LENGTHS), "little")
    elif suffix == "flac":
        _flac_bits(data, 0, 36, length)
    elif suffix == "ogg":
        last = data.rfind(b"OggS")
        _put(data, last + 6, 8, length, "little")
    elif suffix == "mp3":
        _lying_mp3(data, length)
    elif suffix == "au":
        _put(data, rng.choice([4, 8]), 4, length, "big")
    else:
        _put(data, _after(data, b"COMM") + 6, 4, length, "big")
        _put(data, _after(data, b"SSND"), 4, length, "big")
        _put(data, 4, 4, length, "big")
    return _mended(data, suffix)


def lying_rate(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Write a wrong sample rate into the header: 0 Hz, 1 Hz or four billion."""
    data, rate = bytearray(content), rng.choice(_RATES)
    if suffix == "wav":
        _put(data, _after(data, b"fmt ") + 8, 4, rate, "little")
    elif suffix == "flac":
        _flac_bits(data, 44, 20, rate)
    elif suffix == "ogg":
        place = data.find(b"OpusHead") + 12 if b"OpusHead" in data else data.find(b"\x01vorbis") + 12
        _put(data, place, 4, rate, "little")
    elif suffix == "mp3":
        _mp3_headers(data, 2, 0x0C, rng.randrange(4) << 2)
    elif suffix == "au":
        _put(data, 16, 4, rate, "big")
    else:
        exponent = max(rate.bit_length() - 1, 0)
        _put(data, _after(data, b"COMM") + 12, 2, rng.choice([0x3FFF + exponent, 0, 0x7FFF, 0xBFFF]), "big")
        _put(data, _after(data, b"COMM") + 14, 8, rate << (63 - exponent), "big")
    return _mended(data, suffix)


def lying_channels(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Write zero or a thousand channels into the header, or another sample size."""
    data, channels = bytearray(content), rng.choice(_CHANNELS)
    if suffix == "wav":
        _put(data, _after(data, b"fmt ") + 6, 2, channels, "little")
        if rng.random() < 0.5:
            _put(data, _after(data, b"fmt ") + 16, 2, rng.choice(_CHANNELS), "little")
            _put(data, _after(data, b"fmt ") + 18, 2, rng.choice([0, 1, 7, 12, 33, 64, 65_535]), "little")
    elif suffix == "flac":
        _flac_bits(data, 41, 3, channels)
        _flac_bits(data, 36, 5, rng.randrange(32))
    elif suffix == "ogg":
        place = data.find(b"OpusHead") + 9 if b"OpusHead" in data else data.find(b"\x01vorbis") + 11
        _put(data, place, 1, channels, "little")
    elif suffix == "mp3":
        _mp3_headers(data, 3, 0xC0, rng.randrange(4) << 6)
    elif suffix == "au":
        _put(data, 20, 4, rng.choice([*_CHANNELS, 2**32 - 1]), "big")
        _put(data, 12, 4, rng.choice([1, 3, 6, 7, 23, 27, 99]), "big")
    else:
        _put(data, _after(data, b"COMM") + 4, 2, channels, "big")
        _put(data, _after(data, b"COMM") + 10, 2, rng.choice([0, 1, 8, 16, 31, 64, 65_535]), "big")
    return _mended(data, suffix)


def overwritten(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Overwrite a range with zeros, ones or noise, as a bad sector does."""
    data = bytearray(content)
    start = rng.randrange(len(data))
    length = rng.choice([4, 64, 512, 4_096, len(data)])
    noise = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
    data[start : start + length] = noise[: len(data) - start]
    return _mended(data, suffix) if rng.random() < 0.5 else bytes(data)


def spliced(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Join the beginning of one file and the end of another, of any format."""
    other = sound(rng.choice(list(ENCODINGS)), rng.randrange(100))
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def doubled(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Repeat or remove a range of bytes."""
    start, end = sorted((rng.randrange(len(content)), rng.randrange(len(content))))
    return content[:end] + content[start:] if rng.random() < 0.5 else content[:start] + content[end:]


def prefixed(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Put something before the header: noise, or a tag whose size is given as 256 MB."""
    tag = b"ID3\x04\x00\x00" + bytes([rng.randrange(128) for _ in range(4)])
    return (
        rng.choice([tag, tag + bytes(100), rng.randbytes(rng.randrange(1, 3_000)), b"\xef\xbb\xbf", content]) + content
    )


def wild_samples(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Write samples that are NaN, infinite, or the largest and smallest 32-bit numbers."""
    form = {"wav": "WAV", "au": "AU", "aiff": "AIFF"}.get(suffix, "WAV")
    samples = np.random.default_rng(rng.randrange(2**32)).standard_normal((11_025, 1)).astype(np.float32)
    kind = rng.randrange(3)
    if kind == 0:
        samples *= np.float32(rng.choice([3e37, 1e-42, 1e20, 0]))
    elif kind == 1:
        samples[:] = np.sign(samples) * np.float32(3.4e38)
    else:
        samples[[rng.randrange(len(samples)) for _ in range(rng.choice([1, 5]))]] = rng.choice(_FLOATS)
    file = io.BytesIO()
    soundfile.write(file, samples, 22_050, format=form, subtype="FLOAT")
    return _undated(file.getvalue())


def noise(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Return the format's first bytes, followed by random ones."""
    return content[: rng.choice([0, 4, 12, 40])] + rng.randbytes(rng.choice([1, 100, 5_000, 50_000]))


def text(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Return a text, such as a failed download leaves."""
    return ("<html><body>404 Not Found: no such song, sorry.</body></html>\n" * rng.randrange(1, 200)).encode()


def empty(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Return no bytes."""
    return b""


def wrong_suffix(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Return a good file of another format."""
    return sound(rng.choice([other for other in ENCODINGS if other != suffix]), rng.randrange(100))


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "bit flips": bit_flips,
    "header flips": header_flips,
    "lying length": lying_length,
    "lying rate": lying_rate,
    "lying channels": lying_channels,
    "overwritten": overwritten,
    "spliced": spliced,
    "doubled": doubled,
    "prefixed": prefixed,
    "wild samples": wild_samples,
    "noise": noise,
    "text": text,
    "empty": empty,
    "wrong suffix": wrong_suffix,
}


def _flipped(content: bytes, end: int, flips: int, suffix: str, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(flips):
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return _mended(data, suffix) if rng.random() < 0.5 else bytes(data)


def _after(data: bytearray, chunk: bytes) -> int:
    return data.find(chunk) + 4


def _put(data: bytearray, place: int, size: int, value: int, order: str) -> None:
    """Overwrite an unsigned number, reduced to its size."""
    data[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, "little" if order == "little" else "big")


def _flac_bits(data: bytearray, low: int, size: int, value: int) -> None:
    """Overwrite some of the 64 bits that hold rate (20), channels (3), bits (5) and total samples (36)."""
    packed = int.from_bytes(data[18:26], "big")
    mask = (1 << size) - 1
    data[18:26] = (packed & ~(mask << low) | (value & mask) << low).to_bytes(8, "big")


def _lying_mp3(data: bytearray, length: int) -> None:
    """Change the counts in the header of a variable bit rate, or the size of a tag if there is no such header."""
    for name in (b"Xing", b"Info"):
        place = data.find(name)
        if place > 0:
            _put(data, place + 8, 4, length, "big")
            _put(data, place + 12, 4, length, "big")
            return
    data[:0] = b"ID3\x04\x00\x00" + (length % 2**28).to_bytes(4, "big").replace(b"\xff", b"\x7f")


def _mp3_headers(data: bytearray, offset: int, mask: int, bits: int) -> None:
    """Set bits in the header of each frame."""
    sync, place = bytes(data[:2]), 0
    while (place := data.find(sync, place)) >= 0 and place + offset < len(data):
        data[place + offset] = data[place + offset] & ~mask | bits
        place += 4


def _mended(data: bytearray, suffix: str) -> bytes:
    """Give Ogg pages the right checksums, so that decoders read their content."""
    if suffix != "ogg":
        return bytes(data)
    places = [place for place in range(len(data)) if data.startswith(b"OggS", place)]
    for start, end in zip(places, [*places[1:], len(data)], strict=True):
        if end - start > 27:
            _put(data, start + 22, 4, 0, "little")
            _put(data, start + 22, 4, _ogg_checksum(data[start:end]), "little")
    return bytes(data)


def _undated(content: bytes) -> bytes:
    """Remove the time at which libsndfile measured the peak."""
    data = bytearray(content)
    place = data.find(b"PEAK", 0, 200)
    if place > 0:
        _put(data, place + 12, 4, 0, "little")
    return bytes(data)


def _numbered(content: bytes, number: int) -> bytes:
    """Set the number of the stream of an Ogg file. libsndfile derives it from the clock."""
    data, place = bytearray(content), -1
    while (place := data.find(b"OggS", place + 1)) >= 0:
        _put(data, place + 14, 4, number, "little")
    return _mended(data, "ogg")


def _checksum_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_TABLE = _checksum_table()


def _ogg_checksum(page: bytearray) -> int:
    value = 0
    for byte in page:
        value = value << 8 & 0xFFFFFFFF ^ _TABLE[value >> 24 ^ byte]
    return value
