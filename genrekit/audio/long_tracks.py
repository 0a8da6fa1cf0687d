"""Transform a track of any length in passes over blocks of its waveform, with the results of `transform_track`.

The level of a track, its digest and its loudest spectrum are known only at its end. So a long track is decoded three
times: for its level and digest, for the loudest value of each variant and the number of rows, and for the rows. The
memory does not depend on its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.audio.augment import Waveform, earliest_sample
from genrekit.audio.bandwidth import BandPower
from genrekit.audio.block_window import BlockWindow
from genrekit.audio.decode import AudioDigest, FileFacts, stream
from genrekit.audio.features import mel_spectrogram, to_unit_db
from genrekit.audio.fingerprint import LANDMARKS, landmarks
from genrekit.audio.fragments import cut, fragment_starts, lengthened
from genrekit.audio.level import Extent, Level
from genrekit.audio.mixdown import Mixdown
from genrekit.audio.silence import SILENT, is_silent
from genrekit.audio.transform import Rows, SignalFacts, augmented_piece, quantized
from genrekit.config import AUGMENTATIONS, PrepareConfig
from genrekit.errors import UnreadableAudioError


@dataclass(frozen=True)
class Row:
    """One row of a track, with the fields of `Rows` without their first dimension."""

    tensors: dict[str, npt.NDArray[Any]]
    start_s: float
    variant: int
    strength: FloatArray
    landmark: npt.NDArray[np.uint64]


def stacked_rows(rows: Sequence[Row]) -> Rows:
    """Join some rows of a track."""
    return Rows(
        tensors={kind: np.stack([row.tensors[kind] for row in rows]) for kind in rows[0].tensors},
        start_s=np.array([row.start_s for row in rows]),
        variant=np.array([row.variant for row in rows], np.uint8),
        strength=np.stack([row.strength for row in rows]),
        landmark=np.stack([row.landmark for row in rows]),
    )


@dataclass(frozen=True)
class LongTrack:
    """A track whose rows are computed one after another. The fields are those of `TrackTensors`.

    `rows` starts a pass that yields `n_rows` rows, unless the file changes.
    """

    digest: str
    n_rows: int
    rows: Callable[[], Iterator[Row]]
    facts: SignalFacts
    notes: tuple[str, ...]
    decoder: str


def long_track(track_id: str, path: Path, config: PrepareConfig) -> LongTrack:
    """Decode a track twice, and return what is known about it then.

    Errors: UnreadableAudioError with the reason, also if all fragments are silent.
    """
    variants, passes = config.augmentation.variants, _Passes(track_id, path, config)
    references = np.zeros(len(variants))
    band_power, sounding = BandPower(config.front_end, passes.level.n_samples), 0
    needs_all = "mel" in config.inputs and config.front_end.db_reference == "track"
    for fragment in passes.fragments():
        sounding += 1
        for number in range(len(variants) if needs_all else 1):
            power = mel_spectrogram(config.front_end).power(fragment.variant(number)[0])
            references[number] = max(references[number], float(power.max()))
            if number == 0:
                band_power.add(power)
    if not sounding:
        raise UnreadableAudioError(SILENT)
    return LongTrack(
        digest=passes.digest,
        n_rows=sounding * len(variants),
        rows=lambda: _rows(passes, references.tolist()),
        facts=SignalFacts(
            padded=passes.level.n_samples < config.front_end.n_samples,
            cancelled=passes.cancelled,
            silent_fragments=len(passes.starts) - sounding,
            bandwidth_hz=band_power.bandwidth_hz,
        ),
        notes=passes.facts.notes,
        decoder=passes.facts.decoder,
    )


@dataclass(frozen=True)
class _Fragment:
    """A fragment of a track that is not silent: its number, its start in samples, and the track's waveform."""

    number: int
    start: int
    waveform: Waveform
    track_id: str
    config: PrepareConfig

    def variant(self, number: int) -> tuple[FloatArray, FloatArray]:
        """Return the samples of a variant, and the strength of each augmentation."""
        variant = self.config.augmentation.variants[number]
        if variant == "original":
            n_samples = self.config.front_end.n_samples
            piece = cut(self.waveform[self.start : self.start + n_samples], 0, n_samples)
            return piece, np.full(len(AUGMENTATIONS), np.nan, np.float32)
        piece, strength = augmented_piece(self.waveform, self.start, self.number, variant, self.track_id, self.config)
        return piece, np.array(strength, np.float32)


@dataclass(frozen=True)
class _AtLevel:
    """A waveform in blocks, normalized where it is read."""

    window: BlockWindow
    level: Level

    def __len__(self) -> int:
        return len(self.window)

    def __getitem__(self, part: slice, /) -> FloatArray:
        return self.level.apply(self.window[part])


class _Passes:
    """What the first pass over a file finds, and further passes over its fragments."""

    def __init__(self, track_id: str, path: Path, config: PrepareConfig) -> None:
        self.track_id, self.path, self.config = track_id, path, config
        mixdown = Mixdown()
        extent = self._measure(mixdown)
        self._channel = mixdown.channel_to_use
        self.cancelled = self._channel is not None
        if self.cancelled:
            extent = self._measure(Mixdown(self._channel))
        front_end = config.front_end
        self.level = Level.of(self._blocks, front_end.normalization, extent)
        self.starts = fragment_starts(extent.n_samples, front_end.n_samples, config.fragments)

    def _measure(self, mixdown: Mixdown) -> Extent:
        digest, self.facts = AudioDigest(), FileFacts()
        extent = Extent.of(stream(self.path, self.config.front_end.sample_rate, digest, mixdown, self.facts))
        self.digest = digest.text
        return extent

    def _blocks(self) -> Iterator[FloatArray]:
        return stream(self.path, self.config.front_end.sample_rate, mixdown=Mixdown(self._channel))

    def fragments(self) -> Iterator[_Fragment]:
        """Yield the fragments that are not silent. Each can be used until the next one."""
        front_end, n_track = self.config.front_end, self.level.n_samples
        window = BlockWindow(self._blocks(), n_track)
        waveform: Waveform = _AtLevel(window, self.level)
        if n_track < front_end.n_samples:
            waveform = lengthened(waveform[0:n_track], front_end.n_samples, front_end.pad)
        number = 0
        for start in self.starts:
            window.forget(earliest_sample(start, front_end.n_samples, n_track, self.config.augmentation))
            if not is_silent(window[start : start + front_end.n_samples]):
                yield _Fragment(number, start, waveform, self.track_id, self.config)
                number += 1


def _rows(passes: _Passes, references: list[float]) -> Iterator[Row]:
    config = passes.config
    front_end = config.front_end
    for fragment in passes.fragments():
        for number in range(len(references)):
            piece, strength = fragment.variant(number)
            tensors: dict[str, npt.NDArray[Any]] = {}
            marks = np.zeros(LANDMARKS, np.uint64)
            if "waveform" in config.inputs:
                tensors["waveform"] = quantized(piece)
            if "mel" in config.inputs or number == 0:
                power = mel_spectrogram(front_end).power(piece)
                reference = float(power.max()) if front_end.db_reference == "fragment" else references[number]
                unit = to_unit_db(power, reference, front_end.top_db)
                if "mel" in config.inputs:
                    tensors["mel"] = unit.astype(config.mel_dtype)
                if number == 0:
                    marks = landmarks(unit)
            yield Row(tensors, fragment.start / front_end.sample_rate, number, strength, marks)
