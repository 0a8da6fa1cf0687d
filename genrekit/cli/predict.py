"""genrekit predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import emit_json, percent, plain_table, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.records import FilePrediction, PredictResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Audio files of any length.")],
    model: Annotated[
        Path, typer.Option(help="A bundle, or a folder of bundles whose best by validation is used.")
    ] = Path("best_models"),
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Name the genre of audio files.

    The file's probabilities are the means over its fragments; the timeline says where in the file each genre holds.
    """
    from genrekit.workflows.predict import predict as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(files, model, reporter=reporter)
    emit_json(result) if as_json else show(result)
    if result.skipped:
        raise typer.Exit(1)


def show(result: PredictResult) -> None:
    """Print a line for each file."""
    console = stdout()
    table = plain_table("file", "genre", "probability", "next", "where", right=("probability",))
    for file in result.files:
        ranked = sorted(file.probabilities.items(), key=lambda item: -item[1])
        following = ", ".join(f"{genre} {percent(value)}" for genre, value in ranked[1:3])
        table.add_row(file.path.name, file.genre, percent(ranked[0][1]), following, timeline(file))
    if result.files:
        console.print(table)
        console.print(f"by {result.bundle}", style="dim")


def timeline(file: FilePrediction) -> str:
    """Where each genre holds, neighbouring fragments of one genre joined, as "0:00 blues, 0:15 rock"."""
    changes = [
        (fragment.start_s, fragment.genre)
        for before, fragment in zip((None, *file.fragments), file.fragments, strict=False)
        if before is None or before.genre != fragment.genre
    ]
    return ", ".join(f"{int(start) // 60}:{int(start) % 60:02d} {genre}" for start, genre in changes)
