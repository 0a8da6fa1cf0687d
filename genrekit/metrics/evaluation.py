"""Results of an evaluation: models, comparisons and ties."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from genrekit.data.collection import SkippedFile
from genrekit.metrics.accuracy import GenreFigures
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import LevelFigures


@dataclass(frozen=True)
class ModelFigures:
    """Results of one model on labelled tracks. `confusion[i][j]` counts tracks of genre i predicted as genre j.

    If the tracks come from a folder, `unknown_genres` counts the tracks of genres that the model does not have, which
    are left out, and `missing_genres` are genres of the model without a track in the folder.
    """

    bundle: Path
    fragments: int
    tracks: int
    left_out: int
    split: str
    validation_track_accuracy: float
    fragment_accuracy: Interval
    track_accuracy: Interval
    macro_f1: Interval
    resampled: str
    per_genre: tuple[GenreFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    genres: tuple[str, ...]
    fragment_figures: LevelFigures
    track_figures: LevelFigures
    unknown_genres: dict[str, int] = field(default_factory=dict)
    missing_genres: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model: its folder, or the run if the folder is the `best` of a run."""
        return self.bundle.parent.name if self.bundle.name == "best" and self.bundle.parent.name else self.bundle.name


@dataclass(frozen=True)
class EvaluateResult:
    """All models on the same labelled tracks, ordered by their validation rank.

    `readings` counts how often the test set has been used; it is None for a folder. `comparisons` are between the first
    model of each split, or of a folder, and the others. `ties` are the models that do not differ significantly from it.
    """

    models: tuple[ModelFigures, ...]
    readings: int | None
    warnings: tuple[str, ...] = ()
    comparisons: tuple[PairedFigures, ...] = ()
    ties: tuple[Path, ...] = ()
    data: Path | None = None
    skipped: tuple[SkippedFile, ...] = ()
    out: Path | None = None
    report: Path | None = None
