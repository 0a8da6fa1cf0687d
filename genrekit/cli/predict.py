"""genrekit predict."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genrekit.cli.display import emit_json
from genrekit.cli.options import DeviceOption, JsonFlag, QuietFlag, takes
from genrekit.cli.predict_display import TOP, show, write_csv
from genrekit.cli.progress import terminal
from genrekit.config import PredictConfig
from genrekit.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(PredictConfig)
def predict(
    values: dict[str, Any],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER|-", help="Audio files of any length, or folders of them. - reads stdin."),
    ],
    model: Annotated[
        Path, typer.Option(help="A bundle, or a folder of bundles, of which the best on validation is used.")
    ] = Path("best_models"),
    top: Annotated[int, typer.Option(min=1, help="Number of most probable genres in the table and CSV.")] = TOP,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files to process in parallel. Default: one per core.")
    ] = None,
    device: DeviceOption = "auto",
    write_tags: Annotated[
        bool, typer.Option("--write-tags", help="Write the genre into audio metadata; needs --tags-out or --in-place.")
    ] = False,
    tags_out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write tags into copies of the files in this folder.")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write tags into the files themselves.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout, one row per file.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Predict the genre of audio files.

    The probabilities of a file are the means over its fragments. The timeline shows the genre of each fragment.

    With - as a file, paths are read from stdin, one per line or separated by NUL.
    """
    from genrekit.workflows.predict import predict as run

    if as_json and as_csv:
        raise UsageError("--json and --csv cannot be used together: choose one")
    if write_tags != (in_place or tags_out is not None):
        raise UsageError("--write-tags needs --tags-out DIR or --in-place, and these need --write-tags")
    config = PredictConfig.of(values)
    with terminal(quiet=quiet or as_json or as_csv) as reporter:
        result = run(
            _with_stdin(files),
            model,
            config=config,
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


def _with_stdin(files: Sequence[Path]) -> list[Path]:
    """The files, with "-" replaced by the paths on standard input."""
    return [path for file in files for path in (_read_stdin() if str(file) == "-" else [file])]


def _read_stdin() -> list[Path]:
    content = sys.stdin.buffer.read()
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [Path(os.fsdecode(line)) for line in lines if line]
