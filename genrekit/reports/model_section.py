"""One model in a report: its tables and figures, which templates/model.html shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from genrekit.config import ArchitectureOptions, Config, TrainConfig
from genrekit.errors import counted
from genrekit.metrics.calibration import Calibration
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.evaluation import ModelFigures
from genrekit.metrics.formatting import loss_text, percent, with_interval
from genrekit.metrics.mistakes import confused_pairs
from genrekit.metrics.unknown import UnknownFigures
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.reports.page_tables import Column, Row, Table, number, share
from genrekit.reports.plots import CURVES, learning_chart, reliability_chart
from genrekit.reports.svg import to_svg


@dataclass(frozen=True)
class Example:
    """A wrong prediction: a PNG of its spectrogram, and its audio as a file with its media type, if available."""

    track: str
    genre: str
    predicted: str
    probability: float
    start_s: float
    picture: bytes | None
    sound: tuple[bytes, str] | None


@dataclass(frozen=True)
class ModelStory:
    """A model of a report; `commands` make it again."""

    figures: ModelFigures
    metadata: BundleMetadata
    examples: tuple[Example, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A figure of a page, and its caption."""

    svg: Markup
    caption: str = ""


class ModelSection:
    """The values of templates/model.html for one model; `index` is its rank, from 1."""

    def __init__(self, index: int, story: ModelStory) -> None:
        figures, metadata = story.figures, story.metadata
        self.index, self.story = index, story
        self.levels = _levels(figures)
        self.pairs = _pairs(figures)
        self.unknown = None if figures.unknown is None else _unknown(figures.unknown)
        self.genres = _genres(figures)
        self.reliability, self.bins = _reliability(index, figures), _bins(figures)
        self.fitted_at_once = not metadata.train.architecture.trained_by_gradient
        self.learning = _learning(index, metadata)
        self.epochs = _epochs(metadata.history)
        self.configurations = [
            _configuration(name, values)
            for name, values in (
                ("training", metadata.train),
                ("waveform and mel spectrogram", metadata.prepare.front_end),
                ("augmentation in the cache", metadata.prepare.augmentation),
            )
        ]


def _levels(figures: ModelFigures) -> Table:
    tracks, fragments = figures.track_figures, figures.fragment_figures
    rows: list[Row] = [
        [name, *(share(getattr(level, key)) for level in (tracks, fragments))]
        for name, key in (
            ("accuracy", "accuracy"),
            ("balanced accuracy (mean recall)", "balanced_accuracy"),
            ("macro F1", "macro_f1"),
            ("top-2 accuracy", "top2_accuracy"),
        )
    ]
    rows.append(["calibration error", share(tracks.calibration.error), share(fragments.calibration.error)])
    columns = (
        Column("measure", sortable=False),
        Column(f"{figures.tracks:,} tracks", number=True, sortable=False),
        Column(f"{figures.fragments:,} fragments", number=True, sortable=False),
    )
    intervals = f" with 95 % intervals from resampling {figures.resampled_items}" if figures.has_intervals else ""
    caption = f"In %{intervals}; {counted(figures.left_out, 'track')} left out"
    return Table(caption, columns, rows)


def _unknown(figures: UnknownFigures) -> Table:
    rows: list[Row] = [
        [name, share(figure)]
        for name, figure in (
            ("AUROC: test tracks have a higher confidence", figures.auroc),
            ("unknown audio above the threshold (falsely accepted)", figures.false_acceptance),
            ("test tracks above the threshold", figures.known_acceptance),
        )
        if figure is not None
    ]
    rows += [
        [f"{file.path}: {file.genre}", number(file.probability, f"{100 * file.probability:.1f}")]
        for file in figures.accepted
    ]
    threshold = "no threshold" if figures.threshold is None else f"threshold {100 * figures.threshold:.1f} %"
    caption = (
        f"Unknown audio ({figures.source}, {len(figures.files)} files), {threshold}: figures in % with 95 % intervals, "
        "then the files that are falsely accepted with their probability"
    )
    return Table(caption, (Column("measure", sortable=False), Column("%", number=True, sortable=False)), rows)


def _pairs(figures: ModelFigures) -> Table:
    rows: list[Row] = [
        [pair.genre, pair.predicted, number(pair.count), number(pair.share, f"{100 * pair.share:.0f} %")]
        for pair in confused_pairs(figures.confusion, figures.genres)
    ]
    columns = (
        Column("true genre"),
        Column("predicted"),
        Column("tracks", number=True),
        Column("of the genre", number=True),
    )
    return Table("Pairs of genres by number of mistakes", columns, rows)


def _genres(figures: ModelFigures) -> Table:
    rows: list[Row] = [
        [
            genre.genre,
            number(genre.tracks),
            number(genre.precision, f"{100 * genre.precision:.1f}"),
            share(genre.recall),
            number(genre.f1, f"{100 * genre.f1:.1f}"),
        ]
        for genre in figures.per_genre
    ]
    columns = [Column(name, number=name != "genre") for name in ("genre", "tracks", "precision", "recall", "F1")]
    return Table("Each genre, over tracks, in %; recall with its 95 % Wilson score interval", columns, rows)


def _calibrations(figures: ModelFigures) -> dict[str, Calibration]:
    return {"tracks": figures.track_figures.calibration, "fragments": figures.fragment_figures.calibration}


def _reliability(index: int, figures: ModelFigures) -> list[Chart]:
    return [
        Chart(
            to_svg(
                reliability_chart(calibration),
                f"model-{index}-reliability-{name}",
                f"Reliability diagram of {name}; the table below contains its numbers",
            ),
            f"{name.capitalize()}: expected calibration error {with_interval(calibration.error, '.3f')}; "
            f"{calibration.chance:.3f} by chance alone",
        )
        for name, calibration in _calibrations(figures).items()
    ]


def _bins(figures: ModelFigures) -> Table:
    rows: list[Row] = [
        [
            name,
            number(one.low, f"{one.low:.2f} to {one.high:.2f}"),
            number(one.count),
            number(one.confidence, f"{one.confidence:.3f}"),
            number(one.accuracy, f"{one.accuracy:.3f}"),
        ]
        for name, calibration in _calibrations(figures).items()
        for one in calibration.bins
    ]
    names = ("predictions for", "confidence", "number", "mean confidence", "accuracy")
    columns = [Column(name, number=index > 0) for index, name in enumerate(names)]
    return Table("Predictions by confidence, in 15 bins of equal width", columns, rows)


def _learning(index: int, metadata: BundleMetadata) -> list[Chart]:
    if not metadata.history:
        return []
    return [
        Chart(
            to_svg(
                learning_chart(metadata.history, metadata.best_epoch, kind),
                f"model-{index}-{kind}",
                f"{title} over epochs; the table below contains its numbers",
            )
        )
        for kind, (title, _) in CURVES.items()
    ]


def _epochs(history: Sequence[Epoch]) -> Table:
    names = ("epoch", "learning rate", "loss", "accuracy", "validation loss", "fragments", "tracks")
    rows: list[Row] = [
        [
            number(epoch.epoch),
            number(epoch.lr, f"{epoch.lr:.2g}"),
            number(epoch.train_loss, loss_text(epoch.train_loss)),
            number(epoch.train_accuracy, percent(epoch.train_accuracy)),
            number(epoch.validation_loss, loss_text(epoch.validation_loss)),
            number(epoch.validation_fragment_accuracy, percent(epoch.validation_fragment_accuracy)),
            number(epoch.validation_track_accuracy, percent(epoch.validation_track_accuracy)),
        ]
        for epoch in history
    ]
    caption = "All epochs; figures of the training set are measured while training, with dropout and augmentation"
    return Table(caption, [Column(name, number=True) for name in names], rows)


def _configuration(name: str, values: Config) -> Table:
    """The fields of a configuration, without those that the model does not use."""
    rows: list[Row] = [
        [key, _text(getattr(values, key)), field.description or ""]
        for key, field in type(values).model_fields.items()
        if not (isinstance(values, TrainConfig) and values.ignores(key))
    ]
    return Table(name, (Column("name"), Column("value"), Column("meaning", sortable=False)), rows)


def _text(value: Any) -> str:
    if isinstance(value, ArchitectureOptions):
        return ", ".join(f"{name} {_text(item)}" for name, item in value) or "none"
    if value is None or value == ():
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
