"""Transform a track from its file to the tensors that a cache stores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.audio.augment import (
    Waveform,
    augmented_fragment,
    draw_strengths,
    pitch_shift,
    time_stretch,
    variant_generator,
)
from genrekit.audio.bandwidth import BandPower
from genrekit.audio.decode import LongAudioError, Probe, decode, resampled_length
from genrekit.audio.features import mel_spectrogram, to_unit_db
from genrekit.audio.fingerprint import LANDMARKS, landmarks
from genrekit.audio.fragments import cut, fragment_starts, lengthened
from genrekit.audio.level import normalize_waveform
from genrekit.audio.silence import SILENT, is_silent
from genrekit.config import AUGMENTATIONS, FeatureConfig, PrepareConfig
from genrekit.errors import UnreadableAudioError


@dataclass(frozen=True)
class SignalFacts:
    """What is unusual about the audio of a track.

    - `padded`: it is shorter than a fragment.
    - `cancelled`: its channels cancel, so one of them was used.
    - `silent_fragments`: the number of fragments that were left out.
    - `bandwidth_hz`: 0 if it is not known.
    """

    padded: bool = False
    cancelled: bool = False
    silent_fragments: int = 0
    bandwidth_hz: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one track, ordered by fragment and then by variant.

    `tensors` has the stored inputs: waveform int16 [rows, n_samples], mel [rows, n_mels, n_frames] in [0, 1]. `start_s`
    is float64 [rows], `variant` uint8 [rows], an index into the variants. `strength` is float32 [rows, kinds], the
    strength of each augmentation, NaN if it was not applied. `landmark` is uint64 [rows, 48], and 0 except for
    originals. Silent fragments have no rows.
    """

    tensors: dict[str, npt.NDArray[Any]]
    start_s: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint8]
    strength: FloatArray
    landmark: npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class TrackTensors(Rows):
    """All rows of one track, and what is known about it. `notes` and `decoder` are those of `Decoded`."""

    digest: str
    facts: SignalFacts
    notes: tuple[str, ...] = ()
    decoder: str = ""


LONGEST_WHOLE = 600 * 48_000
"""Samples of the longest waveform that is transformed as a whole: ten minutes at 48 kHz, which are 115 MB."""

MOST_ROW_BYTES = 256 << 20
"""Bytes of the stored inputs of a track that is transformed as a whole."""

FULL_SCALE = 32_767
"""The divisor of stored waveforms."""


def expected_rows(header: Probe, config: PrepareConfig) -> int:
    """Return the number of rows of a track if its header is correct."""
    front_end = config.front_end
    length = resampled_length(header.frames, header.sample_rate, front_end.sample_rate)
    return len(fragment_starts(length, front_end.n_samples, config.fragments)) * len(config.augmentation.variants)


def row_bytes(config: PrepareConfig) -> int:
    """Return the bytes of the stored inputs of one row."""
    return sum(
        np.dtype(config.dtype(kind)).itemsize * math.prod(config.front_end.shape(kind)) for kind in config.inputs
    )


def transform_track(track_id: str, path: Path, config: PrepareConfig) -> TrackTensors:
    """Decode a track and compute the rows of all its fragments and variants.

    Errors: UnreadableAudioError with the reason, also if all fragments are silent; LongAudioError if the track or its
    rows take too much memory as a whole. `long_track` computes the same rows in passes.
    """
    front_end, augmentation = config.front_end, config.augmentation
    decoded = decode(path, front_end.sample_rate, most_samples=LONGEST_WHOLE)
    every = fragment_starts(len(decoded.waveform), front_end.n_samples, config.fragments)
    starts = [start for start in every if not is_silent(decoded.waveform[start : start + front_end.n_samples])]
    if not starts:
        raise UnreadableAudioError(SILENT)
    if len(starts) * len(augmentation.variants) * row_bytes(config) > MOST_ROW_BYTES:
        raise LongAudioError
    normalized = normalize_waveform(decoded.waveform, front_end.normalization)
    waveform = lengthened(normalized, front_end.n_samples, front_end.pad)
    shape = (len(starts), len(augmentation.variants))
    stored = {kind: np.empty((*shape, *front_end.shape(kind)), config.dtype(kind)) for kind in config.inputs}
    strengths = np.full((*shape, len(AUGMENTATIONS)), np.nan, np.float32)
    marks, band_power = np.zeros((*shape, LANDMARKS), np.uint64), BandPower(front_end, len(decoded.waveform))
    for column, variant in enumerate(augmentation.variants):
        pieces, strengths[:, column] = _variant(waveform, starts, variant, track_id, config)
        if "waveform" in stored:
            for fragment, piece in enumerate(pieces):
                stored["waveform"][fragment, column] = quantized(piece)
        if "mel" in stored or variant == "original":
            powers = mel_powers(pieces, front_end)
            units = unit_mels_of(powers, front_end)
            if "mel" in stored:
                stored["mel"][:, column] = units
            if variant == "original":
                marks[:, column] = [landmarks(unit) for unit in units]
                for power in powers:
                    band_power.add(power)
    rows = shape[0] * shape[1]
    return TrackTensors(
        digest=decoded.digest,
        tensors={kind: values.reshape(rows, *front_end.shape(kind)) for kind, values in stored.items()},
        start_s=np.repeat(np.array(starts) / front_end.sample_rate, shape[1]),
        variant=np.tile(np.arange(shape[1], dtype=np.uint8), shape[0]),
        strength=strengths.reshape(rows, -1),
        landmark=marks.reshape(rows, -1),
        facts=SignalFacts(
            padded=len(decoded.waveform) < front_end.n_samples,
            cancelled=decoded.cancelled,
            silent_fragments=len(every) - len(starts),
            bandwidth_hz=band_power.bandwidth_hz,
        ),
        notes=decoded.notes,
        decoder=decoded.decoder,
    )


def _variant(
    waveform: FloatArray, starts: Sequence[int], variant: str, track_id: str, config: PrepareConfig
) -> tuple[list[FloatArray], FloatArray]:
    """Return one variant of all fragments of a track, and its strengths [fragments, kinds]."""
    front_end = config.front_end
    strengths = np.full((len(starts), len(AUGMENTATIONS)), np.nan, np.float32)
    if variant == "original":
        return [cut(waveform, start, front_end.n_samples) for start in starts], strengths
    pieces = []
    for fragment, start in enumerate(starts):
        piece, strengths[fragment] = augmented_piece(waveform, start, fragment, variant, track_id, config)
        pieces.append(piece)
    return pieces, strengths


def augmented_piece(
    waveform: Waveform, start: int, fragment: int, variant: str, track_id: str, config: PrepareConfig
) -> tuple[FloatArray, list[float]]:
    """Return an augmented variant of the fragment with a number and a start, and the strength of each kind."""
    front_end, augmentation = config.front_end, config.augmentation
    generator = variant_generator(augmentation.augment_seed, track_id, fragment, variant)
    drawn = draw_strengths(variant, augmentation, generator)
    piece = augmented_fragment(waveform, start, front_end.n_samples, drawn, front_end.sample_rate, generator)
    return piece, [drawn.get(kind, np.nan) for kind in AUGMENTATIONS]


def quantized(waveform: FloatArray) -> npt.NDArray[np.int16]:
    """Convert a waveform in [-1, 1] to the stored form, int16 to be divided by 32,767."""
    scaled = waveform * np.float32(FULL_SCALE)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE, out=scaled).astype(np.int16)


def altered_waveform(stored: npt.NDArray[np.int16], tempo: float, semitones: float) -> npt.NDArray[np.int16]:
    """Return a stored fragment at `tempo` times the speed, and then shifted by `semitones`.

    A faster fragment ends in silence, a slower one is cut. A result that exceeds 1 is scaled down.
    Shapes: int16 [n_samples] to int16 [n_samples].
    """
    changed: FloatArray = stored.astype(np.float32) / np.float32(FULL_SCALE)
    if tempo != 1:
        changed = time_stretch(changed, tempo)
    if semitones:
        changed = pitch_shift(changed, semitones)
    changed = cut(changed, 0, len(stored))
    peak = np.abs(changed).max(initial=0)
    return quantized(changed / peak if peak > 1 else changed)


def unit_mels(fragments: Sequence[FloatArray], front_end: FeatureConfig) -> FloatArray:
    """Return mel spectrograms of a track's fragments, in dB below the loudest value, mapped to [0, 1].

    The loudest value is that of all these fragments, or of each fragment, as `db_reference` says.
    Shapes: float32 [n_samples] each, to float32 [fragments, n_mels, n_frames].
    """
    return unit_mels_of(mel_powers(fragments, front_end), front_end)


def mel_powers(fragments: Sequence[FloatArray], front_end: FeatureConfig) -> list[FloatArray]:
    """Return the mel power of each fragment, float32 [n_mels, n_frames]."""
    return [mel_spectrogram(front_end).power(fragment) for fragment in fragments]


def unit_mels_of(powers: Sequence[FloatArray], front_end: FeatureConfig) -> FloatArray:
    """Return the mel spectrograms of `unit_mels` from the mel powers of a track's fragments."""
    peaks = [float(power.max()) for power in powers]
    references = peaks if front_end.db_reference == "fragment" else [max(peaks)] * len(peaks)
    return np.stack(
        [to_unit_db(power, reference, front_end.top_db) for power, reference in zip(powers, references, strict=True)]
    )
