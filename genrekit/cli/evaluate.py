"""genrekit evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genrekit.cli.display import emit_json, interval, percent, plain_table, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.records import EvaluateResult, ModelFigures

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def evaluate(
    models: Annotated[Path, typer.Argument(help="A bundle, or a folder of bundles such as best_models/.")],
    cache: Annotated[Path, typer.Option(help="The cache whose test part is read.")] = Path("data/cache.h5"),
    details: Annotated[
        bool, typer.Option("--details", help="Genres and confusion of every model, not of the first alone.")
    ] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Score a bundle, or a folder of bundles, on the test part.

    The only command that reads the test part. Models keep the order of their validation rank, because choosing by
    test figures would make them optimistic.
    """
    from genrekit.workflows.evaluate import evaluate as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(models, cache, reporter=reporter)
    if as_json:
        emit_json(result)
    else:
        show(result, details=details)


def show(result: EvaluateResult, *, details: bool) -> None:
    """Print the ranking, then genres and confusion of the first model, or of all."""
    console = stdout()
    table = plain_table(
        "",
        "model",
        "validation",
        "test tracks",
        "fragments",
        "macro F1",
        right=("", "validation", "test tracks", "fragments", "macro F1"),
        title=f"accuracy in % on the test part ({result.models[0].split} split), models in the order of validation",
    )
    for place, model in enumerate(result.models, 1):
        table.add_row(
            str(place),
            model.bundle.name,
            f"{100 * model.validation_track_accuracy:.1f}",
            interval(model.track_accuracy),
            interval(model.fragment_accuracy),
            interval(model.macro_f1),
        )
    console.print(table)
    first = result.models[0]
    console.print(
        f"95 % intervals by resampling {first.resampled}; {first.tracks} tracks, {first.fragments} fragments, "
        f"{first.left_out} left out; this test part has now been read {_times(result.readings)}",
        style="dim",
    )
    for model in result.models if details else result.models[:1]:
        _show_genres(console, model)
        _show_confusion(console, model)


def _show_genres(console: Console, model: ModelFigures) -> None:
    names = ("precision", "recall", "95 % interval", "F1", "tracks")
    table = plain_table("genre", *names, right=names, title=f"\n{model.bundle.name}, per track")
    for figures in model.per_genre:
        recall = figures.recall
        table.add_row(
            figures.genre,
            percent(figures.precision),
            percent(recall.value),
            f"{100 * recall.low:.0f} to {100 * recall.high:.0f}",
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
