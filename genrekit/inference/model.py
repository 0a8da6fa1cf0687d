"""A trained model for predictions from Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genrekit._types import AnyPath
from genrekit.config import PredictConfig
from genrekit.inference.prediction import FilePrediction, predict_file
from genrekit.models.bundle import Bundle, load_bundle


@dataclass(frozen=True)
class GenreModel(Bundle):
    """A loaded bundle that predicts the genres of audio files."""

    def predict(self, path: AnyPath, **values: Any) -> FilePrediction:
        """Predict the genre of an audio file; `values` are fields of `PredictConfig`.

        Errors: UnreadableAudioError for a file that cannot be decoded, UsageError for an invalid value.
        """
        return predict_file(self, path, PredictConfig.of(values))


def load_model(path: AnyPath) -> GenreModel:
    """Load a bundle for predictions.

    Errors: BundleError if a file is missing or damaged, or does not hold the model that the JSON describes.
    """
    bundle = load_bundle(path)
    return GenreModel(bundle.path, bundle.metadata, bundle.model)
