"""The table and the CSV that `genrekit predict` prints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genrekit.cli.display import duration, emit_text, lines, plain_table, stdout
from genrekit.cli.timeline import Key, strip
from genrekit.io.csv_table import csv_text
from genrekit.io.printable import printable
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
    folder, names = _names([file.path for file in result.files])
    if folder:
        console.print(f"files in {folder}:", soft_wrap=True)
    columns = {
        "file": _wrapped(names, console.width // 4),
        "genre": [_shown_genre(file) for file in result.files],
        "probability": ["" if file.silent else percent(file.probability) for file in result.files],
        "next": [_next_genres(file, top, ", " if wide else "\n") for file in result.files],
        "length": [duration(file.duration_s) for file in result.files],
    }
    if not wide:
        del columns["length"]
    widths = {
        head: max(len(line) for cell in (head, *cells) for line in cell.split("\n")) for head, cells in columns.items()
    }
    widths["file"] = min(widths["file"], console.width // 2)
    remaining = console.width - sum(widths.values()) - 2 * len(widths)
    strips = [strip(file.fragments, max(_MIN_STRIP, min(remaining, _MAX_STRIP)) // key.width) for file in result.files]
    table = plain_table(*columns, "timeline", right=("probability", "length"))
    table.columns[0].max_width = widths["file"]
    for *cells, timeline in zip(*columns.values(), map(key.text, strips), strict=True):
        table.add_row(*(lines(cell.split("\n")) for cell in cells), timeline)
    console.print(table)
    if any(not file.confident and not file.silent for file in result.files):
        console.print(f"unsure: the probability is below {percent(result.min_confidence)}", style="dim")
    console.print(key.legend(genre for genres in strips for genre in genres))
    tagged = sum(file.tagged is not None for file in result.files)
    tags = f", {tagged} of {len(result.files)} files tagged" if tagged or result.untagged else ""
    console.print(f"model: {result.bundle}{tags}", style="dim", soft_wrap=True)


def write_csv(result: PredictResult, top: int) -> None:
    """Print a row for each file: its path, and the most probable genres with their probabilities."""
    more = [name for rank in range(2, top + 1) for name in (f"genre_{rank}", f"probability_{rank}")]
    rows = []
    for file in result.files:
        ranked = [] if file.silent else file.ranked[:top]
        cells = [cell for genre, value in ranked for cell in (genre, f"{value:.4f}")]
        first, second, *others = cells + [""] * (2 + len(more) - len(cells))
        rows.append([str(file.path), first, second, str(file.confident).lower(), *others])
    emit_text(csv_text(["path", "genre", "probability", "confident", *more], rows))


def _names(paths: Sequence[Path]) -> tuple[str, list[str]]:
    r"""The files' names; if these are not unique, their common folder and the rest of their paths.

    Characters that cannot be printed are escaped.

    >>> _names([Path("a/x.wav"), Path("a/\x1b.wav")]), _names([Path("m/a/x.wav"), Path("m/b/x.wav")])
    (('', ['x.wav', '\\x1b.wav']), ('m', ['a/x.wav', 'b/x.wav']))
    """
    folder, names = "", [path.name for path in paths]
    if len({*names}) < len(names):
        names = [str(path) for path in paths]
        with suppress(ValueError):  # absolute and relative paths have no common folder
            common = os.path.commonpath([path.parent for path in paths])
            if common not in ("", os.curdir, os.sep):
                folder, names = common, [str(path.relative_to(common)) for path in paths]
    return printable(folder), list(map(printable, names))


def _wrapped(names: Sequence[str], width: int) -> list[str]:
    r"""Names in lines of at most this width, which end after a separator; a longer word is not broken.

    >>> _wrapped(["John Coltrane/Blue Train.wav"], 16)
    ['John Coltrane/\nBlue Train.wav']
    """
    return ["\n".join(_lines(name, width)) for name in names]


def _lines(name: str, width: int) -> Iterator[str]:
    line = ""
    for piece in re.findall(r".+?(?:[/\\ _-]+|$)", name):
        if line and len(line) + len(piece.rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += piece
    yield line


def _shown_genre(file: FilePrediction) -> str:
    if file.genre is None:
        return "silent"
    if not file.confident:
        return "unsure"
    genre = printable(file.genre)
    return f"{genre} (none of the genres)" if file.rejected else genre


def _next_genres(file: FilePrediction, top: int, separator: str) -> str:
    """The genres after the first, or from the first on if the prediction is not confident; none if it is silent."""
    if file.silent:
        return ""
    ranked = file.ranked[int(file.confident) : top]
    return separator.join(f"{printable(genre)} {percent(value)}" for genre, value in ranked)
