"""genrekit prepare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from genrekit.cli.completion import choice
from genrekit.cli.display import DEFAULT_CACHE, duration, emit_json, named_cache, shell_command, stdout
from genrekit.cli.options import JsonFlag, QuietFlag, engine_of, takes
from genrekit.cli.progress import terminal
from genrekit.config import AUGMENTATIONS, ArtistSource, Augmentation, EngineConfig, FeatureConfig, PrepareConfig
from genrekit.errors import UsageError, counted, few
from genrekit.workflows.prepare import PrepareResult
from genrekit.workflows.prepare_shard import ShardResult
from genrekit.workflows.reporter import Reporter

MOST_GENRES = 20
"""Most genres that are listed with their tracks; `info` lists all."""

_DATA = Path("data")
_MEL_ONLY = ("n_mels", "fmin", "fmax", "top_db", "db_reference")
"""Fields that only mel spectrograms depend on."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
@takes(PrepareConfig, FeatureConfig, Augmentation, EngineConfig)
def prepare(
    values: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA_DIR",
            help="Folder with one folder of audio files per genre. [dim]\\[default: data][/dim]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Cache to write.")] = DEFAULT_CACHE,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV file with the columns path, genre and optionally artist and split, to use instead of DATA_DIR.",
        ),
    ] = None,
    artists: Annotated[
        str,
        typer.Option(
            **choice(
                *get_args(ArtistSource),
                help="Source of artists: auto (the manifest or the collection's lists), tags of the files, or folders "
                "GENRE/ARTIST/.",
            ),
        ),
    ] = "auto",
    genre_aliases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='File of other names of genres: TOML with lines alias = "genre", or CSV alias,genre.'
        ),
    ] = None,
    genres: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Genres to use. Default: all.", show_default=False)
    ] = None,
    min_tracks: Annotated[int, typer.Option(min=1, help="Leave out genres with fewer tracks.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes. Default: one per core.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first file that cannot be used.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare all files and all rows of the cache with their checksums."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a cache that has a different configuration.")
    ] = False,
    keep_near_duplicates: Annotated[
        bool,
        typer.Option(
            "--keep-near-duplicates", help="Treat near-duplicates as different tracks: splits may separate them."
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Write only part K of N, for a job of an array.", rich_help_panel="Cluster"),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Make the cache of the parts that --shard wrote.", rich_help_panel="Cluster"),
    ] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Build a cache of fragments from a folder of genre folders, or from a manifest.

    Tracks are decoded, cut into fragments and augmented. Waveforms and mel spectrograms are stored in one HDF5 file. If
    you run the command again, only new, changed or removed tracks are processed.
    """
    from genrekit.workflows.prepare import prepare as run
    from genrekit.workflows.prepare_shard import prepare_shard

    config, engine = _config(values), engine_of(EngineConfig, values)
    _require_one_source(data, manifest)
    _require_one_way(shard, engine, merge=merge)
    common: dict[str, Any] = {
        "out": out,
        "manifest": manifest,
        "genre_aliases": genre_aliases,
        "genres": [genre for genre in (genres or "").split(",") if genre.strip()],
        "min_tracks": min_tracks,
        "workers": workers,
        "strict": strict,
        "overwrite": overwrite,
    }
    if shard is not None:
        with terminal(quiet=quiet or as_json, decodes=True) as reporter:
            part = prepare_shard(data or _DATA, shard, config, **common, reporter=reporter)
        emit_json(part) if as_json else show_shard(part)
        return
    with terminal(quiet=quiet or as_json, decodes=True) as reporter:
        _note_unused(config, values, reporter)
        result = run(
            data or _DATA,
            config,
            **common,
            artists=cast(ArtistSource, artists),
            verify=verify,
            keep_near_duplicates=keep_near_duplicates,
            engine=engine,
            merge=merge,
            reporter=reporter,
        )
        if as_json:
            emit_json(result)
            return
        show(result)
        reporter.note(f"next, train a model: {shell_command('train', **named_cache(out))}")


def _require_one_source(data: Path | None, manifest: Path | None) -> None:
    if data is not None and manifest is not None:
        raise UsageError(f"--manifest lists all files, so DATA_DIR ({data}) has no effect: choose one")


def _require_one_way(shard: str | None, engine: EngineConfig, *, merge: bool) -> None:
    if shard is not None and (merge or not engine.local):
        raise UsageError(
            f"--shard and {'--merge' if merge else '--engine dask'} cannot be used together: leave one out"
        )


def _note_unused(config: PrepareConfig, values: dict[str, Any], reporter: Reporter) -> None:
    """Print a note if options have no effect."""
    if config.store == "waveform" and (unused := [name for name in _MEL_ONLY if name in values]):
        reporter.note(f"{few([*map(_flag, unused)])}: no effect, because the cache has waveforms only")


def _config(values: dict[str, Any]) -> PrepareConfig:
    nested: dict[str, Any] = {
        "front_end": {name: value for name, value in values.items() if name in FeatureConfig.model_fields},
        "augmentation": {name: value for name, value in values.items() if name in Augmentation.model_fields},
    }
    flat = {name: value for name, value in values.items() if name in PrepareConfig.model_fields}
    try:
        config = PrepareConfig.of({**nested, **flat})
    except UsageError as error:
        raise UsageError(re.sub(r"\b(front_end|augmentation)\.(?=[a-z])", "", str(error), count=1)) from None
    augmentation = config.augmentation
    unused = [name for name in nested["augmentation"] if name != "augment"]
    if unused and not augmentation.augment:
        raise UsageError(f"{_flag(unused[0])} has no effect without --augment: add --augment")
    left_out = [kind for kind in AUGMENTATIONS if kind in values and kind not in augmentation.kinds]
    if left_out:
        raise UsageError(f"{_flag(left_out[0])} has no effect, because --augmentations does not list {left_out[0]}")
    if config.store == "waveform" and "mel_dtype" in values:
        raise UsageError("--mel-dtype has no effect with --store waveform: leave it out, or store mel spectrograms too")
    return config


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def show(result: PrepareResult) -> None:
    """Print the size of the cache, and the numbers of skipped files, duplicates and reused tracks."""
    variants = f" x {len(result.variants)} variants" if len(result.variants) > 1 else ""
    stdout().print(
        f"{result.cache}: {counted(result.tracks, 'track')}, "
        f"{counted(result.fragments, 'fragment')}{variants}, {len(result.skipped)} skipped, "
        f"{counted(len(result.duplicates) + len(result.near_duplicates), 'duplicate')}, "
        f"{counted(result.reused, 'track')} reused, {duration(result.seconds)}"
    )
    stdout().print(genres_text(result.tracks_per_genre))


def show_shard(result: ShardResult) -> None:
    """Print the size of a shard."""
    stdout().print(
        f"{result.shard}: {counted(result.tracks, 'track')}, {counted(result.fragments, 'fragment')}, "
        f"{len(result.skipped)} skipped, {counted(result.reused, 'track')} reused, {duration(result.seconds)}"
    )


def genres_text(counts: Mapping[str, int]) -> str:
    """Genres with their numbers of tracks; of many genres only the first ones.

    >>> genres_text({"blues": 100, "jazz": 99})
    '2 genres: blues 100, jazz 99'
    """
    named = [f"{genre} {count}" for genre, count in counts.items()]
    return f"{counted(len(counts), 'genre')}: {few(named, MOST_GENRES)}"
