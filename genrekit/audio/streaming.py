"""An audio file of any length, from the file to what a model reads, in passes over blocks.

A track's level and its loudest spectrum are those of the whole track, so they are known only at its end. A short track
is kept in memory between the passes; a long one is decoded once a pass, so that ten hours take the memory of minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from genrekit.audio.decode import Level, stream
from genrekit.audio.features import mel_spectrogram, power_stft, to_unit_db
from genrekit.audio.fragments import cut_blocks
from genrekit.audio.transform import FULL_SCALE, quantized
from genrekit.config import FrontEnd, Input, PrepareConfig
from genrekit.records import FloatArray

HELD_S = 300.0
"""Seconds of a waveform that are kept in memory."""

HELD_SPECTROGRAMS = 256
"""Spectrograms of a track that are kept in memory until its loudest value is known."""

BATCH = 32
"""Fragments that a model is asked at once; enough for all of its speed."""

Blocks = Callable[[], Iterator[FloatArray]]
Pieces = Callable[[], Iterator[tuple[int, FloatArray]]]


@dataclass(frozen=True)
class Heard:
    """A file's length, and its fragments in batches: starts in samples, and inputs float32 [fragments, *shape]."""

    duration_s: float
    batches: Iterator[tuple[list[int], FloatArray]]


def hear(path: Path, config: PrepareConfig, kind: Input, hop: int, on_block: Callable[[], None] | None = None) -> Heard:
    """Decode a file and transform its whole fragments, one every `hop` samples, as a cache would store them.

    `on_block` is called with each block that is decoded, and may raise to stop.
    Errors: UnreadableAudioError with the reason.
    """
    front_end = config.front_end
    blocks = _blocks(path, front_end.sample_rate, on_block or _go_on)
    level = Level.of(blocks(), front_end.normalization)

    def pieces() -> Iterator[tuple[int, FloatArray]]:
        for start, piece in cut_blocks(blocks(), front_end.n_samples, hop):
            yield start, level.apply(piece)

    return Heard(level.n_samples / front_end.sample_rate, _batches(INPUTS[kind](pieces, config)))


def _go_on() -> None:
    pass


def _blocks(path: Path, sample_rate: int, on_block: Callable[[], None]) -> Blocks:
    """A way to read a track's waveform again and again: from memory, or where it is long from the file."""

    def decoded() -> Iterator[FloatArray]:
        for block in stream(path, sample_rate):
            on_block()
            yield block

    held: list[FloatArray] = []
    n_samples = 0
    for block in decoded():
        held.append(block)
        n_samples += len(block)
        if n_samples > HELD_S * sample_rate:
            return decoded
    whole = held[0] if len(held) == 1 else np.concatenate(held)
    return lambda: iter([whole])


def _waveforms(pieces: Pieces, _: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    for start, piece in pieces():
        yield start, np.divide(quantized(piece), FULL_SCALE, dtype=np.float32)


def _mels(pieces: Pieces, config: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    front_end = config.front_end
    for start, power, reference in _referred(pieces, front_end):
        unit = to_unit_db(power, reference, front_end.top_db)
        yield start, unit.astype(config.mel_dtype).astype(np.float32)


def _referred(pieces: Pieces, front_end: FrontEnd) -> Iterator[tuple[int, FloatArray, float]]:
    """Starts and mel powers of fragments, each with what is 0 dB for it: its own or the track's loudest value."""
    power = mel_spectrogram(front_end).power

    def powers() -> Iterator[tuple[int, FloatArray]]:
        return ((start, power(piece)) for start, piece in pieces())

    if front_end.db_reference == "fragment":
        yield from ((start, found, float(found.max())) for start, found in powers())
        return
    held: list[tuple[int, FloatArray]] | None = []
    loudest = 0.0
    for start, found in powers():
        loudest = max(loudest, float(found.max()))
        if held is not None:
            held.append((start, found))
            held = held if len(held) <= HELD_SPECTROGRAMS else None
    yield from ((start, found, loudest) for start, found in (powers() if held is None else held))


def _stfts(pieces: Pieces, config: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    for start, waveform in _waveforms(pieces, config):
        yield start, power_stft(waveform[None])[0]


INPUTS: dict[Input, Callable[[Pieces, PrepareConfig], Iterator[tuple[int, FloatArray]]]] = {
    "mel": _mels,
    "waveform": _waveforms,
    "stft": _stfts,
}
"""How each input comes from the pieces of a track at their level."""


def _batches(fragments: Iterator[tuple[int, FloatArray]]) -> Iterator[tuple[list[int], FloatArray]]:
    while some := list(islice(fragments, BATCH)):
        yield [start for start, _ in some], np.stack([values for _, values in some])
