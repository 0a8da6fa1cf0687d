"""genrekit info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from genrekit.cli.display import emit_json, plain_table, stdout
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.errors import few

MOST = 20
"""Most items of a list that are shown; with --json all are."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def info(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A cache, a run, a bundle, a folder of runs or bundles, a study's report or file."
        ),
    ],
    verify: Annotated[bool, typer.Option("--verify", help="Compare every row of a cache with its checksum.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write pictures and WAV files of one fragment per genre of a cache, with its variants, to FOLDER.",
        ),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Describe a cache, a run, a bundle, a folder of runs or bundles, or a study.

    For a cache, this prints its configuration, tracks per genre and split, duplicates, skipped files and size.
    """
    from genrekit.workflows.info import info as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(path, verify=verify, plot=plot, reporter=reporter)
    if as_json:
        emit_json(result)
        return
    table = plain_table(f"{result.kind} {result.path}", "")
    for key, value in result.facts.items():
        table.add_row(key, shown(value))
    stdout().print(table)


def shown(value: Any) -> str:
    """A fact as text.

    >>> shown({"blues": 10, "jazz": 9}), shown(["original", "noise"]), shown(None), shown(1_500)
    ('blues 10, jazz 9', 'original, noise', 'none', '1,500')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return few([_pair(item) or shown(item) for item in value], MOST) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)


def _pair(item: Any) -> str:
    """Join the ids of tracks that are equal; return nothing for any other item.

    >>> _pair(["a", "b"]), _pair([2, 3])
    ('a = b', '')
    """
    return " = ".join(item) if isinstance(item, list) and all(isinstance(part, str) for part in item) else ""
