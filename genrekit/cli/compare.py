"""genrekit compare."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import emit_json, percent, plain_table, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.records import CompareResult, RankedRun

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN_DIR", help="Runs, or folders of runs. [dim]\\[default: runs][/dim]", show_default=False
        ),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Rank the runs there are by their validation figures.

    By track accuracy, then loss; runs of different splits are ranked apart. The test part is not read.
    """
    from genrekit.workflows.compare import compare as run

    with terminal(quiet=quiet or as_json) as reporter:
        result = run(runs or [Path("runs")], reporter=reporter)
    emit_json(result) if as_json else show(result)


def show(result: CompareResult) -> None:
    """Print the ranking of each split."""
    console = stdout()
    for split, runs in groupby(result.runs, key=lambda run: run.split):
        table = plain_table(
            "",
            "run",
            "tracks",
            "95 % interval",
            "loss",
            "weights",
            right=("", "tracks", "loss", "weights"),
            title=f"validation, {split} split",
        )
        for place, run in enumerate(runs, 1):
            table.add_row(f"{'*' if run.kept else ' '}{place}", run.name, *_figures(run))
        console.print(table)
    console.print("* among the five best of its split, the ones that best_models/ keeps", style="dim")


def _figures(run: RankedRun) -> tuple[str, str, str, str]:
    accuracy = run.track_accuracy
    low, high = accuracy["low"], accuracy["high"]
    between = f"{100 * low:.1f} to {100 * high:.1f}" if low is not None and high is not None else ""
    return percent(accuracy["mean"] or 0.0), between, f"{run.loss:.3f}", f"{run.parameters:,}"
