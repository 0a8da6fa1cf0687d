"""One track, from its file to the tensors that a cache stores or a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit.audio.augment import augmented_fragment, draw_strength, variant_generator
from genrekit.audio.decode import Probe, decode, normalize_waveform, resampled_length
from genrekit.audio.features import mel_spectrogram, to_unit_db
from genrekit.audio.fragments import cut, fragment_starts
from genrekit.config import FrontEnd, PrepareConfig
from genrekit.records import FloatArray, TrackTensors

FULL_SCALE = 32_767
"""What a stored waveform is divided by."""


def expected_rows(header: Probe, config: PrepareConfig) -> int:
    """Rows that a track will have if its header tells the truth."""
    front_end = config.front_end
    length = resampled_length(header.frames, header.sample_rate, front_end.sample_rate)
    return len(fragment_starts(length, front_end.n_samples, config.fragments)) * len(config.augmentation.variants)


def transform_track(track_id: str, path: Path, config: PrepareConfig) -> TrackTensors:
    """Decode a track and make the rows of all its fragments and variants.

    Errors: UnreadableAudioError with the reason.
    """
    front_end, augmentation = config.front_end, config.augmentation
    decoded = decode(path, front_end.sample_rate)
    waveform = normalize_waveform(decoded.waveform, front_end.normalization)
    starts = fragment_starts(len(waveform), front_end.n_samples, config.fragments)
    shape = (len(starts), len(augmentation.variants))
    waveforms = np.empty((*shape, front_end.n_samples), np.int16)
    mels = np.empty((*shape, front_end.n_mels, front_end.n_frames), np.float16)
    strengths = np.zeros(shape, np.float32)
    for column, variant in enumerate(augmentation.variants):
        pieces = []
        for fragment, start in enumerate(starts):
            if variant == "original":
                pieces.append(cut(waveform, start, front_end.n_samples))
                continue
            generator = variant_generator(augmentation.augment_seed, track_id, fragment, variant)
            strengths[fragment, column] = strength = draw_strength(variant, augmentation, generator)
            pieces.append(
                augmented_fragment(
                    waveform, start, front_end.n_samples, variant, strength, front_end.sample_rate, generator
                )
            )
        waveforms[:, column] = [quantized(piece) for piece in pieces]
        mels[:, column] = unit_mels(pieces, front_end)
    rows = shape[0] * shape[1]
    return TrackTensors(
        digest=decoded.digest,
        waveform=waveforms.reshape(rows, -1),
        mel=mels.reshape(rows, front_end.n_mels, front_end.n_frames),
        start_s=np.repeat(np.array(starts) / front_end.sample_rate, shape[1]),
        variant=np.tile(np.arange(shape[1], dtype=np.uint8), shape[0]),
        strength=strengths.reshape(rows),
        silent=not waveform.any(),
    )


def quantized(waveform: FloatArray) -> npt.NDArray[np.int16]:
    """A waveform in [-1, 1] as it is stored: 16 bits, to be divided by 32,767."""
    return np.rint(np.clip(waveform, -1, 1) * np.float32(FULL_SCALE)).astype(np.int16)


def unit_mels(fragments: Sequence[FloatArray], front_end: FrontEnd) -> npt.NDArray[np.float16]:
    """Mel spectrograms of a track's fragments, in dB below the loudest value, mapped to [0, 1].

    The loudest value is that of all these fragments, or each one's own, as the front end says.
    Shapes: float32 [n_samples] each, to float16 [fragments, n_mels, n_frames].
    """
    powers = [mel_spectrogram(front_end).power(fragment) for fragment in fragments]
    peaks = [float(power.max()) for power in powers]
    references = peaks if front_end.db_reference == "fragment" else [max(peaks)] * len(peaks)
    units = [
        to_unit_db(power, reference, front_end.top_db) for power, reference in zip(powers, references, strict=True)
    ]
    return np.stack(units).astype(np.float16)
