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

from genrekit._types import FloatArray
from genrekit.audio.decode import AudioDigest, Level, stream
from genrekit.audio.features import mel_spectrogram, power_stft, to_unit_db
from genrekit.audio.fragments import cut_blocks, fragment_starts, starts_every
from genrekit.audio.transform import FULL_SCALE, quantized
from genrekit.config import FeatureConfig, Input, PrepareConfig

HELD_S = 300.0
"""Seconds of a waveform that are kept in memory."""

HELD_SPECTROGRAMS = 256
"""Spectrograms of a track that are kept in memory until its loudest value is known."""

BATCH = 8
"""Fragments that a model is asked at once; more are no faster, and their activations take more memory."""

Pieces = Callable[[], Iterator[tuple[int, FloatArray]]]


@dataclass(frozen=True)
class Heard:
    """A file's length, and its fragments in batches: starts in samples, and inputs float32 [fragments, *shape]."""

    duration_s: float
    batches: Iterator[tuple[list[int], FloatArray]]


class Recording:
    """A file at one sample rate, to be heard again and again: from memory, or where it is long from the file.

    `digest` is that of `Decoded`, for whoever asks for it; `silent` says whether there is nothing but zeros, then.
    `on_block` is called with each block that is decoded, and may raise to stop.
    Errors: UnreadableAudioError with the reason.
    """

    def __init__(
        self, path: Path, sample_rate: int, *, digest: bool = False, on_block: Callable[[], None] | None = None
    ) -> None:
        self._path, self._sample_rate, self._on_block = path, sample_rate, on_block or _go_on
        found = AudioDigest() if digest else None
        held: list[FloatArray] = []
        n_samples, self.silent = 0, True
        for block in self._decoded(found):
            n_samples += len(block)
            self.silent = self.silent and not block.any()
            held.append(block)
            if n_samples > HELD_S * sample_rate:
                held.clear()
                if found is None:
                    break
        self.digest = "" if found is None else found.text
        self._held = held if len(held) == 1 else [np.concatenate(held)] if held else None

    def hear(self, config: PrepareConfig, kind: Input, hop: int | None = None) -> Heard:
        """Transform fragments as a cache would store them: those that it would hold, or one every `hop` samples.

        The configuration's sample rate is the recording's.
        """
        front_end = config.front_end
        level = Level.of(self._blocks(), front_end.normalization)
        starts = (
            fragment_starts(level.n_samples, front_end.n_samples, config.fragments)
            if hop is None
            else starts_every(hop, level.n_samples, front_end.n_samples)
        )

        def pieces() -> Iterator[tuple[int, FloatArray]]:
            for start, piece in cut_blocks(self._blocks(), front_end.n_samples, starts):
                yield start, level.apply(piece)

        return Heard(level.n_samples / front_end.sample_rate, _batches(INPUTS[kind](pieces, config)))

    def _blocks(self) -> Iterator[FloatArray]:
        return self._decoded(None) if self._held is None else iter(self._held)

    def _decoded(self, digest: AudioDigest | None) -> Iterator[FloatArray]:
        for block in stream(self._path, self._sample_rate, digest):
            self._on_block()
            yield block


def hear(path: Path, config: PrepareConfig, kind: Input, hop: int, on_block: Callable[[], None] | None = None) -> Heard:
    """Decode a file and transform its whole fragments, one every `hop` samples, as a cache would store them.

    `on_block` and errors are those of a `Recording`.
    """
    return Recording(path, config.front_end.sample_rate, on_block=on_block).hear(config, kind, hop)


def _go_on() -> None:
    pass


def _waveforms(pieces: Pieces, _: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    for start, piece in pieces():
        yield start, np.divide(quantized(piece), FULL_SCALE, dtype=np.float32)


def _mels(pieces: Pieces, config: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    front_end = config.front_end
    for start, power, reference in _referred(pieces, front_end):
        unit = to_unit_db(power, reference, front_end.top_db)
        yield start, unit.astype(config.mel_dtype).astype(np.float32)


def _referred(pieces: Pieces, front_end: FeatureConfig) -> Iterator[tuple[int, FloatArray, float]]:
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
