"""Tables of an evaluation: CSV for programs and Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from genrekit.io import markdown
from genrekit.io.files import write_text
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import with_interval
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import LevelFigures

Row = Sequence[str | int | float]

LEVEL_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy")
"""The scores of a level that are shares, in the order of the columns."""


def write_tables(folder: Path, result: EvaluateResult) -> list[tuple[Path, ModelFigures]]:
    """Write the tables of an evaluation into a folder, with a subfolder for each model; return the subfolders.

    Files: models.csv, models.md and comparisons.csv; for each model genres.csv, genres.md, confusion.csv and
    calibration.csv.
    """
    models = list(enumerate(result.models, 1))
    write_text(folder / "models.csv", csv_text(_csv_columns(), [_csv_row(rank, model) for rank, model in models]))
    write_text(folder / "models.md", _markdown(_COLUMNS, [_row(rank, model) for rank, model in models]))
    write_text(folder / "comparisons.csv", csv_text(_COMPARISONS, list(map(_compared, result.comparisons))))
    subfolders = [(folder / f"{rank:02d}-{model.name}", model) for rank, model in models]
    for subfolder, model in subfolders:
        _write_model(subfolder, model)
    return subfolders


_COMPARISONS = ("first", "other", "tracks", "clusters", "difference", "low", "high", "p", "p_corrected", "tie")


def _compared(pair: PairedFigures) -> Row:
    difference = pair.difference
    return (
        *(str(pair.first), str(pair.other), pair.tracks, pair.clusters),
        *(difference.value, difference.low, difference.high, pair.p, pair.p_corrected, "yes" if pair.tie else "no"),
    )


_COLUMNS = (
    *("", "model", "validation", "tracks", "balanced accuracy", "macro F1", "top-2 accuracy"),
    *("calibration error", "fragments", "of tracks"),
)


def _row(rank: int, model: ModelFigures) -> Row:
    tracks = model.track_figures
    shares = [*(getattr(tracks, name) for name in LEVEL_FIGURES), tracks.calibration.error, model.fragment_accuracy]
    return (rank, model.name, model.validation_track_accuracy, *map(_interval, shares), model.tracks)


def _interval(figure: Interval) -> str:
    return with_interval(figure, ".3f")


def _write_model(folder: Path, model: ModelFigures) -> None:
    columns = ("genre", "tracks", "precision", "recall", "recall_low", "recall_high", "f1")
    rows = [
        (one.genre, one.tracks, one.precision, one.recall.value, one.recall.low, one.recall.high, one.f1)
        for one in model.per_genre
    ]
    write_text(folder / "genres.csv", csv_text(columns, rows))
    write_text(folder / "genres.md", _markdown(columns, rows))
    counts: list[Row] = [(genre, *row) for genre, row in zip(model.genres, model.confusion, strict=True)]
    write_text(folder / "confusion.csv", csv_text(("is \\ called", *model.genres), counts))
    bins: list[Row] = [
        (level, one.low, one.high, one.count, one.confidence, one.accuracy)
        for level, figures in (("tracks", model.track_figures), ("fragments", model.fragment_figures))
        for one in figures.calibration.bins
    ]
    bin_columns = ("level", "from", "to", "answers", "confidence", "accuracy")
    write_text(folder / "calibration.csv", csv_text(bin_columns, bins))


def _csv_columns() -> tuple[str, ...]:
    figures = [
        f"{level}_{name}{end}"
        for level in ("track", "fragment")
        for name in (*LEVEL_FIGURES, "calibration_error")
        for end in ("", "_low", "_high")
    ]
    return ("place", "model", "split", "validation_track_accuracy", "tracks", "fragments", "left_out", *figures)


def _csv_row(rank: int, model: ModelFigures) -> Row:
    return (
        *(rank, model.name, model.split, model.validation_track_accuracy),
        *(model.tracks, model.fragments, model.left_out),
        *_numbers(model.track_figures),
        *_numbers(model.fragment_figures),
    )


def _numbers(figures: LevelFigures) -> list[float]:
    shown: list[Interval] = [*(getattr(figures, name) for name in LEVEL_FIGURES), figures.calibration.error]
    return [number for one in shown for number in (one.value, one.low, one.high)]


def csv_text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Format a table as CSV, with all digits of its numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Format a table as Markdown; floats have three decimals."""
    numeric = {column for column in range(len(columns)) if all(not isinstance(row[column], str) for row in rows)}
    shown = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return markdown.table(columns, shown, numeric=numeric)
