"""The ranking of `compare` as text or files: CSV for programs and LaTeX for papers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from genrekit.io import latex
from genrekit.io.csv_table import csv_text
from genrekit.io.files import cannot, require_format, write_text
from genrekit.io.targets import Own, replaceable, starts_with
from genrekit.metrics.formatting import loss_text, percent, percent_bounds
from genrekit.workflows.compare import CompareResult, RankedRun

_COLUMNS = ("split", "place", "run", "seeds", "accuracy", "low", "high", "loss", "parameters", "tied", "kept")


_TITLE = "% track accuracy on the validation set ("


def write_csv(result: CompareResult, path: Path) -> None:
    """Write `ranking_csv` to a file. Only an earlier ranking is replaced.

    Errors: GenrekitError if the file cannot be written or is something else; UsageError if the path has the extension
    of another format.
    """
    require_format(path, ".csv")
    _write(path, ranking_csv(result), starts_with(",".join(_COLUMNS).encode()))


def write_latex(result: CompareResult, path: Path) -> None:
    """Write `ranking_latex` to a file. Only an earlier ranking is replaced.

    Errors: GenrekitError if the file cannot be written or is something else; UsageError if the path has the extension
    of another format.
    """
    require_format(path, ".tex")
    _write(path, ranking_latex(result), starts_with(_TITLE.encode()))


def ranking_csv(result: CompareResult) -> str:
    """Return one row per configuration, with all digits."""
    return csv_text((*_COLUMNS, "outside_data"), [_numbers(place, run) for place, run in _places(result)])


def ranking_latex(result: CompareResult) -> str:
    """Return one table for each split, as the command line prints them."""
    return "\n".join(_tables(result))


def _tables(result: CompareResult) -> Iterator[str]:
    head = ("", "run", "seeds", "accuracy", "95 % interval", "loss", "parameters")
    for group, places in groupby(_places(result), key=lambda item: item[1].group):
        rows = [_texts(place, run) for place, run in places]
        yield f"{_TITLE}{group})\n" + latex.table(head, rows, numeric={0, 3, 4, 5, 6})


def _places(result: CompareResult) -> Iterator[tuple[int, RankedRun]]:
    for _, runs in groupby(result.runs, key=lambda run: run.group):
        yield from enumerate(runs, 1)


def _numbers(place: int, run: RankedRun) -> tuple[str | int | float, ...]:
    accuracy, seeds = run.track_accuracy, " ".join(map(str, run.seeds))
    marks = ["yes" if mark else "no" for mark in (run.tied, run.kept, run.uses_outside_data)]
    figures = [accuracy.value, accuracy.low, accuracy.high, run.loss]
    return (run.group, place, run.name, seeds, *figures, run.parameters, *marks)


def _texts(place: int, run: RankedRun) -> tuple[str, ...]:
    accuracy, seeds = run.track_accuracy, ", ".join(map(str, run.seeds))
    figures = (percent(accuracy.value), percent_bounds(accuracy), loss_text(run.loss), f"{run.parameters:,}")
    return (f"{'=' if run.tied else ''}{place}", run.name + (" +" if run.uses_outside_data else ""), seeds, *figures)


def _write(path: Path, text: str, own: Own) -> None:
    try:
        write_text(replaceable(path, own), text)
    except OSError as error:
        raise cannot("write", path, error) from error
