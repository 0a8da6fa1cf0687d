"""What the stages of genrekit exchange: frozen records whose field names are the keys of the JSON output."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

AnyPath = str | os.PathLike[str]
"""A path as callers of the API give it."""


@dataclass(frozen=True)
class Track:
    """One audio file with a genre; `id` is its POSIX path below the collection without the suffix."""

    id: str
    path: Path
    genre: str
    artists: tuple[str, ...] = ()
    part: str | None = None
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True)
class SkippedFile:
    """A file of the collection that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """All tracks below one folder or in one manifest, ordered by id, and the files that cannot be tracks."""

    root: Path
    tracks: tuple[Track, ...]
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres of the tracks, in alphabetical order."""
        return tuple(sorted({track.genre for track in self.tracks}))


@dataclass(frozen=True)
class TrackTensors:
    """The rows of one track, ordered by fragment and then by variant.

    Shapes: `tensors` maps the stored inputs: waveform int16 [rows, n_samples], mel [rows, n_mels, n_frames] in [0, 1];
    start_s float64 [rows] in seconds, variant [rows] (index into the variants), strength float32 [rows, kinds] (what
    each kind of augmentation drew; NaN where it was not applied), landmark uint64 [rows, landmarks] (zeros but for
    originals).
    """

    digest: str
    tensors: dict[str, npt.NDArray[Any]]
    start_s: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint8]
    strength: FloatArray
    landmark: npt.NDArray[np.uint64]
    silent: bool


@dataclass(frozen=True)
class PrepareResult:
    """What `prepare` did; `reused` counts the tracks whose audio was not opened.

    `duplicates` are sample-identical pairs, `near_duplicates` the same recording at another level, rate or offset.
    """

    cache: Path
    tracks: int
    fragments: int
    variants: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    duplicates: tuple[tuple[str, str], ...]
    near_duplicates: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    reused: int
    seconds: float


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; losses without penalties, accuracies per fragment and per track.

    `train_accuracy` is measured while training, with dropout, drawn variants and augmented batches. `gradient_mean` and
    `gradient_max` are of the norms of its steps' gradients, penalties included and before they are clipped, where these
    were asked for.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_fragment_accuracy: float
    validation_track_accuracy: float
    seconds: float
    gradient_mean: float | None = None
    gradient_max: float | None = None


@dataclass(frozen=True)
class Step:
    """Where a training stands within an epoch; loss and accuracy are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    lr: float
    fragments_per_s: float


@dataclass(frozen=True)
class ValidationFigures:
    """Validation figures of an epoch."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class TrainingFigures:
    """Figures of an epoch's model on the training part's original fragments, unaltered, in evaluation mode."""

    loss: float
    fragment_accuracy: float
    track_accuracy: float


@dataclass(frozen=True)
class TrainResult:
    """What `train` made; `validation` has the figures of the best epoch, `last` those of the last one.

    `training` has the figures of the "best" and the "last" epoch on the training part. `monitor` is what decided which
    epoch is the best, None for a model that is fitted at once. `dead_channels` is the share of the last epoch's
    channels and hidden units that no validation fragment activates, None for a model that has none.
    """

    run: Path
    bundle: Path
    epochs: int
    best_epoch: int
    parameters: int
    seconds: float
    split: str
    validation: ValidationFigures
    kept: Path | None = None
    last: ValidationFigures | None = None
    training: dict[str, TrainingFigures] | None = None
    dead_channels: float | None = None
    monitor: str | None = None


@dataclass(frozen=True)
class GenreFigures:
    """Precision, recall (with Wilson's 95 % interval) and F1 of one genre, over tracks."""

    genre: str
    tracks: int
    precision: float
    recall: Interval
    f1: float


@dataclass(frozen=True)
class CalibrationBin:
    """Answers whose confidence is above `low` and up to `high`: how many, how sure, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart: expected calibration error, and the bins of a reliability diagram.

    `chance` is the error that a model without fault would show on as many answers of the same confidence.
    """

    error: Interval
    chance: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class LevelFigures:
    """Figures of one kind of answers, per fragment or per track. `confusion[i][j]`: is genre i, was called genre j."""

    count: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    top2_accuracy: Interval
    calibration: Calibration
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ModelFigures:
    """One model on labelled tracks. `confusion[i][j]` counts tracks of genre i that were called genre j.

    Of a folder: `unknown_genres` counts the tracks of genres that the model does not know, which are left out;
    `missing_genres` are those that it knows and the folder lacks.
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
        """What to call the model: its folder, or the run whose best it is."""
        return self.bundle.parent.name if self.bundle.name == "best" and self.bundle.parent.name else self.bundle.name


@dataclass(frozen=True)
class PairedFigures:
    """Two models on the same tracks: `difference` is the track accuracy of the first minus that of the other.

    `p` is two-sided, `p_corrected` so for all models that are compared with the first (Holm 1979); `tie` where that is
    not below 0.05.
    """

    first: Path
    other: Path
    tracks: int
    clusters: int
    difference: Interval
    p: float
    p_corrected: float
    tie: bool


@dataclass(frozen=True)
class EvaluateResult:
    """All models on the same labelled tracks, ordered by their validation rank.

    `readings` counts the uses of a test part so far; of a folder nothing is counted. `comparisons` are between the
    first model of each split, or of a folder, and the others; `ties` are those that cannot be told from it.
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


@dataclass(frozen=True)
class FragmentPrediction:
    """The likeliest genre of one fragment."""

    start_s: float
    genre: str
    probability: float


@dataclass(frozen=True)
class FilePrediction:
    """The likeliest genre of a file: mean probabilities over its fragments, and each fragment's own.

    `confident` says whether the genre's probability reaches what was asked for; `tagged` is the file into whose
    metadata the genre was written.
    """

    path: Path
    genre: str
    probabilities: dict[str, float]
    fragments: tuple[FragmentPrediction, ...]
    duration_s: float = 0.0
    confident: bool = True
    tagged: Path | None = None

    @property
    def probability(self) -> float:
        """The likeliest genre's."""
        return self.probabilities[self.genre]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Genres with their probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


@dataclass(frozen=True)
class PredictResult:
    """Predictions of all readable files, those that could not be read, and those that could not be tagged."""

    bundle: Path
    files: tuple[FilePrediction, ...]
    skipped: tuple[SkippedFile, ...] = ()
    untagged: tuple[SkippedFile, ...] = ()


@dataclass(frozen=True)
class ExportResult:
    """What `export` wrote, its size in bytes, and how far its probabilities are from the bundle's at most."""

    bundle: Path
    out: Path
    format: str
    opset: int
    sample_rate: int
    n_samples: int
    genres: tuple[str, ...]
    size: int
    clips: int
    largest_difference: float
    seconds: float


@dataclass(frozen=True)
class RankedRun:
    """One configuration in a ranking: its finished runs, one a seed, and their mean validation figures.

    `track_accuracy` and `loss` are those of the best epochs, which are chosen on the same tracks; the figures below
    them are there in studies. `overfitting` is accuracy on the training part minus that on the validation part, both on
    unaltered tracks in evaluation mode; `cut` says what is less than the study declares, `comparable` whether it
    answered the tracks of the first of the ranking. `group` is a study's panel, or what runs are ranked within, where
    `tied` tells that it cannot be told from the first. `kept` tells whether one of its runs is among the five best that
    are ranked together, or of the study; `trained` whether its accuracy is above chance, and `later_seeds` which of its
    seeds were not planned before the first run. `seconds` is what a run took, the mean over them.
    """

    name: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    track_accuracy: dict[str, float | None]
    loss: float
    parameters: int
    split: str
    kept: bool
    group: str = ""
    later_seeds: tuple[int, ...] = ()
    epochs: int = 0
    last_accuracy: Interval | None = None
    equal_steps_accuracy: Interval | None = None
    last_loss: Interval | None = None
    training_accuracy: Interval | None = None
    overfitting: Interval | None = None
    dead_channels: Interval | None = None
    trained: bool = True
    seconds: float = 0.0
    cut: str = ""
    comparable: bool = True
    tied: bool = False


Verdict = Literal["upheld", "refuted", "equivalent", "undecided", "not trained", "not tested"]


@dataclass(frozen=True)
class Reading:
    """A claim judged at one place: the "last" epoch, the "best" one, or at "equal steps".

    `effect` is the difference that the claim says is above `bound`, with its 95 % interval, in the statistic's unit; of
    several differences the one that is least sure, of which `statistic` is, "winner" for a claim about the winner.
    `p` is corrected for the study's claims (Holm 1979). `note` says of how many pairs a mean is where some are missing.
    """

    at: str
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    statistic: str = ""
    note: str = ""
    bound: float = 0.0


@dataclass(frozen=True)
class Finding:
    """What became of a claim: the reading where the study declares it, and the others beside it."""

    claim: str
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    statistic: str = "accuracy"
    at: str = "last"
    readings: tuple[Reading, ...] = ()
    note: str = ""
    bound: float = 0.0


@dataclass(frozen=True)
class StudyHead:
    """What a study asks, and of what; `chance` is the share of the most frequent genre among the validation tracks.

    Splits and folds may train on numbers of tracks from `training_tracks` to `most_training_tracks`.
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
class PlannedArm:
    """One configuration of a study and what a run of it takes; memory in bytes, None for what is fitted at once."""

    name: str
    group: str
    epochs: int
    parameters: int
    memory: int | None
    seconds: float | None
    finished: int
    missing: int


@dataclass(frozen=True)
class Noise:
    """Standard deviations of accuracy: of an arm's mean from seed to seed, and of artists' lasting differences.

    `arms` says on how many it was measured; on none, it is what is usual, and on one, the artists' part is.
    """

    run_sd: float
    track_sd: float
    arms: int


@dataclass(frozen=True)
class StudyPlan:
    """A study before it runs: `seconds` is about what the missing runs take, one after another, on this machine.

    `detectable` is the smallest true difference of accuracy that the plan finds four times in five with that `noise`;
    None where it finds none, or there is no cache. `shortages` say of what the runs need more than is free. `obstacle`
    says why a study that is listed cannot run on the cache; the rest is then as without one.
    """

    study: str
    title: str
    question: str
    arms: tuple[PlannedArm, ...]
    seeds: int
    finished: int
    missing: int
    seconds: float | None
    disk: int | None
    detectable: float | None
    noise: Noise
    folds: int = 0
    obstacle: str = ""
    shortages: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyList:
    """The studies that come with genrekit."""

    studies: tuple[StudyPlan, ...]


ExperimentState = Literal["waiting", "running", "finished", "pruned", "failed", "there"]


@dataclass(frozen=True)
class Experiment:
    """Where one run of a study stands; `accuracy` is the best validation track accuracy so far."""

    name: str
    state: ExperimentState
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    seconds_left: float | None = None


TrialState = Literal["running", "finished", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One configuration that a search tried: what it chose, and the objective, None where it was not finished.

    `curve` has the figure of each epoch of its first seed, `problem` why it failed.
    """

    number: int
    state: TrialState
    chosen: dict[str, Any]
    value: float | None
    curve: tuple[float, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others of its search."""
        return f"trial{self.number}"


@dataclass(frozen=True)
class SearchResult:
    """What a search tried: `objective` is "track_accuracy" or "loss" at the best epoch of a trial.

    `space` says what it could choose, `importances` each one's share of the objective's variance (none where too few
    trials are finished), `finalists` which trials were repeated.
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
class SearchPlan:
    """A search before it runs: `seconds` is about what is missing takes at most, one run after another.

    `done` trials need not be tried again; `memory` in bytes is that of the largest of some drawn configurations.
    """

    search: str
    title: str
    question: str
    space: dict[str, str]
    trials: int
    done: int
    finalists: int
    seeds: int
    memory: int | None
    seconds: float | None
    detectable: float | None


@dataclass(frozen=True)
class CompareResult:
    """Runs ranked by validation track accuracy, then loss; of a study, its arms, and what became of its claims.

    `ties` cannot be told from the first of the ranking, which of a study that shows its best arms only may name others
    than are in it; `absent` are arms of which no whole seed is there; `search` is how a search came to its arms.
    """

    runs: tuple[RankedRun, ...]
    ranking: tuple[str, ...]
    ties: tuple[str, ...] = ()
    study: str | None = None
    findings: tuple[Finding, ...] = ()
    skipped: tuple[SkippedFile, ...] = field(default=())
    head: StudyHead | None = None
    report: Path | None = None
    search: SearchResult | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class InfoResult:
    """What a path holds (a cache, a run or a bundle) and the facts about it."""

    path: Path
    kind: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class FragmentView:
    """One variant of a fragment, to look at: what it is, what it drew, and its tensors as far as they are there.

    Shapes: waveform float32 [n_samples] in [-1, 1], mel float32 [n_mels, n_frames] in [0, 1].
    """

    variant: str
    drawn: str
    waveform: FloatArray | None
    mel: FloatArray | None


def to_json(record: Any) -> dict[str, Any]:
    """A record as a JSON object, with field names as keys."""
    converted = json_value(asdict(record))
    assert isinstance(converted, dict)
    return converted


def json_value(value: Any) -> Any:
    """A value as JSON knows it: paths as text, tuples and sets as lists, and null where a number is not finite."""
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
