"""prepare --shard: write one part of a cache, without knowing the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genrekit._types import AnyPath
from genrekit.config import PrepareConfig
from genrekit.data.cache.executors import available_cores, open_executor
from genrekit.data.cache.shards import ShardNumber, build_shard, shard_of, shards_folder
from genrekit.data.collection import SkippedFile
from genrekit.data.open_collection import open_collection
from genrekit.io.files import require_no_folder
from genrekit.workflows.prepare import chosen_tracks, disk_error, reporting
from genrekit.workflows.reporter import Reporter, SkipWarnings


@dataclass(frozen=True)
class ShardResult:
    """A complete shard. `reused` is the number of tracks whose audio was not decoded.

    `tracks` leaves out those that the cache has already.
    """

    shard: Path
    number: int
    of: int
    tracks: int
    fragments: int
    skipped: tuple[SkippedFile, ...]
    reused: int
    seconds: float


_QUIET = Reporter()
_DEFAULTS = PrepareConfig()


def prepare_shard(
    data: AnyPath,
    shard: str,
    config: PrepareConfig = _DEFAULTS,
    *,
    out: AnyPath,
    manifest: AnyPath | None = None,
    genre_aliases: AnyPath | None = None,
    genres: Sequence[str] = (),
    min_tracks: int = 1,
    workers: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
    reporter: Reporter = _QUIET,
) -> ShardResult:
    """Write one shard of the cache at `out`, such as "3/16"; `prepare(..., merge=True)` makes the cache of all.

    The arguments are those of `prepare`, and must be the same for all shards. Shards can be written in any order and
    on any host that shares the file system. A shard that is complete already is not written again.
    Errors: GenrekitError if the collection or the existing shard cannot be used, or the shard cannot be written;
    UsageError if `shard` is not valid.
    """
    started = time.monotonic()
    out, number = Path(out), ShardNumber.parse(shard)
    require_no_folder(out, "cache.h5")
    collection = open_collection(Path(data), None if manifest is None else Path(manifest))
    collection = chosen_tracks(collection, genre_aliases, genres, min_tracks)
    path = shards_folder(out) / number.file_name
    try:
        cache, reused = build_shard(
            shard_of(collection, number, config, out, overwrite=overwrite),
            config,
            path,
            partial(open_executor, workers or available_cores()),
            overwrite=overwrite,
            strict=strict,
            callbacks=reporting(reporter, path),
        )
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        reporter.finished()
    with SkipWarnings(reporter) as skips:
        skips.add_new(cache.skipped)
    return ShardResult(
        shard=path,
        number=number.number,
        of=number.of,
        tracks=len(cache.tracks),
        fragments=len(cache.track) // len(cache.variants),
        skipped=cache.skipped,
        reused=reused,
        seconds=time.monotonic() - started,
    )
