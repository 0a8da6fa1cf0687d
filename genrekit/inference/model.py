"""A trained model for predictions from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from genrekit._types import AnyPath, FloatArray
from genrekit.config import PredictConfig
from genrekit.inference.prediction import FilePrediction, as_mono_batch, predict_file, predict_waveform
from genrekit.models.bundle import Bundle, load_bundle
from genrekit.training.devices import choose_device


@dataclass(frozen=True)
class GenreModel(Bundle):
    """A loaded bundle that predicts genres; `load_model` makes one.

    `model` is the torch module, `genres` the order of its outputs, and `metadata` describes how it was trained.
    Inputs of `model`: mel spectrograms [B, n_mels, n_frames], or waveforms [B, n_samples] if it was trained on those.
    """

    @property
    def genres(self) -> tuple[str, ...]:
        """Names of the genres, in the order of the probabilities of `predict_proba`."""
        return self.metadata.genres

    @overload
    def predict(  # type: ignore[overload-overlap] # a str is also a sequence of str
        self, paths: AnyPath, *, hop_seconds: float | None = None, min_confidence: float | Literal["auto"] = 0.0
    ) -> FilePrediction: ...

    @overload
    def predict(
        self,
        paths: Sequence[AnyPath],
        *,
        hop_seconds: float | None = None,
        min_confidence: float | Literal["auto"] = 0.0,
    ) -> list[FilePrediction]: ...

    def predict(
        self,
        paths: AnyPath | Sequence[AnyPath],
        *,
        hop_seconds: float | None = None,
        min_confidence: float | Literal["auto"] = 0.0,
    ) -> FilePrediction | list[FilePrediction]:
        """Predict the genre of one audio file, or of several, one after the other.

        Fragments start every `hop_seconds` (default: their length). A prediction whose probability is below
        `min_confidence` is not `confident`, and a silent file has no genre. "auto" is the threshold of the bundle,
        which 95 % of its validation tracks reach. Use `genrekit.predict` to process many files in parallel and to skip
        unreadable ones.

        Returns one prediction for a path, a list for several.
        Errors: UnreadableAudioError if a file cannot be decoded, UsageError for an invalid value, GenrekitError for
        "auto" if the bundle has no threshold.
        """
        config = PredictConfig.of({"hop_seconds": hop_seconds, "min_confidence": min_confidence})
        if isinstance(paths, (str, os.PathLike)):
            return predict_file(self, paths, config)
        return [predict_file(self, path, config) for path in paths]

    def predict_proba(
        self, waveform: npt.ArrayLike, sample_rate: float, *, hop_seconds: float | None = None
    ) -> FloatArray:
        """Predict the probabilities of the genres for waveforms in memory.

        Each waveform counts as a whole track: it is resampled, normalized and cut into fragments like a file, and the
        probabilities are means over its fragments that are not silent. If all are, all genres have the same
        probability. Samples are floating-point numbers, nominally in [-1, 1].

        Shapes: [n_samples] to [n_genres]; a batch [B, n_samples], or [B, n_channels, n_samples] whose channels are
        averaged (if they cancel, one is used), to [B, n_genres]. The result is float32 and each row sums to 1;
        `genres` names the columns.
        Pass one stereo track, [n_channels, n_samples], as `waveform[None]`.
        Errors: UsageError for another shape, NaN, integers, an empty waveform, or less than 0.1 s.

        Example: `model.predict_proba(samples, 44_100)`
        """
        config = PredictConfig.of({"hop_seconds": hop_seconds})
        batch = as_mono_batch(waveform, sample_rate)
        rows = np.stack([predict_waveform(self, samples, sample_rate, config) for samples in batch])
        return rows[0] if np.ndim(waveform) == 1 else rows


def load_model(path: AnyPath, *, device: str = "cpu", network: AnyPath | None = None) -> GenreModel:
    """Load a bundle for predictions, on a `device`: cpu, cuda, mps, or auto for the fastest available.

    `network` is the file of the network that computes its features, if the bundle does not carry it.

    Example: `load_model("best_models/cel3-mel-sgd-cosine-0.500").predict("song.mp3").genre`
    Errors: BundleError if a file is missing or damaged, or does not hold the model that the JSON describes.
    """
    bundle = load_bundle(path, network)
    bundle.model.to(choose_device(device))
    return GenreModel(bundle.path, bundle.metadata, bundle.model)
