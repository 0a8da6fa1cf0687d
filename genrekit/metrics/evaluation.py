"""Results of an evaluation: models, comparisons and ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from genrekit.data.collection import SkippedFile
from genrekit.data.genre_names import without_other
from genrekit.errors import counted, few
from genrekit.io.shown import ShownResult
from genrekit.metrics.accuracy import GenreFigures
from genrekit.metrics.intervals import Interval, too_few_clusters
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import LevelFigures
from genrekit.metrics.unknown import UnknownFigures


@dataclass(frozen=True)
class ModelFigures:
    """Results of one model on labelled tracks. `confusion[i][j]` counts tracks of genre i predicted as genre j.

    `clusters` is the number of artists, or of tracks, that the confidence intervals resample. If the tracks come from a
    folder, `unknown_genres` counts the tracks of genres that the model does not have, which are left out, and
    `missing_genres` are genres of the model without a track in the folder. `outside_data` names the pretrained network
    that a model uses; its training data may include these artists. `unknown` has the results for unknown audio, if
    some was given.
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
    clusters: int
    per_genre: tuple[GenreFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    genres: tuple[str, ...]
    fragment_figures: LevelFigures
    track_figures: LevelFigures
    unknown_genres: dict[str, int] = field(default_factory=dict)
    missing_genres: tuple[str, ...] = ()
    outside_data: str | None = None
    unknown: UnknownFigures | None = None

    @property
    def name(self) -> str:
        """Name of the model: its folder, or the run if the folder is the `best` of a run."""
        return self.bundle.parent.name if self.bundle.name == "best" and self.bundle.parent.name else self.bundle.name

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough artists or tracks for confidence intervals; otherwise they are 0 to 100 %."""
        return not too_few_clusters(self.clusters, self.tracks)

    @property
    def resampled_items(self) -> str:
        """What the confidence intervals resample, such as "20 tracks" or "the 5 artists of 20 tracks"."""
        tracks = counted(self.tracks, "track")
        return tracks if self.resampled == "tracks" else f"the {counted(self.clusters, 'artist')} of {tracks}"

    @property
    def marked_name(self) -> str:
        """The name in rankings, with a + if the model uses outside data."""
        return f"{self.name} +" if self.outside_data else self.name


@dataclass(frozen=True, repr=False)
class EvaluateResult(ShownResult):
    """All models on the same labelled tracks, ordered by their validation rank.

    `readings` counts how often the test set has been used; it is None for a folder. `comparisons` are between the first
    model of each group and the others of it. `ties` are the models that do not differ significantly from it.
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

    @property
    def groups(self) -> tuple[tuple[ModelFigures, ...], ...]:
        """The models that can be compared: those of a split, or of a folder those that know the same genres."""
        key = (lambda model: model.split) if self.data is None else (lambda model: without_other(model.genres))
        return tuple(tuple(members) for _, members in groupby(self.models, key=key))

    def source(self, group: Sequence[ModelFigures]) -> str:
        """Where the tracks of a group come from, such as "the test set (artist, seed 0 split)"."""
        if self.data is None:
            return f"the test set ({group[0].split} split)"
        several = len(self.groups) > 1
        return f"{self.data} (models of {few(sorted(without_other(group[0].genres)))})" if several else str(self.data)
