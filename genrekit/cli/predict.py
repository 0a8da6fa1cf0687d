"""genrekit predict."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from genrekit.cli.display import duration, emit_json, plain_table, stdout, terminal
from genrekit.cli.options import DeviceOption, JsonFlag, QuietFlag, takes
from genrekit.cli.timeline import Key, strip
from genrekit.config import PredictConfig
from genrekit.errors import UsageError
from genrekit.inference.prediction import FilePrediction
from genrekit.metrics.formatting import percent
from genrekit.workflows.predict import PredictResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

TOP = 3
"""Genres that are shown of each file."""

_ROOMY = 100
"""Columns from which on the next genres stand in one line."""

_LONGEST_STRIP, _SHORTEST_STRIP = 60, 8


@app.command()
@takes(PredictConfig)
def predict(
    values: dict[str, Any],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER|-", help="Audio files of any length, folders of them; - reads their list."),
    ],
    model: Annotated[
        Path, typer.Option(help="A bundle, or a folder of bundles whose best by validation is used.")
    ] = Path("best_models"),
    top: Annotated[int, typer.Option(min=1, help="How many of the likeliest genres the table and CSV show.")] = TOP,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files listened to at once; by default the cores there are.")
    ] = None,
    device: DeviceOption = "auto",
    write_tags: Annotated[
        bool, typer.Option("--write-tags", help="Write genres into metadata: of copies, or of the files themselves.")
    ] = False,
    tags_out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write tags into copies in this folder.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write tags into the files themselves.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout, one line a file.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Name the genre of audio files.

    The file's probabilities are the means over its fragments; the timeline says where in the file each genre holds.

    With - in the place of a file, paths are read from standard input, one a line, or separated by NUL.
    """
    from genrekit.workflows.predict import predict as run

    if as_json and as_csv:
        raise UsageError("JSON and CSV cannot both be printed: choose one")
    if write_tags != (in_place or tags_out is not None):
        raise UsageError("--write-tags needs --tags-out DIR for copies or --in-place, and they need it")
    with terminal(quiet=quiet or as_json or as_csv) as reporter:
        result = run(
            _listed(files),
            model,
            values,
            device=device,
            workers=workers,
            tag_in_place=in_place,
            tags_out=tags_out,
            reporter=reporter,
        )
    if as_json:
        emit_json(result)
    elif as_csv:
        write_csv(result, top)
    else:
        show(result, top)
    if result.skipped or result.untagged:
        raise typer.Exit(1)


def _listed(files: Sequence[Path]) -> list[Path]:
    """The files that are named; in the place of "-" those that standard input lists."""
    return [path for file in files for path in (_from_stdin() if str(file) == "-" else [file])]


def _from_stdin() -> list[Path]:
    listed = sys.stdin.buffer.read()
    return [
        Path(os.fsdecode(line)) for line in (listed.split(b"\0") if b"\0" in listed else listed.splitlines()) if line
    ]


def write_csv(result: PredictResult, top: int) -> None:
    """Print a line for each file: its path, and the likeliest genres with their probabilities."""
    more = [name for place in range(2, top + 1) for name in (f"genre_{place}", f"probability_{place}")]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "genre", "probability", "confident", *more])
    for file in result.files:
        first, *others = file.ranked[:top]
        cells = [cell for genre, value in others for cell in (genre, f"{value:.4f}")]
        padded = cells + [""] * (len(more) - len(cells))
        writer.writerow([file.path, first[0], f"{first[1]:.4f}", str(file.confident).lower(), *padded])


def show(result: PredictResult, top: int = TOP) -> None:
    """Print a line for each file, with its timeline, and what the timelines' letters mean."""
    console = stdout()
    key = Key(list(result.files[0].probabilities))
    roomy = console.width >= _ROOMY and top <= TOP
    columns = {
        "file": _names([file.path for file in result.files]),
        "genre": [file.genre if file.confident else "unsure" for file in result.files],
        "probability": [percent(file.probability) for file in result.files],
        "next": [_following(file, top, ", " if roomy else "\n") for file in result.files],
        "length": [duration(file.duration_s) for file in result.files],
    }
    if not roomy:
        del columns["length"]
    widths = {
        head: max(len(line) for cell in (head, *cells) for line in cell.split("\n")) for head, cells in columns.items()
    }
    widths["file"] = min(widths["file"], console.width // 4)
    room = console.width - sum(widths.values()) - 2 * len(widths)
    strips = [strip(file.fragments, max(_SHORTEST_STRIP, min(room, _LONGEST_STRIP))) for file in result.files]
    table = plain_table(*columns, "timeline", right=("probability", "length"))
    table.columns[0].max_width = widths["file"]
    for *cells, drawn in zip(*columns.values(), map(key.drawn, strips), strict=True):
        table.add_row(*map(Text, cells), drawn)
    console.print(table)
    console.print(key.legend(genre for cells in strips for genre in cells))
    tagged = sum(file.tagged is not None for file in result.files)
    written = f", {tagged} of {len(result.files)} files tagged" if tagged or result.untagged else ""
    console.print(f"by {result.bundle}{written}", style="dim", markup=False)


def _names(paths: Sequence[Path]) -> list[str]:
    r"""The files' names, or their paths where names are not unique; what cannot be printed is escaped.

    >>> _names([Path("a/x.wav"), Path("a/\x1b.wav")]), _names([Path("a/x.wav"), Path("b/x.wav")])
    (['x.wav', '\\x1b.wav'], ['a/x.wav', 'b/x.wav'])
    """
    names = [path.name for path in paths]
    shown = names if len({*names}) == len(names) else [str(path) for path in paths]
    return [name if name.isprintable() else ascii(name)[1:-1] for name in shown]


def _following(file: FilePrediction, top: int, separator: str) -> str:
    """The genres after the first; of an unsure file the first is among them."""
    return separator.join(f"{genre} {percent(value)}" for genre, value in file.ranked[int(file.confident) : top])
