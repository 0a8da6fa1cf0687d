"""prepare: make a cache of fragments from a collection of audio files."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from genrekit._types import AnyPath
from genrekit.audio.bandwidth import far_from_median
from genrekit.config import ArtistSource, Augmentation, CollectionOptions, EngineConfig, FeatureConfig, PrepareConfig
from genrekit.data.artists import with_artists
from genrekit.data.cache.builder import build_cache
from genrekit.data.cache.filling import Callbacks
from genrekit.data.cache.layout import CachePlan
from genrekit.data.cache.origin import path_text, write_origin
from genrekit.data.cache.reader import Cache
from genrekit.data.cache.reuse import shown_path
from genrekit.data.cache.shards import remove_blocks, remove_shards
from genrekit.data.collection import Collection, SkippedFile
from genrekit.data.duplicates import SharedPassage, shared_passages
from genrekit.data.genre_names import read_aliases
from genrekit.data.genre_selection import select_genres
from genrekit.data.open_collection import open_collection
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import cannot, require_no_folder
from genrekit.io.shown import ShownResult
from genrekit.workflows import signal_messages
from genrekit.workflows.keywords import with_keywords
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.prepare_cluster import gather_rows, workers_for
from genrekit.workflows.prepare_notes import (
    lost_artist_warnings,
    report_shared_audio,
    report_sources,
    signal_warnings,
    split_notes,
)
from genrekit.workflows.reporter import PreparePlan, Reporter, SkipWarnings


@dataclass(frozen=True, repr=False)
class PrepareResult(ShownResult):
    """What `prepare` did. `reused` is the number of tracks whose audio was not decoded.

    `duplicates` are pairs of sample-identical tracks. `near_duplicates` are pairs of the same recording at another
    level, sample rate, codec, tempo or offset. `shared_audio` are pairs of other tracks that have a passage in common.
    `tracks_per_genre` has the genres in alphabetical order.

    These fields have ids of tracks: `padded` are shorter than a fragment, and the channels of `cancelled` cancel.
    `silent_fragments` has the number of silent fragments that were left out, and `unusual_bandwidth` the bandwidth in
    Hz of tracks that differ strongly from the median. A track with silent fragments only is `skipped`.
    """

    cache: Path
    tracks: int
    fragments: int
    variants: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    duplicates: tuple[tuple[str, str], ...]
    near_duplicates: tuple[tuple[str, str], ...]
    shared_audio: tuple[SharedPassage, ...]
    warnings: tuple[str, ...]
    reused: int
    seconds: float
    padded: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    silent_fragments: dict[str, int] = field(default_factory=dict)
    unusual_bandwidth: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tracks_per_genre: dict[str, int] = field(default_factory=dict)


_QUIET = Reporter()
_DEFAULTS = PrepareConfig()
_LOCAL = EngineConfig()


@with_progress
def prepare(
    data: AnyPath,
    config: PrepareConfig = _DEFAULTS,
    *,
    out: AnyPath,
    features: FeatureConfig | None = None,
    augment: bool | Augmentation | None = None,
    fragments: Literal["all", "first"] | int | None = None,
    store: Literal["both", "mel", "waveform"] | None = None,
    mel_dtype: Literal["float16", "float32"] | None = None,
    manifest: AnyPath | None = None,
    artists: ArtistSource = "auto",
    genre_aliases: AnyPath | None = None,
    genres: Sequence[str] = (),
    min_tracks: int = 1,
    workers: int | None = None,
    strict: bool = False,
    verify: bool = False,
    overwrite: bool = False,
    keep_near_duplicates: bool = False,
    engine: EngineConfig = _LOCAL,
    merge: bool = False,
    reporter: Reporter = _QUIET,
) -> PrepareResult:
    """Bring the cache at `out` up to date with a folder of genre folders, or with a manifest.

    `features`, `augment`, `fragments`, `store` and `mel_dtype` replace the values of `config` (default: those of
    `PrepareConfig()`). `augment=True` adds one variant of each kind; an `Augmentation` sets which and how strong.
    `artists` says where artists come from: the manifest, the files' tags, or the second folder (GENRE/ARTIST/).
    `genre_aliases` is a TOML or CSV file with other names of genres. `genres` are those to use (default: all) if they
    have at least `min_tracks` tracks. `workers` is the number of processes, by default the number of cores.

    With `strict`, a file that would be skipped is an error, and the cache does not change. With `verify`, the content
    of all files is compared with the cache, not only sizes and times, and damaged rows of the cache are computed again.
    With `keep_near_duplicates`, splits treat near-duplicates as different tracks.

    `engine` says where tracks are processed: on this machine, or on a dask cluster whose hosts share the file system.
    With `merge`, the rows come from the shards that `prepare_shard` wrote. Both remove the shards at the end.
    Errors: GenrekitError if the collection or the existing cache cannot be used, or the cache cannot be written.

    Example: `prepare("data", out="data/cache.h5", features=FeatureConfig(n_mels=96), augment=True).fragments`
    """
    started = time.monotonic()
    config = with_keywords(
        config, features=features, augment=augment, fragments=fragments, store=store, mel_dtype=mel_dtype
    )
    out = Path(out)
    require_no_folder(out, "cache.h5")
    if merge and not engine.local:
        raise UsageError("--merge and --engine dask cannot be used together: leave one out")
    collection = open_collection(Path(data), None if manifest is None else Path(manifest))
    collection = with_artists(collection, artists, suggest=not out.exists())
    collection = chosen_tracks(collection, genre_aliases, genres, min_tracks)
    lost = lost_artist_warnings(collection, out)

    try:
        build = build_cache(
            collection,
            config,
            out,
            workers_for(collection, config, out, engine, workers, reporter),
            overwrite=overwrite,
            strict=strict,
            verify=verify,
            keep_near_duplicates=keep_near_duplicates,
            gather=gather_rows(collection, config, out, engine, merge=merge, overwrite=overwrite),
            callbacks=reporting(reporter, out),
        )
        write_origin(
            build.cache,
            CollectionOptions(
                data=path_text(Path(data)) if manifest is None else None,
                manifest=None if manifest is None else path_text(Path(manifest)),
                artists=artists,
                genre_aliases=None if genre_aliases is None else path_text(Path(genre_aliases)),
                genres=tuple(genres),
                min_tracks=min_tracks,
                keep_near_duplicates=keep_near_duplicates,
            ),
        )
        if merge or not engine.local:
            remove_shards(out)
        else:
            remove_blocks(out)
    except OSError as error:
        raise disk_error(error, out) from error
    finally:
        reporter.finished()
    cache = build.cache
    bandwidths_hz = {track.id: track.facts.bandwidth_hz for track in cache.tracks}
    cancelled = tuple(track.id for track in cache.tracks if track.facts.cancelled)
    unusual = far_from_median(bandwidths_hz)
    by_id = {track.id: track for track in collection.tracks}
    file_warnings = (f"{shown_path(by_id[track.id], collection)}: {track.note}" for track in cache.tracks if track.note)
    result = PrepareResult(
        cache=out,
        tracks=len(cache.tracks),
        fragments=len(cache.track) // len(cache.variants),
        variants=cache.variants,
        skipped=cache.skipped,
        duplicates=cache.duplicates(),
        near_duplicates=cache.near_duplicates(),
        shared_audio=shared_passages(cache),
        warnings=(*lost, *file_warnings, *signal_warnings(cancelled, unusual, bandwidths_hz)),
        notes=(*collection.notes, *split_notes(cache.tracks)),
        reused=build.reused,
        seconds=time.monotonic() - started,
        padded=tuple(track.id for track in cache.tracks if track.facts.padded),
        cancelled=cancelled,
        silent_fragments={
            track.id: track.facts.silent_fragments for track in cache.tracks if track.facts.silent_fragments
        },
        unusual_bandwidth=unusual,
        tracks_per_genre=dict(sorted(Counter(track.genre for track in cache.tracks).items())),
    )
    report_sources(build, reporter, verify=verify)
    _report(result, cache, reporter)
    return result


def chosen_tracks(
    collection: Collection, genre_aliases: AnyPath | None, genres: Sequence[str], min_tracks: int
) -> Collection:
    """Return the tracks of a collection with the genres that the options choose and rename."""
    aliases = None if genre_aliases is None else read_aliases(Path(genre_aliases))
    return select_genres(collection, aliases=aliases, genres=genres, min_tracks=min_tracks)


def reporting(reporter: Reporter, path: Path) -> Callbacks:
    """Return the callbacks that report the plan of a file with the free space of its disk, and its progress."""

    def report_plan(plan: CachePlan, to_transform: int) -> None:
        needed, free = plan.n_rows * plan.row_bytes, shutil.disk_usage(path.resolve().parent).free
        variants = len(plan.config.augmentation.variants)
        reporter.preparing(PreparePlan(len(plan.tracks), plan.n_rows // variants, variants, to_transform, needed, free))

    def report_message(track_id: str, message: str) -> None:
        reporter.note(signal_messages.from_decoder(track_id, message))

    return Callbacks(report_plan, reporter.tracks_done, report_message)


def _report(result: PrepareResult, cache: Cache, reporter: Reporter) -> None:
    if result.padded:
        reporter.note(signal_messages.padded(result.padded, "track", cache.config.front_end))
    if result.silent_fragments:
        reporter.note(signal_messages.silent_fragments(result.silent_fragments, "track"))
    with SkipWarnings(reporter) as skips:
        skips.add_new(result.skipped)
    for warning in result.warnings:
        reporter.warning(warning)
    for note in result.notes:
        reporter.note(note)
    report_shared_audio(cache, result.shared_audio, reporter)


def disk_error(error: OSError, out: Path) -> GenrekitError:
    """Return the error for a cache that could not be written."""
    return GenrekitError(
        f"{cannot('write', out, error)}, then run genrekit prepare again to continue; the existing cache is unchanged"
    )
