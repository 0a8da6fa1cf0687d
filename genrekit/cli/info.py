"""genrekit info."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import emit_json, plain_table, stdout
from genrekit.cli.options import JsonFlag

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="CACHE|RUN|BUNDLE", help="What to describe.")],
    as_json: JsonFlag = False,
) -> None:
    """Describe a cache, a run or a bundle."""
    from genrekit.workflows.info import info as run

    result = run(path)
    if as_json:
        emit_json(result)
        return
    table = plain_table(f"{result.kind} {result.path}", "")
    for key, value in result.facts.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    stdout().print(table)
