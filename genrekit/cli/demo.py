"""genrekit demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli import compare, evaluate_display, predict_display
from genrekit.cli.display import duration, emit_json, lines, stdout
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_NEXT = """To use your own music, put one folder of audio files per genre into data/ and run:

  genrekit prepare --augment
  genrekit train --arch cel3 --opt sgd --sched cosine
  genrekit compare
  genrekit evaluate best_models/
  genrekit predict song.mp3"""


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to work in. Nothing is written outside it.")
    ] = Path("genrekit-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic music and of the training runs.")] = 0,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Run all steps on a small synthetic collection, in under two minutes.

    The demo synthesizes tracks of ten genres, prepares them, trains and compares two models, evaluates both on the test
    set and predicts one of its tracks. It needs no download and no account.
    """
    from genrekit.workflows.demo import demo as run

    started = time.monotonic()
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(folder, seed=seed, reporter=reporter)
    if as_json:
        emit_json(result)
        return
    console = stdout()
    compare.show(result.compared, result.folder / "best_models")
    console.print()
    evaluate_display.show(result.evaluated, details=False)
    console.print()
    predict_display.show(result.predicted)
    elapsed = duration(time.monotonic() - started)
    console.print()
    console.print(f"Done in {elapsed}. All files are in {result.folder}/.")
    console.print()
    console.print(lines(_NEXT.splitlines()))
