"""From an audio file of any length to the inputs of a model, in passes over blocks of the waveform.

A track's level and its loudest spectrum depend on the whole track, so they are known only at its end. A short track
stays in memory between the passes. A long one is decoded once per pass, so memory does not grow with its length.
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

MAX_WAVEFORM_S = 300.0
"""Longest waveform, in seconds, that stays in memory."""

MAX_SPECTROGRAMS = 256
"""Most spectrograms of a track that stay in memory until its loudest value is known."""

BATCH = 8
"""Fragments per batch of a model. Larger batches are no faster, and their activations take more memory."""

Blocks = Callable[[], Iterator[FloatArray]]
"""Starts a new pass over a waveform, float32 in blocks."""

Pieces = Callable[[], Iterator[tuple[int, FloatArray]]]
"""Starts a new pass over the fragments of a track: start in samples, waveform at the track's level."""


@dataclass(frozen=True)
class FragmentBatches:
    """The length of a track, and its fragments in batches: starts in samples, and inputs float32 [fragments, *shape].

    `batches` can be iterated once.
    """

    duration_s: float
    batches: Iterator[tuple[list[int], FloatArray]]


def fragment_batches(blocks: Blocks, config: PrepareConfig, kind: Input, hop: int | None = None) -> FragmentBatches:
    """Cut a mono waveform into fragments and compute a model's inputs, as a cache stores them.

    Without `hop`, the fragments are those that a cache would have; with it, one starts every `hop` samples. The
    waveform has the configuration's sample rate.
    """
    front_end = config.front_end
    level = Level.of(blocks(), front_end.normalization)
    starts = (
        fragment_starts(level.n_samples, front_end.n_samples, config.fragments)
        if hop is None
        else starts_every(hop, level.n_samples, front_end.n_samples)
    )

    def pieces() -> Iterator[tuple[int, FloatArray]]:
        for start, piece in cut_blocks(blocks(), front_end.n_samples, starts):
            yield start, level.apply(piece)

    return FragmentBatches(level.n_samples / front_end.sample_rate, _batches(INPUTS[kind](pieces, config)))


class Recording:
    """An audio file at one sample rate that can be read several times: from memory, or from the file if it is long.

    `digest` is the one of `Decoded` and is empty without the argument `digest`. With it, `silent` is true if all
    samples are zero. `on_block` is called for each decoded block and may raise an exception to stop.
    Errors: UnreadableAudioError with the reason.
    """

    def __init__(
        self, path: Path, sample_rate: int, *, digest: bool = False, on_block: Callable[[], None] | None = None
    ) -> None:
        self._path, self._sample_rate, self._on_block = path, sample_rate, on_block
        audio_digest = AudioDigest() if digest else None
        in_memory: list[FloatArray] = []
        n_samples, self.silent = 0, True
        for block in self._decoded(audio_digest):
            n_samples += len(block)
            self.silent = self.silent and not block.any()
            in_memory.append(block)
            if n_samples > MAX_WAVEFORM_S * sample_rate:
                in_memory.clear()
                if audio_digest is None:
                    break
        self.digest = "" if audio_digest is None else audio_digest.text
        self._in_memory = in_memory if len(in_memory) <= 1 else [np.concatenate(in_memory)]

    def fragments(self, config: PrepareConfig, kind: Input, hop: int | None = None) -> FragmentBatches:
        """Return the recording's fragments as `fragment_batches` does; the sample rate is the recording's."""
        return fragment_batches(self._blocks, config, kind, hop)

    def _blocks(self) -> Iterator[FloatArray]:
        return iter(self._in_memory) if self._in_memory else self._decoded(None)

    def _decoded(self, digest: AudioDigest | None) -> Iterator[FloatArray]:
        for block in stream(self._path, self._sample_rate, digest):
            if self._on_block is not None:
                self._on_block()
            yield block


def _waveforms(pieces: Pieces, _: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    for start, piece in pieces():
        yield start, np.divide(quantized(piece), FULL_SCALE, dtype=np.float32)


def _mels(pieces: Pieces, config: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    front_end = config.front_end
    for start, power, reference in _with_reference(pieces, front_end):
        unit = to_unit_db(power, reference, front_end.top_db)
        yield start, unit.astype(config.mel_dtype).astype(np.float32)


def _with_reference(pieces: Pieces, front_end: FeatureConfig) -> Iterator[tuple[int, FloatArray, float]]:
    """Starts and mel powers of fragments, each with the power at 0 dB: the fragment's or the track's loudest value."""
    mel_power = mel_spectrogram(front_end).power

    def powers() -> Iterator[tuple[int, FloatArray]]:
        return ((start, mel_power(piece)) for start, piece in pieces())

    if front_end.db_reference == "fragment":
        yield from ((start, power, float(power.max())) for start, power in powers())
        return
    in_memory: list[tuple[int, FloatArray]] | None = []
    loudest = 0.0
    for start, power in powers():
        loudest = max(loudest, float(power.max()))
        if in_memory is not None:
            in_memory.append((start, power))
            in_memory = in_memory if len(in_memory) <= MAX_SPECTROGRAMS else None
    yield from ((start, power, loudest) for start, power in (powers() if in_memory is None else in_memory))


def _stfts(pieces: Pieces, config: PrepareConfig) -> Iterator[tuple[int, FloatArray]]:
    for start, waveform in _waveforms(pieces, config):
        yield start, power_stft(waveform[None])[0]


INPUTS: dict[Input, Callable[[Pieces, PrepareConfig], Iterator[tuple[int, FloatArray]]]] = {
    "mel": _mels,
    "waveform": _waveforms,
    "stft": _stfts,
}
"""The function that computes each input from the fragments of a track."""


def _batches(fragments: Iterator[tuple[int, FloatArray]]) -> Iterator[tuple[list[int], FloatArray]]:
    while batch := list(islice(fragments, BATCH)):
        yield [start for start, _ in batch], np.stack([values for _, values in batch])
