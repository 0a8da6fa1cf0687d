"""genrekit compare."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from genrekit.cli.display import emit_json, plain_table, stdout
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.errors import UsageError
from genrekit.metrics.formatting import loss_text, percent, percent_bounds
from genrekit.metrics.intervals import Interval

if TYPE_CHECKING:
    from genrekit.workflows.compare import CompareResult, RankedRun

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def compare(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN_DIR",
            help="Runs, or folders of runs. [dim]\\[default: runs][/dim]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Rank finished runs by validation accuracy, then loss.

    Runs that differ only in their seed are one row. Runs with different splits are ranked separately. The test set is
    not read.
    """
    from genrekit.workflows.compare import compare as rank

    paths = folders or ["runs"]
    _refuse_studies(paths)
    with terminal(quiet=quiet or as_json) as reporter:
        ranking = rank(paths, reporter=reporter)
    emit_json(ranking) if as_json else show(ranking)


def _refuse_studies(paths: Sequence[str]) -> None:
    """Refuse the name or the file of a study, and name the command that runs it.

    Errors: UsageError for a TOML file, and for a path that does not exist but resembles the name of an included study.
    """
    included = resources.files("genrekit") / "studies" / "shipped"
    if not included.is_dir():
        return
    names = sorted(file.name.removesuffix(".toml") for file in included.iterdir())
    for path in paths:
        if Path(path).is_dir():
            continue
        if path in names:
            raise UsageError(f"{path} is a study: genrekit study run {path}")
        if path.endswith(".toml"):
            raise UsageError(f"{path} is not a run: genrekit study run {path}, or genrekit search {path}")
        if not Path(path).exists() and (close := get_close_matches(path, names, n=1)):
            raise UsageError(f"{path} does not exist: did you mean genrekit study run {close[0]}?")


def show(result: CompareResult) -> None:
    """Print the ranking of each split."""
    console = stdout()
    for group, runs in groupby(result.runs, key=lambda run: run.group):
        columns = ("", "run", "seeds", "accuracy", "95 % interval", "loss", "params")
        right = ("", "accuracy", "loss", "params")
        table = plain_table(*columns, right=right, title=f"track accuracy on the validation set ({escape(group)})")
        for rank, run in enumerate(runs, 1):
            mark = ("=" if run.tied else "") + ("*" if run.kept else "")
            table.add_row(f"{mark}{rank}", escape(run.name), _seeds(run.seeds), *_cells(run))
        console.print(table)
    console.print("* among the five best runs of its split, which are in best_models/", style="dim")
    if any(run.tied for run in result.runs):
        console.print("= not significantly different from the first", style="dim")


def _seeds(seeds: tuple[int, ...]) -> str:
    """The seeds, or their number if there are more than three.

    >>> _seeds((3,)), _seeds((0, 1, 2))
    ('3', '0, 1, 2')
    """
    return ", ".join(map(str, seeds)) if len(seeds) <= 3 else f"{len(seeds)} seeds"


def _cells(run: RankedRun) -> tuple[str, str, str, str]:
    accuracy = run.track_accuracy
    mean, low, high = accuracy["mean"] or 0.0, accuracy["low"], accuracy["high"]
    bounds = "" if low is None or high is None else percent_bounds(Interval(mean, low, high))
    return percent(mean), bounds, loss_text(run.loss), f"{run.parameters:,}"
