"""genrekit predict."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from genrekit.cli.completion import choice
from genrekit.cli.display import emit_json
from genrekit.cli.options import DeviceOption, JsonFlag, NetworkOption, QuietFlag, engine_of, takes
from genrekit.cli.predict_display import TOP, show, write_csv
from genrekit.cli.progress import terminal
from genrekit.config import EngineConfig, PredictConfig
from genrekit.data.manifest_file import existing_name
from genrekit.errors import UsageError
from genrekit.io.regular_files import SMALL
from genrekit.io.text import decode_text

if TYPE_CHECKING:
    from genrekit.audio.tags import GenreMode

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(PredictConfig, EngineConfig)
def predict(
    values: dict[str, Any],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER|-", help="Audio files of any length, or folders of them. - reads stdin."),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A bundle, or a folder of bundles: the one with the best validation accuracy is used. Default: "
            "best_models/, or the included model if that folder has none.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help=f"Number of most probable genres in the table and CSV. [dim]\\[default: {TOP}][/dim]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files to process in parallel. Default: one per core.")
    ] = None,
    network: NetworkOption = None,
    device: DeviceOption = "auto",
    write_tags: Annotated[
        bool, typer.Option("--write-tags", help="Write the genre into audio metadata; needs --tags-out or --in-place.")
    ] = False,
    tags_out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write tags into copies of the files in this folder.")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write tags into the files themselves.")] = False,
    genre_mode: Annotated[
        str,
        typer.Option(**choice("replace", "add", help="Replace genres that a file already has, or add the new one.")),
    ] = "replace",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout, one row per file.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Predict the genre of audio files.

    The probabilities of a file are the means over its fragments. The timeline shows the genre of each fragment.

    With - as a file, paths are read from stdin, one per line or separated by NUL.
    """
    from genrekit.workflows.predict import predict as run

    _require_one_output(as_json=as_json, as_csv=as_csv, top=top)
    _require_tags(write_tags, genre_mode, has_target=in_place or tags_out is not None)
    engine = engine_of(EngineConfig, values)
    config = PredictConfig.of(values)
    with terminal(quiet=quiet or as_json or as_csv, decodes=True) as reporter:
        result = run(
            _with_stdin(files),
            model,
            config=config,
            network=network,
            device=device,
            workers=workers,
            tag_in_place=in_place,
            tags_out=tags_out,
            genre_mode=cast("GenreMode", genre_mode),
            engine=engine,
            reporter=reporter,
        )
    if as_json:
        emit_json(result)
    elif as_csv:
        write_csv(result, top or TOP)
    else:
        show(result, top or TOP)
    if result.skipped or result.untagged:
        raise typer.Exit(1)


def _require_one_output(*, as_json: bool, as_csv: bool, top: int | None) -> None:
    if as_json and as_csv:
        raise UsageError("--json and --csv cannot be used together: choose one")
    if as_json and top is not None:
        raise UsageError("--top has no effect with --json, which has all genres: leave it out")


def _require_tags(write_tags: bool, genre_mode: str, *, has_target: bool) -> None:
    if write_tags != has_target:
        raise UsageError("--write-tags needs --tags-out FOLDER or --in-place, and these need --write-tags")
    if genre_mode != "replace" and not write_tags:
        raise UsageError(f"--genre-mode {genre_mode} has no effect without --write-tags: add --write-tags")


def _with_stdin(files: Sequence[Path]) -> list[Path]:
    """The files, with "-" replaced by the paths on standard input."""
    return [path for file in files for path in (_read_stdin() if str(file) == "-" else [file])]


def _read_stdin() -> list[Path]:
    content = sys.stdin.buffer.read(SMALL + 1)
    if len(content) > SMALL:
        raise UsageError(f"the list of files on stdin has more than {SMALL >> 20} MiB: name folders instead")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = os.fsencode(decode_text(content)[0])
    content = content.removeprefix(codecs.BOM_UTF8)
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [Path(existing_name(Path(), os.fsdecode(line))) for line in lines if line]
