"""Transform a track from its file to the tensors that a cache stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.audio.augment import augmented_fragment, draw_strengths, pitch_shift, time_stretch, variant_generator
from genrekit.audio.decode import Probe, decode, normalize_waveform, resampled_length
from genrekit.audio.features import mel_spectrogram, to_unit_db
from genrekit.audio.fingerprint import LANDMARKS, landmarks
from genrekit.audio.fragments import cut, fragment_starts
from genrekit.config import AUGMENTATIONS, FeatureConfig, PrepareConfig


@dataclass(frozen=True)
class TrackTensors:
    """The rows of one track, ordered by fragment and then by variant.

    `tensors` has the stored inputs: waveform int16 [rows, n_samples], mel [rows, n_mels, n_frames] in [0, 1]. `start_s`
    is float64 [rows], `variant` uint8 [rows], an index into the variants. `strength` is float32 [rows, kinds], the
    strength of each augmentation, NaN if it was not applied. `landmark` is uint64 [rows, 48], and 0 except for
    originals.
    """

    digest: str
    tensors: dict[str, npt.NDArray[Any]]
    start_s: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint8]
    strength: FloatArray
    landmark: npt.NDArray[np.uint64]
    silent: bool


FULL_SCALE = 32_767
"""The divisor of stored waveforms."""


def expected_rows(header: Probe, config: PrepareConfig) -> int:
    """Return the number of rows of a track if its header is correct."""
    front_end = config.front_end
    length = resampled_length(header.frames, header.sample_rate, front_end.sample_rate)
    return len(fragment_starts(length, front_end.n_samples, config.fragments)) * len(config.augmentation.variants)


def transform_track(track_id: str, path: Path, config: PrepareConfig) -> TrackTensors:
    """Decode a track and compute the rows of all its fragments and variants.

    Errors: UnreadableAudioError with the reason.
    """
    front_end, augmentation = config.front_end, config.augmentation
    decoded = decode(path, front_end.sample_rate)
    waveform = normalize_waveform(decoded.waveform, front_end.normalization)
    starts = fragment_starts(len(waveform), front_end.n_samples, config.fragments)
    shape = (len(starts), len(augmentation.variants))
    stored = {kind: np.empty((*shape, *front_end.shape(kind)), config.dtype(kind)) for kind in config.inputs}
    strengths = np.full((*shape, len(AUGMENTATIONS)), np.nan, np.float32)
    marks = np.zeros((*shape, LANDMARKS), np.uint64)
    for column, variant in enumerate(augmentation.variants):
        pieces, strengths[:, column] = _variant(waveform, starts, variant, track_id, config)
        if "waveform" in stored:
            for fragment, piece in enumerate(pieces):
                stored["waveform"][fragment, column] = quantized(piece)
        if "mel" in stored or variant == "original":
            units = unit_mels(pieces, front_end)
            if "mel" in stored:
                stored["mel"][:, column] = units
            if variant == "original":
                marks[:, column] = [landmarks(unit) for unit in units]
    rows = shape[0] * shape[1]
    return TrackTensors(
        digest=decoded.digest,
        tensors={kind: values.reshape(rows, *front_end.shape(kind)) for kind, values in stored.items()},
        start_s=np.repeat(np.array(starts) / front_end.sample_rate, shape[1]),
        variant=np.tile(np.arange(shape[1], dtype=np.uint8), shape[0]),
        strength=strengths.reshape(rows, -1),
        landmark=marks.reshape(rows, -1),
        silent=not waveform.any(),
    )


def _variant(
    waveform: FloatArray, starts: Sequence[int], variant: str, track_id: str, config: PrepareConfig
) -> tuple[list[FloatArray], FloatArray]:
    """Return one variant of all fragments of a track, and its strengths [fragments, kinds]."""
    front_end, augmentation = config.front_end, config.augmentation
    strengths = np.full((len(starts), len(AUGMENTATIONS)), np.nan, np.float32)
    if variant == "original":
        return [cut(waveform, start, front_end.n_samples) for start in starts], strengths
    pieces = []
    for fragment, start in enumerate(starts):
        generator = variant_generator(augmentation.augment_seed, track_id, fragment, variant)
        drawn = draw_strengths(variant, augmentation, generator)
        strengths[fragment] = [drawn.get(kind, np.nan) for kind in AUGMENTATIONS]
        pieces.append(augmented_fragment(waveform, start, front_end.n_samples, drawn, front_end.sample_rate, generator))
    return pieces, strengths


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
    powers = [mel_spectrogram(front_end).power(fragment) for fragment in fragments]
    peaks = [float(power.max()) for power in powers]
    references = peaks if front_end.db_reference == "fragment" else [max(peaks)] * len(peaks)
    return np.stack(
        [to_unit_db(power, reference, front_end.top_db) for power, reference in zip(powers, references, strict=True)]
    )
