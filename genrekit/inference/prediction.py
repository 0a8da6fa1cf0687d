"""The predictions of a bundle for an audio file or a waveform."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from genrekit._types import AnyPath, FloatArray
from genrekit.audio.bandwidth import outside
from genrekit.audio.decode import SHORTEST_S
from genrekit.audio.mixdown import mixed
from genrekit.audio.resample import resample
from genrekit.config import PredictConfig
from genrekit.data.genre_names import is_other
from genrekit.errors import BundleError, GenrekitError, UsageError
from genrekit.inference.streaming import FragmentBatches, Recording, fragment_batches
from genrekit.models import device_of
from genrekit.models.bundle import Bundle


@dataclass(frozen=True)
class FragmentPrediction:
    """The most probable genre of one fragment; None, with the probability 0, if it is silent."""

    start_s: float
    genre: str | None
    probability: float


@dataclass(frozen=True)
class FilePrediction:
    """The most probable genre of a file, by the mean probabilities over its fragments, and that of each fragment.

    `confident` is false if the genre's probability is below `min_confidence`. `tagged` is the file into whose metadata
    the genre was written. `notes` say what is unusual about the file, for example that a part of it is damaged.

    - `silent`: nothing sounds in the file. Then it has no `genre`, all genres have the same probability, and it is not
      `confident`. Silent fragments of other files do not count.
    - `rejected`: the most probable genre is `other`, so the file has none of the genres that the model was trained on.
    - `padded`: the file is shorter than a fragment.
    - `cancelled`: its channels cancel, so one of them was used.
    - `bandwidth_hz`: the highest frequency with a considerable level. `unusual_bandwidth` is true if the model was
      trained on tracks of clearly other bandwidths.

    >>> prediction = FilePrediction(Path("song.mp3"), "rock", {"jazz": 0.2, "rock": 0.8}, fragments=())
    >>> prediction.ranked
    [('rock', 0.8), ('jazz', 0.2)]
    """

    path: Path
    genre: str | None
    probabilities: dict[str, float]
    fragments: tuple[FragmentPrediction, ...]
    duration_s: float = 0.0
    confident: bool = True
    tagged: Path | None = None
    silent: bool = False
    rejected: bool = False
    padded: bool = False
    cancelled: bool = False
    bandwidth_hz: float | None = None
    unusual_bandwidth: bool = False
    notes: tuple[str, ...] = ()

    @property
    def probability(self) -> float:
        """The probability of the most probable genre; 0 if the file is silent."""
        return 0.0 if self.genre is None else self.probabilities[self.genre]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Genres with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


_DEFAULTS = PredictConfig()
_NO_LOCK = nullcontext()
_MIN_RATE, _MAX_RATE = 1_000, 1_000_000
"""Sample rates in Hz, the same as for files."""


def probabilities(bundle: Bundle, inputs: FloatArray) -> list[list[float]]:
    """Predict the probabilities of the genres for some fragments; the model may be on any device.

    Returns lists, not an array: a small array kept from each batch would keep the batch's large block of memory in use.
    Shapes: float32 [fragments, *shape] to [fragments][n_genres].
    """
    with torch.inference_mode():
        logits = bundle.model(torch.from_numpy(inputs).to(device_of(bundle.model))).cpu()
    return logits.double().softmax(dim=1).tolist()


def predict_file(
    bundle: Bundle,
    path: AnyPath,
    config: PredictConfig = _DEFAULTS,
    *,
    device_lock: AbstractContextManager[Any] = _NO_LOCK,
    on_block: Callable[[], None] | None = None,
) -> FilePrediction:
    """Predict the genre of a file by the mean probabilities over its fragments; the model may be on any device.

    `device_lock` is held while the model computes. `on_block` is called for each decoded block of the file and may
    raise an exception to stop.
    Errors: UnreadableAudioError with the reason, UsageError if fragments would leave gaps, BundleError if the model's
    outputs are not finite, GenrekitError if the bundle has no confidence threshold and one is needed.
    """
    front_end, genres = bundle.metadata.prepare.front_end, bundle.metadata.genres
    hop, least = _hop(bundle, config), min_confidence_of(bundle, config)
    recording = Recording(Path(path), front_end.sample_rate, on_block=on_block)
    fragments = recording.fragments(bundle.metadata.prepare, bundle.metadata.train.input, hop)
    starts, rows = _predict(bundle, fragments, str(path), device_lock)
    mean = _mean(rows)
    predicted = [
        *((start, genres[int(row.argmax())], float(row.max())) for start, row in zip(starts, rows, strict=True)),
        *((start, None, 0.0) for start in fragments.silent_starts),
    ]
    genre = genres[int(mean.argmax())] if starts else None
    silent, bandwidth_hz = not starts, fragments.band_power.bandwidth_hz
    return FilePrediction(
        path=Path(path),
        genre=genre,
        probabilities=dict(zip(genres, mean.tolist(), strict=True)),
        fragments=tuple(
            FragmentPrediction(start / front_end.sample_rate, genre, probability)
            for start, genre, probability in sorted(predicted, key=lambda fragment: fragment[0])
        ),
        duration_s=fragments.duration_s,
        confident=not silent and bool(mean.max() >= least),
        silent=silent,
        rejected=is_other(genre),
        padded=fragments.padded,
        cancelled=recording.cancelled,
        bandwidth_hz=bandwidth_hz or None,
        unusual_bandwidth=outside(bandwidth_hz, bundle.metadata.bandwidth_hz),
        notes=recording.notes,
    )


def predict_waveform(bundle: Bundle, waveform: FloatArray, sample_rate: float, config: PredictConfig) -> FloatArray:
    """Predict the probabilities of the genres for a mono waveform, which counts as a whole track.

    They are all the same if it is silent.
    Shapes: float32 [n_samples] to float32 [n_genres].
    Errors: UsageError if it is shorter than 0.1 s or its samples are too large, BundleError if the model's outputs are
    not finite.
    """
    if len(waveform) < SHORTEST_S * sample_rate:
        raise UsageError(f"waveform must last at least {SHORTEST_S} s, got {len(waveform) / sample_rate:.3g} s")
    resampled = resample(waveform, sample_rate, bundle.metadata.prepare.front_end.sample_rate)
    if not np.isfinite(resampled).all():
        raise UsageError("waveform has samples that are too large to resample: scale it to [-1, 1]")
    fragments = fragment_batches(
        lambda: iter([resampled]), bundle.metadata.prepare, bundle.metadata.train.input, _hop(bundle, config)
    )
    _, rows = _predict(bundle, fragments, "the waveform", _NO_LOCK)
    return _mean(rows).astype(np.float32)


def as_mono_batch(waveform: npt.ArrayLike, sample_rate: float) -> FloatArray:
    """Check the arguments of `predict_proba`, and return a batch of mono waveforms.

    Shapes: [n_samples], [B, n_samples] or [B, n_channels, n_samples] to float32 [B, n_samples].
    Errors: UsageError that names the argument and its value.

    >>> as_mono_batch(np.array([[[0.0, 1.0], [1.0, 0.0]]]), 22_050)
    array([[0.5, 0.5]], dtype=float32)
    """
    samples = np.asarray(waveform)
    if not np.issubdtype(samples.dtype, np.floating):
        raise UsageError(f"waveform must have floating-point samples in [-1, 1], got {samples.dtype}")
    if samples.ndim not in (1, 2, 3):
        raise UsageError(
            "waveform must have the shape [n_samples], [B, n_samples] or [B, n_channels, n_samples], "
            f"got {list(samples.shape)}"
        )
    if samples.size == 0:
        raise UsageError(f"waveform must not be empty, got the shape {list(samples.shape)}")
    if not np.isfinite(samples).all():
        raise UsageError("waveform must have finite samples, got NaN or infinity")
    if not _MIN_RATE <= sample_rate <= _MAX_RATE:
        raise UsageError(f"sample_rate must be in {_MIN_RATE}..{_MAX_RATE} Hz, got {sample_rate}")
    mono = np.stack([mixed(channels) for channels in samples]) if samples.ndim == 3 else samples
    return np.atleast_2d(mono).astype(np.float32)


def min_confidence_of(bundle: Bundle, config: PredictConfig) -> float:
    """Return the minimum probability of a confident prediction; for auto, it is that of the bundle.

    Errors: GenrekitError if the bundle has none.
    """
    if config.min_confidence != "auto":
        return config.min_confidence
    if bundle.metadata.confidence_threshold is None:
        raise GenrekitError(
            f"{bundle.path} has no confidence threshold for --min-confidence auto: train it again, or give a number"
        )
    return bundle.metadata.confidence_threshold


def _hop(bundle: Bundle, config: PredictConfig) -> int:
    """Samples from the start of one fragment to the next."""
    front_end = bundle.metadata.prepare.front_end
    if config.hop_seconds is None:
        return front_end.n_samples
    hop = max(1, round(config.hop_seconds * front_end.sample_rate))
    if hop > front_end.n_samples:
        raise UsageError(
            f"hop_seconds must be at most the length of this model's fragments ({front_end.duration_s:g} s), "
            f"got {config.hop_seconds:g}"
        )
    return hop


def _predict(
    bundle: Bundle, fragments: FragmentBatches, source: str, device_lock: AbstractContextManager[Any]
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Starts of the fragments in samples, and their probabilities, [fragments, n_genres]."""
    starts: list[int] = []
    rows: list[list[float]] = []
    for batch_starts, inputs in fragments.batches:
        with device_lock:
            rows += probabilities(bundle, inputs)
        starts += batch_starts
    result = np.array(rows).reshape(len(rows), len(bundle.metadata.genres))
    if not np.isfinite(result).all():
        raise BundleError(
            f"{bundle.path} gives no finite probabilities for {source}: its weights are too large; train it again"
        )
    return starts, result


def _mean(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean probabilities over fragments; without fragments, all genres have the same."""
    return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1], 1 / rows.shape[1])
