"""genrekit manifest: describe a collection that has its own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genrekit.cli.display import emit_json, stdout
from genrekit.cli.groups import CommandGroup
from genrekit.cli.options import JsonFlag, QuietFlag
from genrekit.cli.progress import terminal
from genrekit.errors import counted
from genrekit.workflows.manifest import ManifestResult

app = typer.Typer(cls=CommandGroup, add_completion=False, no_args_is_help=True, rich_markup_mode="rich")

DataArgument = Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Folder of the collection.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Manifest to write. [dim]\\[default: manifest.csv in the audio folder][/dim]",
        show_default=False,
    ),
]
OverwriteFlag = Annotated[bool, typer.Option("--overwrite", help="Replace an existing manifest.")]


@app.callback()
def manifest() -> None:
    """Write the CSV manifest of a collection that does not have one folder per genre.

    A manifest lists path, genre, artist and split of each track. Use it with genrekit prepare --manifest.
    """


@app.command("fma")
def fma(
    tracks_csv: Annotated[Path, typer.Argument(metavar="TRACKS_CSV", help="FMA's metadata, fma_metadata/tracks.csv.")],
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="FMA's audio folder, such as fma_small. [dim]\\[default: the one near TRACKS_CSV][/dim]",
            show_default=False,
        ),
    ] = None,
    out: OutOption = None,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write the manifest of FMA: top genres, artists, and FMA's own split.

    Lists the tracks whose audio exists, so the same file describes fma_small, fma_medium or fma_large.
    """
    from genrekit.workflows.manifest import fma_manifest

    with terminal(quiet=quiet or as_json) as reporter:
        result = fma_manifest(tracks_csv, audio=audio, out=out, overwrite=overwrite, reporter=reporter)
    emit_json(result) if as_json else show(result)


@app.command("gtzan")
def gtzan(
    data: DataArgument,
    out: OutOption = None,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write the manifest of GTZAN: artists of its index, and the fault-filtered split.

    Finds the files by their names, so any published layout works.
    """
    from genrekit.workflows.manifest import gtzan_manifest

    with terminal(quiet=quiet or as_json) as reporter:
        result = gtzan_manifest(data, out=out, overwrite=overwrite, reporter=reporter)
    emit_json(result) if as_json else show(result)


@app.command("folders")
def folders(
    data: DataArgument,
    validation: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Folder of the validation set; repeatable.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Folder of the test set; repeatable.")
    ] = None,
    out: OutOption = None,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write the manifest of a collection with folders SUBSET/GENRE/.

    Folders named train, val, test and the like are recognized. Name others, such as fold1, with --validation and
    --test; the remaining folders are the training set.
    """
    from genrekit.workflows.manifest import folders_manifest

    with terminal(quiet=quiet or as_json):
        result = folders_manifest(
            data, validation=tuple(validation or ()), test=tuple(test or ()), out=out, overwrite=overwrite
        )
    emit_json(result) if as_json else show(result)


def show(result: ManifestResult) -> None:
    """Print what the manifest lists, and the command that uses it."""
    console = stdout()
    subsets = ", ".join(f"{name or 'unused'} {count:,}" for name, count in result.subsets.items())
    console.print(
        f"{result.manifest}: {counted(result.tracks, 'track')}, {counted(len(result.genres), 'genre')} "
        f"({subsets}), {result.with_artist:,} with an artist"
    )
    console.print(f"next: genrekit prepare --manifest {result.manifest}")
