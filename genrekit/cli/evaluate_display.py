"""The tables that `genrekit evaluate` prints."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from genrekit.cli.display import plain_table, stdout
from genrekit.errors import counted
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import percent, percent_bounds, percent_with_interval, signed_points

_METRICS = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "top-2 accuracy": "top2_accuracy",
}
"""Names of the metrics of a level, and their attributes."""


def show(result: EvaluateResult, *, details: bool) -> None:
    """Print the ranking, then metrics, genres and confusion matrix of the first model, or of all."""
    console = stdout()
    _show_ranking(console, result)
    _show_comparison(console, result)
    for model in result.models if details else result.models[:1]:
        _show_metrics(console, model)
        _show_genres(console, model)
        _show_confusion(console, model)
    for path in (result.out, result.report):
        if path is not None:
            console.print(f"written: {escape(str(path))}")


def _show_ranking(console: Console, result: EvaluateResult) -> None:
    first = result.models[0]
    source = f"the test set ({first.split} split)" if result.data is None else str(result.data)
    columns = ("validation", "test tracks", "fragments", "macro F1")
    title = f"accuracy in % on {escape(source)}, in the order of validation accuracy"
    table = plain_table("", "model", *columns, right=("", *columns), title=title)
    for rank, model in enumerate(result.models, 1):
        mark = ("=" if model.bundle in result.ties else " ") if result.ties else ""
        table.add_row(
            f"{mark}{rank}",
            escape(model.name),
            f"{100 * model.validation_track_accuracy:.1f}",
            percent_with_interval(model.track_accuracy),
            percent_with_interval(model.fragment_accuracy),
            percent_with_interval(model.macro_f1),
        )
    console.print(table)
    console.print(
        f"95 % intervals, resampling {first.resampled}. {counted(first.tracks, 'track')}, "
        f"{counted(first.fragments, 'fragment')}; {first.left_out} left out. {_evaluations(result.readings)}",
        style="dim",
    )


def _evaluations(count: int | None) -> str:
    """How often the test set has been evaluated; None for a folder, whose evaluations are not counted.

    >>> _evaluations(3)
    'The test set has now been evaluated 3 times.'
    """
    if count is None:
        return "Evaluations of a folder are not counted."
    return f"The test set has now been evaluated {'once' if count == 1 else f'{count} times'}."


def _show_comparison(console: Console, result: EvaluateResult) -> None:
    """Print the difference between the first two models, and the legend of ties."""
    if not result.comparisons:
        return
    pair, names = result.comparisons[0], {model.bundle: model.name for model in result.models}
    value, low, high = (100 * share for share in (pair.difference.value, pair.difference.low, pair.difference.high))
    console.print(
        f"{escape(names[pair.first])} minus {escape(names[pair.other])} on the same {counted(pair.tracks, 'track')}: "
        f"{value:+.1f} points ({signed_points(low)} to {signed_points(high)}), p = {pair.p:.2g}"
    )
    if result.ties:
        console.print("= not significantly different from the first on these tracks", style="dim")


def _show_metrics(console: Console, model: ModelFigures) -> None:
    table = plain_table("", "tracks", "fragments", right=("tracks", "fragments"), title=f"\n{escape(model.name)}, in %")
    levels = (model.track_figures, model.fragment_figures)
    for name, attribute in _METRICS.items():
        table.add_row(name, *(percent_with_interval(getattr(level, attribute)) for level in levels))
    table.add_row("calibration error", *(percent_with_interval(level.calibration.error) for level in levels))
    table.add_row("  expected by chance", *(f"{100 * level.calibration.chance:.1f}" for level in levels))
    console.print(table)


def _show_genres(console: Console, model: ModelFigures) -> None:
    names = ("precision", "recall", "95 % interval", "F1", "tracks")
    table = plain_table("genre", *names, right=names, title=f"\n{escape(model.name)}, per track")
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


def _show_confusion(console: Console, model: ModelFigures) -> None:
    columns = short_names(model.genres)
    table = plain_table("true \\ predicted", *columns, right=columns, title="\nconfusion matrix, in tracks")
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


def _cell(count: int, *, correct: bool) -> str:
    if count == 0:
        return "[dim].[/dim]"
    return f"[bold green]{count}[/bold green]" if correct else str(count)
