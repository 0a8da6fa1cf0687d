"""The tables that `genrekit evaluate` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from genrekit.cli.display import Output, plain_table, stdout, styled
from genrekit.errors import counted, few
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import percent, percent_bounds, percent_with_interval, signed_points

_METRICS = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "top-2 accuracy": "top2_accuracy",
}
"""Names of the metrics of a level, and their attributes."""

_WIDE = 100
"""Columns of a terminal in which a ranking has room for macro F1 beside the names of models."""


def show(result: EvaluateResult, *, details: bool) -> None:
    """Print the ranking, then metrics, genres and confusion matrix of the first model, or of all."""
    console = stdout()
    for models in result.groups:
        _show_ranking(console, result, models)
        _show_comparison(console, result, models)
    _show_unknown(console, result)
    for model in result.models if details else result.models[:1]:
        _show_metrics(console, model)
        _show_genres(console, model)
        _show_confusion(console, model)
    for path in (result.out, result.report):
        if path is not None:
            console.print(f"written: {path}")


def _show_ranking(console: Output, result: EvaluateResult, models: Sequence[ModelFigures]) -> None:
    """Print the models of one test set."""
    first = models[0]
    same = len({model.tracks for model in models}) == 1
    wide = console.width >= _WIDE
    columns = (
        "validation",
        *(() if same else ("tracks",)),
        "test tracks",
        "fragments",
        *(("macro F1",) if wide else ()),
    )
    title = f"accuracy in % on {result.source(models)}, in the order of validation accuracy"
    table = plain_table("", "model", *columns, right=("", *columns), title=title)
    tied = any(model.bundle in result.ties for model in models)
    for rank, model in enumerate(models, 1):
        mark = ("=" if model.bundle in result.ties else " ") if tied else ""
        table.add_row(
            f"{mark}{rank}",
            model.marked_name,
            f"{100 * model.validation_track_accuracy:.1f}",
            *(() if same else (str(model.tracks),)),
            percent_with_interval(model.track_accuracy),
            percent_with_interval(model.fragment_accuracy),
            *((percent_with_interval(model.macro_f1),) if wide else ()),
        )
    console.print(table)
    drawn = first.resampled_items if same else first.resampled
    intervals = f"95 % intervals from resampling {drawn}. " if first.has_intervals else ""
    console.print(f"{intervals}{_evaluations(result.readings)}{_marks(result)}", style="dim")


def _marks(result: EvaluateResult) -> str:
    used = any(model.outside_data for model in result.models)
    return " + uses a network trained on outside data." if used else ""


def _evaluations(count: int | None) -> str:
    """How often the test set has been evaluated; None for a folder, whose evaluations are not counted.

    >>> _evaluations(3)
    'The test set has now been evaluated 3 times.'
    """
    if count is None:
        return "Evaluations of a folder are not counted."
    return f"The test set has now been evaluated {'once' if count == 1 else f'{count} times'}."


def _show_comparison(console: Output, result: EvaluateResult, models: Sequence[ModelFigures]) -> None:
    """Print the difference between the first two models of a test set, and the legend of ties."""
    names = {model.bundle: model.name for model in models}
    pairs = [pair for pair in result.comparisons if pair.other in names]
    if not pairs:
        return
    pair = pairs[0]
    value, low, high = (100 * share for share in (pair.difference.value, pair.difference.low, pair.difference.high))
    console.print(
        f"{names[pair.first]} minus {names[pair.other]} on the same {counted(pair.tracks, 'track')}: "
        f"{value:+.1f} points ({signed_points(low)} to {signed_points(high)}), p = {pair.p:.2g}"
    )
    if any(pair.tie for pair in pairs):
        console.print("= not significantly different from the first on these tracks", style="dim")


def _show_unknown(console: Output, result: EvaluateResult) -> None:
    """Print how well the models tell their test tracks from unknown audio, and what the first one accepts."""
    measured = [(model, unknown) for model in result.models if (unknown := model.unknown) is not None]
    if not measured:
        return
    first, columns = measured[0][1], ("AUROC", "threshold", "falsely accepted", "known accepted")
    title = f"unknown audio, {first.source} ({counted(len(first.files), 'file')}), in %"
    console.print()
    table = plain_table("model", *columns, right=columns, title=title)
    for model, unknown in measured:
        shares = (unknown.auroc, unknown.false_acceptance, unknown.known_acceptance)
        area, falsely, known = ("" if one is None else percent_with_interval(one) for one in shares)
        threshold = "" if unknown.threshold is None else f"{100 * unknown.threshold:.1f}"
        table.add_row(model.name, area, threshold, falsely, known)
    console.print(table)
    if accepted := [f"{file.path} ({file.genre} {percent(file.probability)})" for file in first.accepted]:
        console.print(f"falsely accepted by {measured[0][0].name}: {few(accepted)}", style="dim")


def _show_metrics(console: Output, model: ModelFigures) -> None:
    console.print()
    table = plain_table("", "tracks", "fragments", right=("tracks", "fragments"), title=f"{model.name}, in %")
    levels = (model.track_figures, model.fragment_figures)
    for name, attribute in _METRICS.items():
        table.add_row(name, *(percent_with_interval(getattr(level, attribute)) for level in levels))
    table.add_row("calibration error", *(percent_with_interval(level.calibration.error) for level in levels))
    table.add_row("  expected by chance", *(f"{100 * level.calibration.chance:.1f}" for level in levels))
    console.print(table)


def _show_genres(console: Output, model: ModelFigures) -> None:
    names = ("precision", "recall", "95 % interval", "F1", "tracks")
    console.print()
    table = plain_table("genre", *names, right=names, title=f"{model.name}, per track")
    for genre in model.per_genre:
        table.add_row(
            genre.genre,
            percent(genre.precision),
            percent(genre.recall.value),
            percent_bounds(genre.recall),
            percent(genre.f1),
            str(genre.tracks),
        )
    console.print(table)


def _show_confusion(console: Output, model: ModelFigures) -> None:
    columns = short_names(model.genres)
    console.print()
    table = plain_table("true \\ predicted", *columns, right=columns, title="confusion matrix, in tracks")
    for row, (genre, counts) in enumerate(zip(model.genres, model.confusion, strict=True)):
        cells = [_cell(count, correct=column == row) for column, count in enumerate(counts)]
        table.add_row(f"{columns[row]}  {genre}" if columns[row].isdigit() else genre, *cells)
    console.print(table)


def short_names(genres: tuple[str, ...]) -> tuple[str, ...]:
    """Three letters for each genre, or numbers if these would be ambiguous.

    >>> short_names(("blues", "jazz")), short_names(("progressive rock", "progressive metal"))
    (('blu', 'jaz'), ('1', '2'))
    """
    letters = tuple(genre[:3] for genre in genres)
    return letters if len(set(letters)) == len(genres) else tuple(str(number) for number in range(1, len(genres) + 1))


def _cell(count: int, *, correct: bool) -> RenderableType:
    if count == 0:
        return styled((".", "dim"))
    return styled((str(count), "bold green")) if correct else str(count)
