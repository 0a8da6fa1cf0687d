"""genrekit compare."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genrekit.cli.display import emit_json, emit_text, plain_table, stdout
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.errors import UsageError
from genrekit.metrics.formatting import loss_text, percent, percent_bounds

if TYPE_CHECKING:
    from genrekit.workflows.compare import CompareResult, RankedRun

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_STDOUT = (Path("-"), Path("/dev/stdout"))
"""The names of stdout as a file. The second is not opened, because this would replace the file that stdout leads to."""


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
    best_models: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of bundles; their runs are marked with a star.")
    ] = Path("best_models"),
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Also write the ranking as CSV, with all digits. - prints it instead."
        ),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(
            "--latex",
            metavar="FILE",
            help="Also write the ranking as LaTeX tables (booktabs). - prints them instead.",
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
    from genrekit.workflows.ranking_files import ranking_csv, ranking_latex, write_csv, write_latex

    paths = folders or ["runs"]
    printed = [text for path, text in ((csv, ranking_csv), (latex, ranking_latex)) if path in _STDOUT]
    if len(printed) + as_json > 1:
        raise UsageError("--json, --csv - and --latex - all print to stdout: choose one")
    _refuse_studies(paths)
    with terminal(quiet=quiet or as_json) as reporter:
        ranking = rank(paths, best_models=best_models, reporter=reporter)
    for path, write in ((csv, write_csv), (latex, write_latex)):
        if path is not None and path not in _STDOUT:
            write(ranking, path)
    if printed:
        emit_text(printed[0](ranking))
    else:
        emit_json(ranking) if as_json else show(ranking, best_models)


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


def show(result: CompareResult, best_models: Path) -> None:
    """Print the ranking of each split."""
    console = stdout()
    for group, runs in groupby(result.runs, key=lambda run: run.group):
        columns = ("", "run", "seeds", "accuracy", "95 % interval", "loss", "params")
        right = ("", "accuracy", "loss", "params")
        table = plain_table(*columns, right=right, title=f"track accuracy on the validation set ({group})")
        for rank, run in enumerate(runs, 1):
            mark = ("=" if run.tied else "") + ("*" if run.kept else "")
            table.add_row(
                f"{mark}{rank}",
                run.name + (" +" if run.uses_outside_data else ""),
                _seeds(run.seeds),
                *_cells(run),
            )
        console.print(table)
    if any(run.kept for run in result.runs):
        console.print(f"* its model is in {best_models}/", style="dim")
    if any(run.tied for run in result.runs):
        console.print("= not significantly different from the first", style="dim")
    if any(run.uses_outside_data for run in result.runs):
        text = "+ uses a network trained on outside data, which may include the artists of these tracks"
        console.print(text, style="dim")


def _seeds(seeds: tuple[int, ...]) -> str:
    """The seeds, or their number if there are more than three.

    >>> _seeds((3,)), _seeds((0, 1, 2))
    ('3', '0, 1, 2')
    """
    return ", ".join(map(str, seeds)) if len(seeds) <= 3 else f"{len(seeds)} seeds"


def _cells(run: RankedRun) -> tuple[str, str, str, str]:
    accuracy = run.track_accuracy
    return percent(accuracy.value), percent_bounds(accuracy), loss_text(run.loss), f"{run.parameters:,}"
