"""The table and the CSV that `genrekit predict` prints."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from genrekit.cli.display import duration, plain_table, stdout
from genrekit.cli.timeline import Key, strip
from genrekit.metrics.formatting import percent

if TYPE_CHECKING:
    from genrekit.inference.prediction import FilePrediction
    from genrekit.workflows.predict import PredictResult

TOP = 3
"""Default number of genres per file."""

_WIDE = 100
"""Columns of a terminal from which the next genres of a file stand in one line, and its length is shown."""

_MAX_STRIP, _MIN_STRIP = 60, 8


def show(result: PredictResult, top: int = TOP) -> None:
    """Print a row with a timeline for each file, and the legend of the timelines."""
    console = stdout()
    key = Key(list(result.files[0].probabilities))
    wide = console.width >= _WIDE and top <= TOP
    columns = {
        "file": _names([file.path for file in result.files]),
        "genre": [file.genre if file.confident else "unsure" for file in result.files],
        "probability": [percent(file.probability) for file in result.files],
        "next": [_next_genres(file, top, ", " if wide else "\n") for file in result.files],
        "length": [duration(file.duration_s) for file in result.files],
    }
    if not wide:
        del columns["length"]
    widths = {
        head: max(len(line) for cell in (head, *cells) for line in cell.split("\n")) for head, cells in columns.items()
    }
    widths["file"] = min(widths["file"], console.width // 4)
    remaining = console.width - sum(widths.values()) - 2 * len(widths)
    strips = [strip(file.fragments, max(_MIN_STRIP, min(remaining, _MAX_STRIP))) for file in result.files]
    table = plain_table(*columns, "timeline", right=("probability", "length"))
    table.columns[0].max_width = widths["file"]
    for *cells, timeline in zip(*columns.values(), map(key.text, strips), strict=True):
        table.add_row(*map(Text, cells), timeline)
    console.print(table)
    console.print(key.legend(genre for genres in strips for genre in genres))
    tagged = sum(file.tagged is not None for file in result.files)
    tags = f", {tagged} of {len(result.files)} files tagged" if tagged or result.untagged else ""
    console.print(f"model: {result.bundle}{tags}", style="dim", markup=False)


def write_csv(result: PredictResult, top: int) -> None:
    """Print a row for each file: its path, and the most probable genres with their probabilities."""
    more = [name for rank in range(2, top + 1) for name in (f"genre_{rank}", f"probability_{rank}")]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "genre", "probability", "confident", *more])
    for file in result.files:
        first, *others = file.ranked[:top]
        cells = [cell for genre, value in others for cell in (genre, f"{value:.4f}")]
        padded = cells + [""] * (len(more) - len(cells))
        writer.writerow([file.path, first[0], f"{first[1]:.4f}", str(file.confident).lower(), *padded])


def _names(paths: Sequence[Path]) -> list[str]:
    r"""The files' names, or their paths if names are not unique; characters that cannot be printed are escaped.

    >>> _names([Path("a/x.wav"), Path("a/\x1b.wav")]), _names([Path("a/x.wav"), Path("b/x.wav")])
    (['x.wav', '\\x1b.wav'], ['a/x.wav', 'b/x.wav'])
    """
    names = [path.name for path in paths]
    shown = names if len({*names}) == len(names) else [str(path) for path in paths]
    return [name if name.isprintable() else ascii(name)[1:-1] for name in shown]


def _next_genres(file: FilePrediction, top: int, separator: str) -> str:
    """The genres after the first, or from the first on if the prediction is not confident."""
    return separator.join(f"{genre} {percent(value)}" for genre, value in file.ranked[int(file.confident) : top])
