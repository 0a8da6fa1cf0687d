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
from genrekit.audio.bandwidth import BandPower
from genrekit.audio.decode import AudioDigest, FileFacts, channel_to_use, stream
from genrekit.audio.features import mel_spectrogram, power_stft, to_unit_db
from genrekit.audio.fragments import cut_blocks, fragment_starts, lengthened, starts_every
from genrekit.audio.level import Level
from genrekit.audio.mixdown import Mixdown
from genrekit.audio.silence import is_silent
from genrekit.audio.transform import FULL_SCALE, LONGEST_WHOLE, quantized
from genrekit.config import FeatureConfig, Input, PrepareConfig

MAX_WAVEFORM_S = 300.0
"""Longest waveform, in seconds, that stays in memory."""

MAX_SPECTROGRAMS = 256
"""Most spectrograms of a track that stay in memory until its loudest value is known."""

MAX_VALUES = 10_000_000
"""Most values of the spectrograms that stay in memory, and of a batch: 40 MB. One fragment may have more."""

BATCH = 8
"""Fragments per batch of a model. Larger batches are no faster, and their activations take more memory."""

Blocks = Callable[[], Iterator[FloatArray]]
"""Starts a new pass over a waveform, float32 in blocks."""

Pieces = Callable[[], Iterator[tuple[int, FloatArray]]]
"""Starts a new pass over the fragments of a track: start in samples, waveform at the track's level."""


@dataclass(frozen=True)
class FragmentBatches:
    """The length of a track, and its fragments in batches: starts in samples, and inputs float32 [fragments, *shape].

    `batches` can be iterated once. It leaves out silent fragments. Their starts are in `silent_starts` afterwards, and
    `band_power` has the power of the others. `padded` is true if the track is shorter than a fragment.
    """

    duration_s: float
    padded: bool
    batches: Iterator[tuple[list[int], FloatArray]]
    silent_starts: set[int]
    band_power: BandPower


def fragment_batches(blocks: Blocks, config: PrepareConfig, kind: Input, hop: int | None = None) -> FragmentBatches:
    """Cut a mono waveform into fragments and compute a model's inputs, as a cache stores them.

    Without `hop`, the fragments are those that a cache would have; with it, one starts every `hop` samples. The
    waveform has the configuration's sample rate.
    """
    front_end = config.front_end
    level = Level.of(blocks, front_end.normalization)
    starts = (
        fragment_starts(level.n_samples, front_end.n_samples, config.fragments)
        if hop is None
        else starts_every(hop, level.n_samples, front_end.n_samples)
    )

    padded = level.n_samples < front_end.n_samples
    silent_starts: set[int] = set()
    band_power = BandPower(front_end, level.n_samples)

    def pieces() -> Iterator[tuple[int, FloatArray]]:
        whole = blocks()
        if padded:
            whole = iter([lengthened(np.concatenate([*whole]), front_end.n_samples, front_end.pad)])
        for start, piece in cut_blocks(whole, front_end.n_samples, starts):
            if is_silent(piece[: level.n_samples - start]):
                silent_starts.add(start)
            else:
                yield start, level.apply(piece)

    batches = _batches(INPUTS[kind](pieces, config, band_power))
    return FragmentBatches(level.n_samples / front_end.sample_rate, padded, batches, silent_starts, band_power)


class Recording:
    """An audio file at one sample rate that can be read several times: from memory, or from the file if it is long.

    `digest` is the one of `Decoded` and is empty without the argument `digest`. `cancelled` is true if the channels
    cancel, so that one of them is used. `notes` are those of `Decoded`, known after the fragments are computed.
    `on_block` is called for each decoded block and may raise an exception to stop.
    Errors: UnreadableAudioError with the reason.
    """

    def __init__(
        self, path: Path, sample_rate: int, *, digest: bool = False, on_block: Callable[[], None] | None = None
    ) -> None:
        self._path, self._sample_rate, self._on_block = path, sample_rate, on_block
        self._facts = FileFacts()
        mixdown = Mixdown()
        complete = self._read(mixdown, digest=digest)
        self._channel = mixdown.channel_to_use if complete else channel_to_use(path, on_block)
        self.cancelled = self._channel is not None
        if self.cancelled:
            self._read(Mixdown(self._channel), digest=digest)

    def _read(self, mixdown: Mixdown, *, digest: bool) -> bool:
        """Keep the waveform in memory if it is short. Return whether the file was read to its end."""
        audio_digest = AudioDigest() if digest else None
        in_memory: list[FloatArray] = []
        n_samples, complete = 0, True
        for block in self._decoded(audio_digest, mixdown):
            n_samples += len(block)
            in_memory.append(block)
            if n_samples > min(MAX_WAVEFORM_S * self._sample_rate, LONGEST_WHOLE):
                in_memory.clear()
                if audio_digest is None:
                    complete = False
                    break
        self.digest = "" if audio_digest is None else audio_digest.text
        self._in_memory = in_memory if len(in_memory) <= 1 else [np.concatenate(in_memory)]
        return complete

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about the file."""
        return self._facts.notes

    def fragments(self, config: PrepareConfig, kind: Input, hop: int | None = None) -> FragmentBatches:
        """Return the recording's fragments as `fragment_batches` does; the sample rate is the recording's."""
        return fragment_batches(self._blocks, config, kind, hop)

    def _blocks(self) -> Iterator[FloatArray]:
        return iter(self._in_memory) if self._in_memory else self._decoded(None, Mixdown(self._channel))

    def _decoded(self, digest: AudioDigest | None, mixdown: Mixdown) -> Iterator[FloatArray]:
        for block in stream(self._path, self._sample_rate, digest, mixdown, self._facts):
            if self._on_block is not None:
                self._on_block()
            yield block


def _waveforms(pieces: Pieces, config: PrepareConfig, band_power: BandPower) -> Iterator[tuple[int, FloatArray]]:
    for start, piece in pieces():
        band_power.add(mel_spectrogram(config.front_end).power(piece))
        yield start, np.divide(quantized(piece), FULL_SCALE, dtype=np.float32)


def _mels(pieces: Pieces, config: PrepareConfig, band_power: BandPower) -> Iterator[tuple[int, FloatArray]]:
    front_end = config.front_end
    for start, power, reference in _with_reference(pieces, front_end):
        band_power.add(power)
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
            if len(in_memory) > MAX_SPECTROGRAMS or len(in_memory) * power.size > MAX_VALUES:
                in_memory = None
    yield from ((start, power, loudest) for start, power in (powers() if in_memory is None else in_memory))


def _stfts(pieces: Pieces, config: PrepareConfig, band_power: BandPower) -> Iterator[tuple[int, FloatArray]]:
    for start, waveform in _waveforms(pieces, config, band_power):
        yield start, power_stft(waveform[None])[0]


INPUTS: dict[Input, Callable[[Pieces, PrepareConfig, BandPower], Iterator[tuple[int, FloatArray]]]] = {
    "mel": _mels,
    "waveform": _waveforms,
    "stft": _stfts,
}
"""The function that computes each input from the fragments of a track, and adds up the power in their mel bands."""


def _batches(fragments: Iterator[tuple[int, FloatArray]]) -> Iterator[tuple[list[int], FloatArray]]:
    for start, values in fragments:
        at_once = max(1, min(BATCH, MAX_VALUES // values.size))
        batch = [(start, values), *islice(fragments, at_once - 1)]
        yield [start for start, _ in batch], np.stack([values for _, values in batch])
