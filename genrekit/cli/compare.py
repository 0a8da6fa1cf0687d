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

from genrekit.cli.display import emit_json, percent, plain_table, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.errors import UsageError

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
    """Name the command that runs a study if a study is given instead of a run.

    Errors: UsageError for a TOML file, and for a path that does not exist and is like the name of an included study.
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
            raise UsageError(f"no folder {path}: did you mean genrekit study run {close[0]}?")


def show(result: CompareResult) -> None:
    """Print the ranking of each split."""
    console = stdout()
    for group, runs in groupby(result.runs, key=lambda run: run.group):
        table = plain_table(
            "",
            "run",
            "seeds",
            "tracks",
            "95 % interval",
            "loss",
            "weights",
            right=("", "tracks", "loss", "weights"),
            title=f"validation, {escape(group)}",
        )
        for place, run in enumerate(runs, 1):
            mark = ("=" if run.tied else "") + ("*" if run.kept else "")
            table.add_row(f"{mark}{place}", escape(run.name), _seeds(run.seeds), *_figures(run))
        console.print(table)
    console.print("* has a run among the five best of its split, the ones that best_models/ keeps", style="dim")
    if any(run.tied for run in result.runs):
        console.print("= cannot be told from the first by these runs and tracks", style="dim")


def _seeds(seeds: tuple[int, ...]) -> str:
    """Which seed, or how many.

    >>> _seeds((3,)), _seeds((0, 1, 2))
    ('3', '0, 1, 2')
    """
    return ", ".join(map(str, seeds)) if len(seeds) <= 3 else f"{len(seeds)} seeds"


def _figures(run: RankedRun) -> tuple[str, str, str, str]:
    accuracy = run.track_accuracy
    low, high = accuracy["low"], accuracy["high"]
    between = f"{100 * low:.1f} to {100 * high:.1f}" if low is not None and high is not None else ""
    return percent(accuracy["mean"] or 0.0), between, f"{run.loss:.3f}", f"{run.parameters:,}"
