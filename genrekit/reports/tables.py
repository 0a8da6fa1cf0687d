"""Tables of an evaluation: CSV for programs, Markdown for people, and LaTeX for papers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genrekit.io import latex, markdown
from genrekit.io.csv_table import csv_text
from genrekit.io.files import write_text
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import percent_with_interval, with_interval
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.metrics.scores import LevelFigures
from genrekit.metrics.unknown import UnknownFigures

Row = Sequence[str | int | float]

LEVEL_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy")
"""The scores of a level that are shares, in the order of the columns."""


TABLES = ("models.csv", "models.md", "models.tex", "comparisons.csv")
"""The tables of all models."""


def write_tables(folder: Path, result: EvaluateResult) -> list[tuple[Path, ModelFigures]]:
    """Write the tables of an evaluation into a folder, with a subfolder for each model; return the subfolders.

    Files: models.csv, models.md, models.tex and comparisons.csv; for each model genres.csv, genres.md, genres.tex,
    confusion.csv, confusion.tex, calibration.csv, and with unknown audio unknown.csv.
    """
    _remove_earlier(folder)
    models = list(enumerate(result.models, 1))
    models_csv, models_md, models_tex, comparisons = (folder / name for name in TABLES)
    write_text(models_csv, csv_text(_csv_columns(), [_csv_row(rank, model) for rank, model in models]))
    write_text(models_md, _markdown(_COLUMNS, [_row(rank, model) for rank, model in models]))
    write_text(models_tex, "\n".join(_latex_ranking(group, result) for group in result.groups))
    write_text(comparisons, csv_text(_COMPARISONS, list(map(_compared, result.comparisons))))
    subfolders = [(folder / f"{rank:02d}-{model.name}", model) for rank, model in models]
    for subfolder, model in subfolders:
        _write_model(subfolder, model)
    return subfolders


FIGURES = ("confusion", "reliability", "genres")
"""Names of the figures of a model, without endings."""

_TABLES_OF_A_MODEL = ("genres.csv", "genres.md", "confusion.csv", "calibration.csv")

FILES_OF_A_MODEL = (
    *(*_TABLES_OF_A_MODEL, "genres.tex", "confusion.tex", "unknown.csv"),
    *(f"{name}{ending}" for name in FIGURES for ending in (".png", ".pdf", ".svg")),
)


def _remove_earlier(folder: Path) -> None:
    """Remove the subfolders of an earlier evaluation, whose models may have other names or ranks.

    Only files that an evaluation writes are removed. A subfolder with other files stays.
    """
    for subfolder in folder.glob("[0-9][0-9]-*"):
        if all((subfolder / name).is_file() for name in _TABLES_OF_A_MODEL):
            for name in FILES_OF_A_MODEL:
                (subfolder / name).unlink(missing_ok=True)
            with suppress(OSError):  # it has other files
                subfolder.rmdir()


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
    return (rank, model.marked_name, model.validation_track_accuracy, *map(_interval, shares), model.tracks)


def _latex_ranking(models: Sequence[ModelFigures], result: EvaluateResult) -> str:
    """The models of one test set as a LaTeX table, as the command line prints them."""
    head = ("", "model", "validation", "tracks", "test tracks", "fragments", "macro F1")
    rows = [
        (
            f"{'=' if model.bundle in result.ties else ''}{rank}",
            *(model.marked_name, f"{100 * model.validation_track_accuracy:.1f}", str(model.tracks)),
            *map(percent_with_interval, (model.track_accuracy, model.fragment_accuracy, model.macro_f1)),
        )
        for rank, model in enumerate(models, 1)
    ]
    title = f"accuracy in % on {' '.join(result.source(models).split())}, with 95 % intervals"
    return f"% {title}\n{latex.table(head, rows, numeric={0, 2, 3, 4, 5, 6})}"


def _latex_genres(model: ModelFigures) -> str:
    rows = [
        (
            one.genre,
            str(one.tracks),
            f"{100 * one.precision:.1f}",
            percent_with_interval(one.recall),
            f"{100 * one.f1:.1f}",
        )
        for one in model.per_genre
    ]
    table = latex.table(("genre", "tracks", "precision", "recall", "F1"), rows, numeric={1, 2, 3, 4})
    return f"% in % of tracks, with 95 % intervals\n{table}"


def _latex_confusion(model: ModelFigures) -> str:
    rows = [(genre, *map(str, counts)) for genre, counts in zip(model.genres, model.confusion, strict=True)]
    table = latex.table(("true", *model.genres), rows, numeric=range(1, len(model.genres) + 1))
    return f"% tracks of each true genre (row) by predicted genre (column)\n{table}"


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
    write_text(folder / "genres.tex", _latex_genres(model))
    write_text(folder / "confusion.tex", _latex_confusion(model))
    bins: list[Row] = [
        (level, one.low, one.high, one.count, one.confidence, one.accuracy)
        for level, figures in (("tracks", model.track_figures), ("fragments", model.fragment_figures))
        for one in figures.calibration.bins
    ]
    if model.unknown is not None:
        write_text(folder / "unknown.csv", _unknown_files(model.unknown))
    bin_columns = ("level", "from", "to", "answers", "confidence", "accuracy")
    write_text(folder / "calibration.csv", csv_text(bin_columns, bins))


def _csv_columns() -> tuple[str, ...]:
    figures = [
        f"{level}_{name}{end}"
        for level in ("track", "fragment")
        for name in (*LEVEL_FIGURES, "calibration_error")
        for end in ("", "_low", "_high")
    ]
    unknown = [f"{name}{end}" for name in _UNKNOWN_FIGURES for end in ("", "_low", "_high")]
    facts = ("place", "model", "split", "validation_track_accuracy", "tracks", "fragments", "left_out")
    return (*facts, *figures, "unknown_files", "confidence_threshold", *unknown)


def _csv_row(rank: int, model: ModelFigures) -> Row:
    return (
        *(rank, model.name, model.split, model.validation_track_accuracy),
        *(model.tracks, model.fragments, model.left_out),
        *_numbers(model.track_figures),
        *_numbers(model.fragment_figures),
        *_unknown_cells(model.unknown),
    )


_UNKNOWN_FIGURES = {
    "unknown_auroc": "auroc",
    "false_acceptance": "false_acceptance",
    "known_acceptance": "known_acceptance",
}
"""Columns for unknown audio, and the attributes that they show."""


def _unknown_cells(unknown: UnknownFigures | None) -> Row:
    """Return the cells for unknown audio; they are empty if it was not measured."""
    if unknown is None:
        return ("",) * (2 + 3 * len(_UNKNOWN_FIGURES))
    cells: list[str | int | float] = [len(unknown.files), "" if unknown.threshold is None else unknown.threshold]
    for attribute in _UNKNOWN_FIGURES.values():
        figure = getattr(unknown, attribute)
        cells += ("", "", "") if figure is None else (figure.value, figure.low, figure.high)
    return cells


def _unknown_files(unknown: UnknownFigures) -> str:
    """Format the predictions for unknown audio as CSV; `accepted` is empty if the model has no threshold."""
    accepted = {True: "yes", False: "no", None: ""}
    rows = [(file.path, file.genre or "", file.probability, accepted[file.accepted]) for file in unknown.files]
    return csv_text(("file", "genre", "probability", "accepted"), rows)


def _numbers(figures: LevelFigures) -> list[float]:
    shown: list[Interval] = [*(getattr(figures, name) for name in LEVEL_FIGURES), figures.calibration.error]
    return [number for one in shown for number in (one.value, one.low, one.high)]


def _markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Format a table as Markdown; floats have three decimals."""
    numeric = {column for column in range(len(columns)) if all(not isinstance(row[column], str) for row in rows)}
    shown = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return markdown.table(columns, shown, numeric=numeric)
