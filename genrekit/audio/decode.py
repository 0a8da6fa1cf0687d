"""Decode an audio file to a mono waveform at a sample rate."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from genrekit._types import FloatArray
from genrekit.errors import UnreadableAudioError
from genrekit.io.files import special_file

SHORTEST_S = 0.1
"""Shorter files are not used."""

RMS_LEVEL = 10 ** (-20 / 20)
"""Root mean square of an rms-normalized waveform: -20 dBFS."""

_NO_AUDIO = "not decodable: Format not recognised"
_NO_MP3_FRAME = 7
"""libsndfile's error code for an MP3 file without a frame; its message says that the file does not exist."""

_MOST_CHANNELS = 64
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 1_000_000
"""Hz. With a lower rate in its header, a file of seconds would become hours of samples."""

_UNKNOWN_FRAMES = 2**63 - 1
"""libsndfile's length if the header has none, for example in a FLAC file from a pipe."""

_MOST_FRAMES_PER_BYTE = 64
"""As in speech at 6 kbit/s. Only silence is smaller, so a larger number in a header is wrong."""

_BLOCK = 1 << 20

_FULL_SCALE = 32_768
"""The divisor of 16-bit samples."""

Samples = npt.NDArray[Any]
"""int16, or float32 in [-1, 1]."""


@dataclass(frozen=True)
class Probe:
    """The values of a file's header. `frames` is limited to what a file of this size can have."""

    frames: int
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Decoded:
    """A mono waveform, float32 [n_samples], not normalized.

    `digest` is of the mono samples at the file's own sample rate, rounded to 16 bits. So equal audio in WAV and FLAC
    has equal digests.
    """

    waveform: FloatArray
    digest: str
    native_rate: int


def probe(path: Path) -> Probe:
    """Read a file's header.

    Errors: UnreadableAudioError with the reason.
    """
    with _opened(path) as file:
        frames = min(file.frames, _MOST_FRAMES_PER_BYTE * path.stat().st_size)
        return Probe(frames, file.samplerate, file.channels)


def decode(path: Path, sample_rate: int) -> Decoded:
    """Decode a file to mono and resample it.

    The length is the number of samples that can be decoded, which may differ from the header.
    Errors: UnreadableAudioError with the reason: not decodable, shorter than 0.1 s, NaN, infinite or huge samples.
    """
    with _opened(path) as file:
        native_rate = file.samplerate
        blocks = [*_mono_blocks(file)] or [np.zeros(0, np.float32)]
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    mono = samples if samples.dtype == np.float32 else samples * np.float32(1 / _FULL_SCALE)
    if len(mono) < SHORTEST_S * native_rate:
        raise UnreadableAudioError(f"{len(mono) / native_rate:.3g} s of audio, shorter than {SHORTEST_S} s")
    _require_finite(mono, "NaN or infinite samples")
    digest = AudioDigest()
    digest.update(samples)
    if native_rate == sample_rate:
        return Decoded(mono, digest.text, native_rate)
    waveform = soxr.resample(mono, native_rate, sample_rate, quality="HQ")
    _require_finite(waveform, "samples too large to be resampled")
    return Decoded(waveform, digest.text, native_rate)


class AudioDigest:
    """The digest of a file's mono samples in blocks; see `Decoded`."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def update(self, samples: Samples) -> None:
        """Add the next samples."""
        self._sum.update(_at_16_bits(samples).astype("<i2", copy=False).data)

    @property
    def text(self) -> str:
        """The digest of the samples so far."""
        return self._sum.hexdigest()[:32]


def stream(path: Path, sample_rate: int, digest: AudioDigest | None = None) -> Iterator[FloatArray]:
    """Decode and resample block by block. Joined, the blocks equal the waveform of `decode`, bit for bit.

    `digest` is updated with all samples.
    Errors: those of `decode`, when the block is decoded. A file that is too short raises at its end.
    """
    with _opened(path) as file:
        native_rate, frames, resampler = file.samplerate, 0, None
        if native_rate != sample_rate:
            resampler = soxr.ResampleStream(native_rate, sample_rate, 1, dtype="float32", quality="HQ")
        for samples in _mono_blocks(file):
            mono = samples if samples.dtype == np.float32 else samples * np.float32(1 / _FULL_SCALE)
            _require_finite(mono, "NaN or infinite samples")
            frames += len(mono)
            if digest is not None:
                digest.update(samples)
            yield mono if resampler is None else _resampled(resampler, mono)
        if frames < SHORTEST_S * native_rate:
            raise UnreadableAudioError(f"{frames / native_rate:.3g} s of audio, shorter than {SHORTEST_S} s")
        if resampler is not None:
            yield _resampled(resampler, np.zeros(0, np.float32), last=True)


def _resampled(resampler: soxr.ResampleStream, mono: FloatArray, *, last: bool = False) -> FloatArray:
    block = resampler.resample_chunk(mono, last=last)
    if len(block):
        _require_finite(block, "samples too large to be resampled")
    return block


def resampled_length(frames: int, native_rate: int, sample_rate: int) -> int:
    """Return the number of samples after resampling, rounded as soxr does it, by the quotient of the rates."""
    return int(frames / (native_rate / sample_rate) + 0.5)


def normalize_waveform(waveform: FloatArray, normalization: str) -> FloatArray:
    """Scale a waveform: `peak` to a peak of 1, `rms` to -20 dBFS, `none` not at all; the last two clip it to 1.

    Silence stays silent.
    """
    return Level.of([waveform], normalization).apply(waveform)


@dataclass(frozen=True)
class Level:
    """The level of a track, with which its pieces can be normalized one by one.

    `peak` is the largest magnitude, `rms` the root mean square, `n_samples` the number of samples.
    """

    normalization: str
    peak: np.float32
    rms: float
    n_samples: int

    @classmethod
    def of(cls, blocks: Iterable[FloatArray], normalization: str) -> Self:
        """Measure a waveform, float32 [n_samples] in blocks."""
        peak, squares, n_samples = np.float32(0), 0.0, 0
        for block in blocks:
            peak = max(peak, block.max(initial=0), -block.min(initial=0))
            n_samples += len(block)
            if normalization == "rms":
                squares += float(np.sum(np.square(block, dtype=np.float64)))
        return cls(normalization, peak, math.sqrt(squares / max(n_samples, 1)), n_samples)

    def apply(self, piece: FloatArray) -> FloatArray:
        """Normalize a piece of the waveform with the track's level."""
        if self.normalization == "none":
            return np.clip(piece, -1, 1)
        if self.peak == 0:
            return piece
        scaled = piece / self.peak
        if self.normalization == "peak":
            return scaled
        return np.clip(scaled * np.float32(RMS_LEVEL * float(self.peak) / self.rms), -1, 1)


def _require_finite(waveform: FloatArray, problem: str) -> None:
    if not (np.isfinite(waveform.max()) and np.isfinite(waveform.min())):  # NaN is both maximum and minimum
        raise UnreadableAudioError(problem)


class _Forward(soundfile.SoundFile):  # type: ignore[misc] # has no types
    """A sound file that is only read forward.

    After each block, soundfile seeks to the current position. That fails at the end of a file of unknown length.
    """

    def seekable(self) -> bool:
        return super().seekable() and self.frames < _UNKNOWN_FRAMES


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if path.suffix.lower() == ".raw":
        raise UnreadableAudioError(_NO_AUDIO)
    try:
        if special := special_file(path.stat().st_mode):
            raise UnreadableAudioError(special)  # opening a pipe would block
        with open(path, "rb"):
            pass  # this error has a reason; libsndfile only says "System error"
        with _Forward(path) as file:
            if file.format == "RAW":  # an .au file without a header would be read as samples
                raise UnreadableAudioError(_NO_AUDIO)
            rate_is_sane = _LOWEST_RATE <= file.samplerate <= _HIGHEST_RATE
            if not rate_is_sane or not 1 <= file.channels <= _MOST_CHANNELS:
                raise UnreadableAudioError(f"{file.channels} channels at {file.samplerate} Hz")
            yield file
    except soundfile.LibsndfileError as error:
        message = f"not decodable: {error.error_string.strip().rstrip('.')}"
        raise UnreadableAudioError(_NO_AUDIO if error.code == _NO_MP3_FRAME else message) from error
    except UnicodeEncodeError as error:
        raise UnreadableAudioError("its name is not valid Unicode: rename it") from error
    except OSError as error:
        raise UnreadableAudioError(error.strerror or "cannot be opened") from error


def _mono_blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield blocks of mono samples: int16 from a 16-bit mono file, otherwise float32 in [-1, 1]."""
    frames = max(1, _BLOCK // file.channels)
    if file.subtype == "PCM_16" and file.channels == 1:
        while len(samples := file.read(frames, dtype="int16")):
            yield samples
        return
    while len(block := _read(file, frames)):
        mono = block[:, 0].copy() if block.shape[1] > 1 else block[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):  # infinite samples are refused later
            for channel in range(1, block.shape[1]):
                mono += block[:, channel]
        yield mono / np.float32(block.shape[1]) if block.shape[1] > 1 else mono


def _read(file: soundfile.SoundFile, frames: int) -> FloatArray:
    """Read [frames, channels]. 16-bit samples are scaled here, because libsndfile takes ten times as long."""
    if file.subtype != "PCM_16":
        return file.read(frames, dtype="float32", always_2d=True)
    return file.read(frames, dtype="int16", always_2d=True) * np.float32(1 / _FULL_SCALE)


def _at_16_bits(samples: Samples) -> npt.NDArray[np.int16]:
    if samples.dtype == np.int16:
        return samples
    scaled = np.clip(samples, -1, 1) * np.float32(_FULL_SCALE)
    np.rint(scaled, out=scaled)
    return np.minimum(scaled, _FULL_SCALE - 1, out=scaled).astype(np.int16)
