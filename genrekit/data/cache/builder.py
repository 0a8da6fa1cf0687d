"""Build a cache such that its path always has either nothing or a complete cache.

The work happens in a `.partial` file beside it. Rows that an older cache, an interrupted run or shards already have are
copied; workers compute the others (see `filling.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrekit.config import PrepareConfig
from genrekit.data.cache.executors import Workers
from genrekit.data.cache.filling import (
    NO_CALLBACKS,
    Callbacks,
    Filling,
    existing_cache,
    interrupted_cache,
    mark_missing,
)
from genrekit.data.cache.layout import FILE_STATUS, CachePlan
from genrekit.data.cache.reader import Cache, is_cache_or_damaged, open_cache
from genrekit.data.cache.rows import flushed_file, write_at
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.collection import Collection, Track
from genrekit.data.duplicates import find_shared_audio, group_recordings
from genrekit.errors import GenrekitError
from genrekit.io.files import exclusive_lock, remove_torn_versions
from genrekit.io.targets import replaceable

Gather = Callable[[Sequence[Track]], Sequence[Cache]]
"""Called with the tracks that neither the cache nor an interrupted run has. Returns caches that may have their rows."""


@dataclass(frozen=True)
class Build:
    """An up-to-date cache; `reused` is the number of tracks whose audio was not decoded.

    `changed` are tracks whose file has other content, but the same size and time. `verified` is the number of files
    whose content has the digest in the cache, and `damaged` are tracks whose rows did not match their checksums and
    were computed again.
    """

    cache: Cache
    reused: int
    changed: frozenset[str] = frozenset()
    verified: int = 0
    damaged: frozenset[str] = frozenset()


def build_cache(
    collection: Collection,
    config: PrepareConfig,
    path: Path,
    workers: Workers,
    *,
    overwrite: bool = False,
    strict: bool = False,
    verify: bool = False,
    keep_near_duplicates: bool = False,
    gather: Gather | None = None,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Build:
    """Bring the cache at `path` up to date with a collection. Only missing tracks are computed.

    `gather` may return caches with rows of missing tracks, and `workers` compute the others. With `verify`, the content
    of all files is compared with their digests, and all rows with their checksums. With `keep_near_duplicates`, only
    sample-identical tracks count as the same recording.
    Errors: IncompatibleCacheError if the existing cache has another configuration; GenrekitError if another process
    builds it, the disk is too small, fewer than two genres are left or, with `strict`, a file would be skipped.
    """
    check = SourceCheck(verify=verify)
    file = replaceable(path)  # if the path is a link, the cache that it leads to is brought up to date
    lock = exclusive_lock(file.with_name(f".{file.name}.lock"), f"cannot prepare {path}")
    with lock, workers:
        if overwrite and path.is_file() and not is_cache_or_damaged(path):
            raise GenrekitError(f"{path} is not a cache, so --overwrite does not replace it: choose another --out")
        for name in ("matches.npz", "origin.json"):
            remove_torn_versions(path.with_name(f"{path.stem}.{name}"))
        old = None if overwrite else existing_cache(path, config, verify=verify)
        damaged = frozenset(track.id for track in old.tracks if not track.done) if old is not None else frozenset[str]()
        partial_path = file.with_name(file.name + ".partial")
        partial_path.with_name(partial_path.name + ".new").unlink(missing_ok=True)
        if partial_path.is_symlink():
            partial_path.unlink()
        partial = interrupted_cache(partial_path, config)
        if partial is not None:
            mark_missing(partial)
        filling = Filling(collection, config, check, workers, strict=strict, callbacks=callbacks)
        known = filling.known(old, partial)
        missing = known.missing(collection)
        shards = gather(missing) if gather is not None and missing else ()
        if shards:
            known = filling.known(old, *shards, partial)
        cache, plan = filling.complete(partial_path, old, shards, partial, known)
        if cache is old:
            partial_path.unlink(missing_ok=True)
        linked = _link_recordings(cache, path, keep_near_duplicates=keep_near_duplicates)
        if cache is old:
            _write_file_status(cache, plan)
        else:
            os.replace(partial_path, file)
        done = cache if cache is old and not linked else open_cache(path)
        return Build(done, len(known.sources), frozenset(check.changed), len(check.same), damaged)


def _link_recordings(cache: Cache, path: Path, *, keep_near_duplicates: bool) -> bool:
    """Write which tracks of a cache are the same recording. Return False if this is in it already.

    The values are a few bytes per track. They are written in place, also into a cache at its final path: only they
    change if near-duplicates are to be kept as separate tracks.
    """
    pairs = find_shared_audio(cache, path)
    recordings = group_recordings(cache, {} if keep_near_duplicates else pairs)
    if recordings.tolist() == [track.recording for track in cache.tracks]:
        return False
    with flushed_file(cache.path) as descriptor:
        write_at(descriptor, cache.extents["tracks/recording"].offset, recordings)
    return True


def _write_file_status(cache: Cache, plan: CachePlan) -> None:
    """Write the inodes and times of files that were copied or moved, so that their content is not compared again."""
    of_tracks, of_skips = (cache.tracks, plan.tracks), (cache.plan.skipped, plan.skipped)
    for name, kind in FILE_STATUS.items():
        for group, (before, now) in {"tracks": of_tracks, "skipped": of_skips}.items():
            values = [getattr(file, name) for file in now]
            extent = cache.extents.get(f"{group}/{name}")
            if extent is not None and values != [getattr(file, name) for file in before]:
                with flushed_file(cache.path) as descriptor:
                    write_at(descriptor, extent.offset, np.array(values, kind))
