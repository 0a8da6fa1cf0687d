"""genrekit demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from genrekit.cli import compare, evaluate, predict
from genrekit.cli.display import duration, emit_json, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_NEXT = """
Now with your own music, one folder of audio files per genre in data/:

  genrekit prepare --augment
  genrekit train --arch cel3 --opt sgd --sched cosine
  genrekit compare
  genrekit evaluate best_models/
  genrekit predict song.mp3"""


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of the demo; nothing outside it is touched.")] = Path(
        "genrekit-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the music and of the trainings.")] = 0,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Show everything on a small synthetic collection, in under two minutes.

    Synthesizes ten genres, prepares them, trains and compares two models, evaluates both on the test part and
    predicts a file. Needs no download and no account.
    """
    from genrekit.workflows.demo import demo as run

    started = time.monotonic()
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(folder, seed=seed, reporter=reporter)
    if as_json:
        emit_json(result)
        return
    console = stdout()
    compare.show(result.compared)
    console.print()
    evaluate.show(result.evaluated, details=False)
    console.print()
    predict.show(result.predicted)
    took = duration(time.monotonic() - started)
    console.print(f"\nDone in {took}; everything is in {escape(str(result.folder))}/.", _NEXT, sep="\n")
