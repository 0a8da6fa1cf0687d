"""genrekit evaluate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from genrekit.cli.display import DEFAULT_CACHE, emit_json, plain_table, stdout, terminal
from genrekit.cli.options import DeviceOption, JsonFlag, QuietFlag
from genrekit.errors import UsageError
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import percent, percent_bounds, percent_with_interval, signed_points

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_FIGURES = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "among the two likeliest": "top2_accuracy",
}
"""What the figures of a level are called."""


@app.command()
def evaluate(
    models: Annotated[Path, typer.Argument(help="A bundle, or a folder of bundles such as best_models/.")],
    cache: Annotated[
        Path | None,
        typer.Option(
            help=f"The cache whose test part is read. [dim]\\[default: {DEFAULT_CACHE}][/dim]", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of genre folders, or a manifest, instead: all tracks that a model has not seen."),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Figures, genres and confusion of every model, not of the first alone.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A folder for tables (CSV, Markdown) and pictures (PNG).")] = None,
    report: Annotated[Path | None, typer.Option(help="An HTML page to look at, and to listen to mistakes.")] = None,
    device: DeviceOption = "auto",
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Score a bundle, or a folder of bundles, on the test part, or on any labelled folder.

    The only command that reads the test part. Models keep the order of their validation rank, because choosing by
    test figures would make them optimistic.
    """
    if cache is not None and data is not None:
        raise UsageError("--cache and --data cannot both be given: the test part is read, or a folder")
    from genrekit.cli.recipe import recipe
    from genrekit.models.bundle_metadata import BundleMetadata
    from genrekit.workflows.evaluate import evaluate as run

    where = None if data is not None else cache or DEFAULT_CACHE
    tested = f"--data={shlex.quote(str(data))}" if data is not None else f"--cache={shlex.quote(str(where))}"
    last = f"genrekit evaluate {shlex.quote(str(models))} {tested}"

    def made_by(metadata: BundleMetadata) -> list[str]:
        return [*recipe(metadata), last]

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(models, where, data=data, device=device, out=out, report=report, recipe=made_by, reporter=reporter)
    if as_json:
        emit_json(result)
    else:
        show(result, details=details)


def show(result: EvaluateResult, *, details: bool) -> None:
    """Print the ranking, then figures, genres and confusion of the first model, or of all."""
    console = stdout()
    first = result.models[0]
    what = f"the test part ({first.split} split)" if result.data is None else str(result.data)
    table = plain_table(
        "",
        "model",
        "validation",
        "test tracks",
        "fragments",
        "macro F1",
        right=("", "validation", "test tracks", "fragments", "macro F1"),
        title=f"accuracy in % on {escape(what)}, models in the order of validation",
    )
    for place, model in enumerate(result.models, 1):
        table.add_row(
            f"{'=' if model.bundle in result.ties else ' '}{place}" if result.ties else str(place),
            escape(model.name),
            f"{100 * model.validation_track_accuracy:.1f}",
            percent_with_interval(model.track_accuracy),
            percent_with_interval(model.fragment_accuracy),
            percent_with_interval(model.macro_f1),
        )
    console.print(table)
    counted = (
        "no reading is counted for a folder"
        if result.readings is None
        else f"this test part has now been read {_times(result.readings)}"
    )
    console.print(
        f"95 % intervals by resampling {first.resampled}; {first.tracks} tracks, {first.fragments} fragments, "
        f"{first.left_out} left out; {counted}",
        style="dim",
    )
    _show_comparison(console, result)
    for model in result.models if details else result.models[:1]:
        _show_figures(console, model)
        _show_genres(console, model)
        _show_confusion(console, model)
    for written in (result.out, result.report):
        if written is not None:
            console.print(f"written: {escape(str(written))}")


def _show_comparison(console: Console, result: EvaluateResult) -> None:
    """Print the first model against the second, and what the mark of a tie means."""
    if not result.comparisons:
        return
    pair, names = result.comparisons[0], {model.bundle: model.name for model in result.models}
    value, low, high = (100 * share for share in (pair.difference.value, pair.difference.low, pair.difference.high))
    console.print(
        f"{escape(names[pair.first])} against {escape(names[pair.other])}, on the same {pair.tracks} tracks: "
        f"{value:+.1f} points ({signed_points(low)} to {signed_points(high)}), p {pair.p:.2g}"
    )
    if result.ties:
        console.print("= cannot be told from the first on these tracks", style="dim")


def _show_figures(console: Console, model: ModelFigures) -> None:
    table = plain_table("", "tracks", "fragments", right=("tracks", "fragments"), title=f"\n{escape(model.name)}, in %")
    levels = (model.track_figures, model.fragment_figures)
    for name, key in _FIGURES.items():
        table.add_row(name, *(percent_with_interval(getattr(level, key)) for level in levels))
    table.add_row("calibration error", *(percent_with_interval(level.calibration.error) for level in levels))
    table.add_row("  by chance alone", *(f"{100 * level.calibration.chance:.1f}" for level in levels))
    console.print(table)


def _show_genres(console: Console, model: ModelFigures) -> None:
    names = ("precision", "recall", "95 % interval", "F1", "tracks")
    table = plain_table("genre", *names, right=names, title=f"\n{escape(model.name)}, per track")
    for figures in model.per_genre:
        recall = figures.recall
        table.add_row(
            figures.genre,
            percent(figures.precision),
            percent(recall.value),
            percent_bounds(recall),
            percent(figures.f1),
            str(figures.tracks),
        )
    console.print(table)


def _show_confusion(console: Console, model: ModelFigures) -> None:
    heads = short_names(model.genres)
    table = plain_table("is \\ called", *heads, right=heads, title="\nconfusion, in tracks")
    for row, (genre, counts) in enumerate(zip(model.genres, model.confusion, strict=True)):
        cells = [_cell(count, hit=column == row) for column, count in enumerate(counts)]
        table.add_row(f"{heads[row]}  {genre}" if heads[row].isdigit() else genre, *cells)
    console.print(table)


def short_names(genres: tuple[str, ...]) -> tuple[str, ...]:
    """Three letters for each genre, or numbers where these would be ambiguous.

    >>> short_names(("blues", "jazz")), short_names(("progressive rock", "progressive metal"))
    (('blu', 'jaz'), ('1', '2'))
    """
    letters = tuple(genre[:3] for genre in genres)
    return letters if len(set(letters)) == len(genres) else tuple(str(number) for number in range(1, len(genres) + 1))


def _cell(count: int, *, hit: bool) -> str:
    if count == 0:
        return "[dim].[/dim]"
    return f"[bold green]{count}[/bold green]" if hit else str(count)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
