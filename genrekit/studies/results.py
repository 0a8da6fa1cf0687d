"""The results of a study or a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genrekit.studies.findings import Finding
from genrekit.studies.optuna_trials import Trial
from genrekit.workflows.compare import CompareResult


@dataclass(frozen=True)
class StudyHead:
    """What a study is about, and its data.

    If splits or folds differ, training sets have from `training_tracks` to `most_training_tracks` tracks. `chance` is
    the accuracy of the majority-class baseline on the validation set.
    """

    name: str
    title: str
    question: str
    source: str
    notes: tuple[str, ...]
    command: str
    split: str
    training_tracks: int
    most_training_tracks: int
    validation_tracks: int
    resampled: str
    genres: tuple[str, ...]
    declared_seeds: int
    declared_epochs: int
    at: str = "last"
    chance: float = 0.0


@dataclass(frozen=True)
class SearchResult:
    """The trials of a search.

    `objective` is "track_accuracy" or "loss" at the best epoch of a trial. `space` describes the values of each
    hyperparameter, `importances` has its share of the objective's variance (empty if too few trials are finished).
    `finalists` are the names of the trials that were repeated.
    """

    objective: str
    declared: int
    trial_seeds: int
    sampler: str
    pruner: str
    space: dict[str, str]
    trials: tuple[Trial, ...]
    importances: dict[str, float]
    finalists: tuple[str, ...]


@dataclass(frozen=True)
class StudyResult(CompareResult):
    """The configurations of a study, ranked, and the findings about its hypotheses.

    The ties may include configurations that are not in the ranking, if the study shows only the best ones. `absent` are
    configurations without a complete seed. `search` describes the search that found the configurations.
    """

    study: str | None = None
    findings: tuple[Finding, ...] = ()
    head: StudyHead | None = None
    report: Path | None = None
    search: SearchResult | None = None
    absent: tuple[str, ...] = ()
