"""A synthetic evaluation for tests, with names that contain markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tiny_bundle import describe
from tiny_training import tiny_config

from genrekit.audio.encode import encoded
from genrekit.data.collection import SkippedFile
from genrekit.metrics.accuracy import per_genre_figures
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import Predictions, score
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.reports.model_section import Example, ModelStory
from genrekit.reports.plots import spectrogram_png

SCRIPT = "<script>alert(1)</script>"
HARMFUL = f'jazz/{SCRIPT}"><img src=x onerror=alert(2)>'
GENRES = ("blues", f"j&zz {SCRIPT}", "rock|'roll\"")


def predictions(seed: int = 0, tracks: int = 30, genres: int = len(GENRES)) -> Predictions:
    """Predictions for two fragments per track; the last genres are predicted correctly most often."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(tracks) % genres, 2)
    probabilities = generator.dirichlet(np.ones(genres), 2 * tracks) + np.diag(np.linspace(0.1, 0.5, genres))[truth]
    return Predictions(probabilities / probabilities.sum(axis=1, keepdims=True), truth, np.arange(2 * tracks) // 2, 0.8)


def figures(
    name: str, seed: int = 0, genres: tuple[str, ...] = GENRES, split: str = "track, seed 0", **values: Any
) -> ModelFigures:
    """Scores of these predictions."""
    scores = score(predictions(seed, genres=len(genres)), {track: str(track) for track in range(30)})
    return ModelFigures(
        bundle=Path("best_models") / name,
        fragments=60,
        tracks=30,
        left_out=0,
        split=split,
        validation_track_accuracy=0.75,
        fragment_accuracy=scores.fragment_accuracy,
        track_accuracy=scores.track_accuracy,
        macro_f1=scores.macro_f1,
        resampled="tracks",
        clusters=30,
        per_genre=per_genre_figures(scores.confusion, genres),
        confusion=scores.tracks.confusion,
        genres=genres,
        fragment_figures=scores.fragments,
        track_figures=scores.tracks,
        **values,
    )


def metadata(**values: Any) -> BundleMetadata:
    """Metadata of a network with five epochs."""
    history = [Epoch(n, 0.01, 2.0 / n, 1 - 0.8 / n, 2.1 / n, 1 - 0.9 / n, 1 - 0.85 / n, 1.5) for n in range(1, 6)]
    return describe(tiny_config(), history=history, **values)


def example(track: str = HARMFUL) -> Example:
    """A mistake with the sound of one second of a tone."""
    tone: npt.NDArray[np.float32] = np.sin(np.arange(8_000) * 0.3).astype(np.float32) * np.float32(0.3)
    picture = spectrogram_png(np.linspace(0, 1, 16 * 20, dtype=np.float32).reshape(16, 20))
    return Example(track, "blues", GENRES[1], 0.93, 5.0, picture, encoded(tone, 8_000))


def evaluation(**values: Any) -> EvaluateResult:
    """Two models that are a tie, and a skipped file."""
    first, second = figures("first"), figures(f"second{SCRIPT}".replace("/", "-"), 1)
    pair = PairedFigures(first.bundle, second.bundle, 30, 30, Interval(0.1, -0.05, 0.25), 0.2, 0.2, tie=True)
    skipped = (SkippedFile(HARMFUL, f"not decodable {SCRIPT}"),)
    return EvaluateResult(
        (first, second), 2, (f"a warning {SCRIPT}",), (pair,), (second.bundle,), skipped=skipped, **values
    )


def stories(result: EvaluateResult) -> list[ModelStory]:
    """The sections of these models; only the first has examples."""
    return [
        ModelStory(
            model, metadata(), (example(), example("blues/b")) if index == 0 else (), ("genrekit prepare", SCRIPT)
        )
        for index, model in enumerate(result.models)
    ]
