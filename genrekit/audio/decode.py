"""Decode an audio file to a mono waveform at a sample rate."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from genrekit._types import FloatArray
from genrekit.audio.mixdown import Mixdown
from genrekit.audio.source import AudioSource, open_audio
from genrekit.errors import UnreadableAudioError

SHORTEST_S = 0.1
"""Shorter files are not used."""

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
    has equal digests. `notes` say what is unusual about the file, `decoder` is empty for libsndfile. `cancelled` is
    true if the channels cancel, so that one of them is used; see `Mixdown`.
    """

    waveform: FloatArray
    digest: str
    native_rate: int
    notes: tuple[str, ...] = ()
    decoder: str = ""
    cancelled: bool = False


def probe(path: Path) -> Probe:
    """Read a file's header.

    Errors: UnreadableAudioError with the reason.
    """
    with open_audio(path) as file:
        frames = min(file.frames, _MOST_FRAMES_PER_BYTE * path.stat().st_size)
        return Probe(frames, file.samplerate, file.channels)


class LongAudioError(Exception):
    """A track that takes too much memory as a whole. It is processed in passes over blocks instead."""


def decode(path: Path, sample_rate: int, *, most_samples: float = math.inf) -> Decoded:
    """Decode a file to mono and resample it.

    The length is the number of samples that can be decoded, which may differ from the header.
    Errors: UnreadableAudioError with the reason: not decodable, shorter than 0.1 s, NaN, infinite or huge samples;
    LongAudioError if the file has more than `most_samples` samples, before or after resampling.
    """
    mixdown = Mixdown()
    native_rate, samples, facts = _decoded(path, mixdown, most_samples)
    channel = mixdown.channel_to_use
    if channel is not None:
        native_rate, samples, facts = _decoded(path, Mixdown(channel), most_samples)
    if resampled_length(len(samples), native_rate, sample_rate) > most_samples:
        raise LongAudioError
    mono = samples if samples.dtype == np.float32 else samples * np.float32(1 / _FULL_SCALE)
    if len(mono) < SHORTEST_S * native_rate:
        raise UnreadableAudioError(f"{len(mono) / native_rate:.3g} s of audio, shorter than {SHORTEST_S} s")
    _require_finite(mono, "NaN or infinite samples")
    digest = AudioDigest()
    digest.update(samples)
    cancelled = channel is not None
    if native_rate == sample_rate:
        return Decoded(mono, digest.text, native_rate, facts.notes, facts.decoder, cancelled)
    waveform = soxr.resample(mono, native_rate, sample_rate, quality="HQ")
    _require_finite(waveform, "samples too large to be resampled")
    return Decoded(waveform, digest.text, native_rate, facts.notes, facts.decoder, cancelled)


@dataclass
class FileFacts:
    """What is known about a file once it is decoded: `notes` and `decoder` as in `Decoded`."""

    notes: tuple[str, ...] = ()
    decoder: str = ""


def _decoded(path: Path, mixdown: Mixdown, most_samples: float) -> tuple[int, Samples, FileFacts]:
    """Return a file's sample rate, its mono samples, and what is known about the file."""
    with open_audio(path) as file:
        blocks: list[Samples] = []
        if file.frames > most_samples:
            raise LongAudioError
        remaining = most_samples  # the header may be wrong
        for block in _mono_blocks(file, mixdown):
            blocks.append(block)
            remaining -= len(block)
            if remaining < 0:
                raise LongAudioError
        blocks = blocks or [np.zeros(0, np.float32)]
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return file.samplerate, samples, FileFacts(file.notes(), file.decoder)


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


def channel_to_use(path: Path, on_block: Callable[[], None] | None = None) -> int | None:
    """Return the channel that `decode` uses if the channels of a file cancel; None if it uses their mean.

    This decodes the whole file if it has several channels. `on_block` is called for each block.
    Errors: UnreadableAudioError with the reason.
    """
    with open_audio(path) as file:
        mixdown = Mixdown()
        if file.channels > 1:
            for _ in _mono_blocks(file, mixdown):
                if on_block is not None:
                    on_block()
        return mixdown.channel_to_use


def stream(
    path: Path,
    sample_rate: int,
    digest: AudioDigest | None = None,
    mixdown: Mixdown | None = None,
    facts: FileFacts | None = None,
) -> Iterator[FloatArray]:
    """Decode and resample block by block. Joined, the blocks equal the waveform of `decode`, bit for bit.

    `digest` is updated with all samples, and `facts` at the end. `mixdown` mixes the channels; without it, they are
    first measured with `channel_to_use`.
    Errors: those of `decode`, when the block is decoded. A file that is too short, or of which too much cannot be
    decoded, raises at its end.
    """
    mixdown = mixdown or Mixdown(channel_to_use(path))
    with open_audio(path) as file:
        native_rate, frames, resampler = file.samplerate, 0, None
        if native_rate != sample_rate:
            resampler = soxr.ResampleStream(native_rate, sample_rate, 1, dtype="float32", quality="HQ")
        for samples in _mono_blocks(file, mixdown):
            mono = samples if samples.dtype == np.float32 else samples * np.float32(1 / _FULL_SCALE)
            _require_finite(mono, "NaN or infinite samples")
            frames += len(mono)
            if digest is not None:
                digest.update(samples)
            yield mono if resampler is None else _resampled(resampler, mono)
        notes = file.notes()
        if facts is not None:
            facts.notes, facts.decoder = notes, file.decoder
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


def _require_finite(waveform: FloatArray, problem: str) -> None:
    if not (np.isfinite(waveform.max()) and np.isfinite(waveform.min())):  # NaN is both maximum and minimum
        raise UnreadableAudioError(problem)


def _mono_blocks(file: AudioSource, mixdown: Mixdown) -> Iterator[Samples]:
    """Yield blocks of mono samples: int16 from a 16-bit mono file, otherwise float32 in [-1, 1]."""
    frames = max(1, _BLOCK // file.channels)
    if file.subtype == "PCM_16" and file.channels == 1:
        while len(samples := file.read(frames, dtype="int16")):
            yield samples
        return
    while len(block := _read(file, frames)):
        yield mixdown.mono(block)


def _read(file: AudioSource, frames: int) -> FloatArray:
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
