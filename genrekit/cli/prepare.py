"""genrekit prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from genrekit.cli.display import duration, emit_json, stdout, terminal
from genrekit.cli.options import JsonFlag, QuietFlag, takes
from genrekit.config import Augmentation, FeatureConfig, PrepareConfig
from genrekit.workflows.prepare import PrepareResult

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(PrepareConfig, FeatureConfig, Augmentation)
def prepare(
    values: dict[str, Any],
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Folder with one folder of audio per genre.")] = Path(
        "data"
    ),
    out: Annotated[Path, typer.Option(help="The cache to write.")] = Path("data/cache.h5"),
    manifest: Annotated[
        Path | None, typer.Option(help="CSV with path, genre and, if known, artist and split; instead of a folder.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; by default the cores there are.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that cannot be used.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a cache of another configuration.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Turn a folder of genre folders, or a manifest, into a cache of fragments.

    Decodes, cuts into fragments, augments, and stores waveforms and mel spectrograms in one HDF5 file. Run again
    after tracks came or went: only what changed is computed.
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
    parts: dict[str, Any] = {
        "front_end": {name: value for name, value in values.items() if name in FeatureConfig.model_fields},
        "augmentation": {name: value for name, value in values.items() if name in Augmentation.model_fields},
    }
    rest = {name: value for name, value in values.items() if name in PrepareConfig.model_fields}
    return PrepareConfig.of({**parts, **rest})


def show(result: PrepareResult) -> None:
    """Print what was prepared."""
    console = stdout()
    variants = f" x {len(result.variants)} variants" if len(result.variants) > 1 else ""
    console.print(
        f"{escape(str(result.cache))}: {result.tracks} tracks, {result.fragments} fragments{variants}, "
        f"{len(result.skipped)} skipped, {len(result.duplicates) + len(result.near_duplicates)} duplicates, "
        f"{result.reused} tracks reused, {duration(result.seconds)}"
    )
