"""genrekit prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from genrekit.cli.display import DEFAULT_CACHE, duration, emit_json, stdout
from genrekit.cli.options import JsonFlag, QuietFlag, takes
from genrekit.cli.progress import terminal
from genrekit.config import Augmentation, FeatureConfig, PrepareConfig
from genrekit.errors import counted
from genrekit.workflows.prepare import PrepareResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(PrepareConfig, FeatureConfig, Augmentation)
def prepare(
    values: dict[str, Any],
    data: Annotated[
        Path, typer.Argument(metavar="DATA_DIR", help="Folder with one folder of audio files per genre.")
    ] = Path("data"),
    out: Annotated[Path, typer.Option(help="Cache to write.")] = DEFAULT_CACHE,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns path, genre and optionally artist and split, to use instead of DATA_DIR."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes. Default: one per core.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first file that cannot be used.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a cache that has a different configuration.")
    ] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Build a cache of fragments from a folder of genre folders, or from a manifest.

    Tracks are decoded, cut into fragments and augmented. Waveforms and mel spectrograms are stored in one HDF5 file. If
    you run the command again, only new, changed or removed tracks are processed.
    """
    from genrekit.workflows.prepare import prepare as run

    config = _config(values)
    with terminal(quiet=quiet or as_json) as reporter:
        result = run(
            data,
            config,
            out=out,
            manifest=manifest,
            workers=workers,
            strict=strict,
            overwrite=overwrite,
            reporter=reporter,
        )
    emit_json(result) if as_json else show(result)


def _config(values: dict[str, Any]) -> PrepareConfig:
    nested: dict[str, Any] = {
        "front_end": {name: value for name, value in values.items() if name in FeatureConfig.model_fields},
        "augmentation": {name: value for name, value in values.items() if name in Augmentation.model_fields},
    }
    flat = {name: value for name, value in values.items() if name in PrepareConfig.model_fields}
    return PrepareConfig.of({**nested, **flat})


def show(result: PrepareResult) -> None:
    """Print the size of the cache, and the numbers of skipped files, duplicates and reused tracks."""
    variants = f" x {len(result.variants)} variants" if len(result.variants) > 1 else ""
    stdout().print(
        f"{escape(str(result.cache))}: {counted(result.tracks, 'track')}, "
        f"{counted(result.fragments, 'fragment')}{variants}, {len(result.skipped)} skipped, "
        f"{counted(len(result.duplicates) + len(result.near_duplicates), 'duplicate')}, "
        f"{counted(result.reused, 'track')} reused, {duration(result.seconds)}"
    )
