"""Shards: caches of some tracks each, which are written on several hosts and merged into one cache.

Shards lie in the folder `cache.shards` beside `cache.h5`. Each is a complete cache file. No two processes write one
file, also where locks do not hold between hosts: a process writes to a file whose name has its host and its process ID,
and moves it to the shard's path when it is complete. What a killed process leaves is read by the next one, and is never
written to.

There are two kinds: `shard-03-of-16.h5` has the tracks of a fixed part of the collection, so a job of an array writes
it without knowing the others. `block-ID.h5` has any tracks; workers of a cluster on other hosts write them.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from genrekit.config import PrepareConfig
from genrekit.data.cache.executors import LocalWorkers
from genrekit.data.cache.filling import (
    NO_CALLBACKS,
    Callbacks,
    Filling,
    config_differences,
    existing_cache,
    interrupted_cache,
    written_from,
)
from genrekit.data.cache.layout import CachedTrack
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.cache.reuse import KnownTracks, copy_tracks, shown_path
from genrekit.data.cache.rows import Extent, RowCountMismatch, TrackRows, Written, flushed_file, open_descriptor
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.collection import Collection, Track
from genrekit.errors import GenrekitError, IncompatibleCacheError, UsageError, counted, few, is_or_are

_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.h5")

MOST_SHARDS = 100_000
"""Most shards of a collection."""


@dataclass(frozen=True, order=True)
class ShardNumber:
    """Which part of a collection a shard has: the first of 16 is `ShardNumber(1, 16)`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> ShardNumber:
        """Read a number such as 3/16.

        Errors: UsageError if it is not one.

        >>> ShardNumber.parse("3/16")
        ShardNumber(number=3, of=16)
        """
        match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        number, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= of <= MOST_SHARDS:
            raise UsageError(f"--shard must be a number from 1/N to N/N, such as 3/16, got {text!r}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def file_name(self) -> str:
        """The name of the shard's file.

        >>> ShardNumber(3, 16).file_name
        'shard-03-of-16.h5'
        """
        return f"shard-{self.number:0{len(str(self.of))}d}-of-{self.of}.h5"

    def part(self, tracks: Sequence[Track]) -> tuple[Track, ...]:
        """Return the tracks of this shard: neighbours, so that merging copies long stretches.

        >>> [ShardNumber(number, 3).part(range(8)) for number in (1, 2, 3)]
        [(0, 1), (2, 3, 4), (5, 6, 7)]
        """
        first, end = ((number * len(tracks)) // self.of for number in (self.number - 1, self.number))
        return tuple(tracks[first:end])


def shards_folder(cache_path: Path) -> Path:
    """Return the folder for the shards of a cache: `cache.shards` beside `cache.h5`, or beside the file of a link.

    >>> shards_folder(Path("data/cache.h5")).name, shards_folder(Path("data/cache.hdf5")).name
    ('cache.shards', 'cache.hdf5.shards')
    """
    file = cache_path.resolve() if cache_path.is_symlink() else cache_path
    return file.with_name(f"{file.name.removesuffix('.h5')}.shards")


def shard_of(
    collection: Collection, shard: ShardNumber, config: PrepareConfig, cache_path: Path, *, overwrite: bool
) -> Collection:
    """Return the part of a collection for a shard, without the tracks that the cache at a path has already.

    Errors: IncompatibleCacheError if the cache has another configuration, unless it will be overwritten.
    """
    part = replace(collection, tracks=shard.part(collection.tracks), skipped=())
    old = None if overwrite else existing_cache(cache_path, config)
    return replace(part, tracks=KnownTracks.of(part, SourceCheck(), old).missing(part))


def build_shard(
    collection: Collection,
    config: PrepareConfig,
    path: Path,
    open_executor: Callable[[], Executor],
    *,
    overwrite: bool = False,
    strict: bool = False,
    callbacks: Callbacks = NO_CALLBACKS,
) -> tuple[Cache, int]:
    """Bring a shard up to date with its tracks. Return it, and the number of tracks whose audio was not decoded.

    Tracks are copied from the shard and from what killed processes left. If another process finishes the same shard
    first, that one is returned.
    Errors: those of `build_cache`.
    """
    old = _open_complete(path) if path.exists() and not overwrite else None
    if old is not None:
        _require_config(old, config)
    earlier = [cache for file in _attempts(path) if (cache := interrupted_cache(file, config)) is not None]
    before = _identity(path)
    check = SourceCheck()
    try:
        attempt = _attempt(path)
        with LocalWorkers(open_executor, config) as workers:
            filling = Filling(collection, config, check, workers, strict=strict, least_genres=0, callbacks=callbacks)
            known = filling.known(old, *earlier)
            reused = len(known.sources)
            cache, _ = filling.complete(attempt, old, earlier, None, known)
            if cache is not old:
                with flushed_file(attempt):
                    pass
                os.replace(attempt, path)
    except (OSError, GenrekitError):
        if _identity(path) in (None, before):
            raise
        return _open_complete(path), 0  # another process has finished this shard, and removed what was unfinished
    for file in _attempts(path):
        file.unlink(missing_ok=True)
    return _open_complete(path), reused


def copy_shard(
    path: Path, collection: Collection, slots: Sequence[TrackRows], file: Path, extents: Mapping[str, Extent]
) -> list[Written | RowCountMismatch]:
    """Copy the rows of a finished shard into the slots of a file that is laid out.

    `collection` is that of the shard. Return what `write_track` would have returned for each slot.
    """
    shard = _open_complete(path)
    cached = {track.id: track for track in shard.tracks}
    reasons = {skip.file.path: skip.file.reason for skip in shard.plan.skipped}
    shown = {track.id: shown_path(track, collection) for track in collection.tracks}
    outcomes, fitting = list[Written | RowCountMismatch](), list[tuple[CachedTrack, TrackRows]]()
    for slot in slots:
        track = cached.get(slot.track_id)
        if track is None:
            outcomes.append(RowCountMismatch(slot, 0, reasons[shown[slot.track_id]]))
        elif track.rows != slot.rows:
            outcomes.append(RowCountMismatch(slot, track.rows))
        else:
            outcomes.append(written_from(track, slot))
            fitting.append((track, slot))
    with open_descriptor(file, os.O_WRONLY) as descriptor:
        copy_tracks(shard, extents, fitting, descriptor)
    return outcomes


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what differs between two files at one path; None if there is none."""
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except OSError:
        return None


def _attempt(path: Path) -> Path:
    """Return the path of a file that only this process writes. An interrupted one stays for the next process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.stem}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial"
    return path.with_name(name)


def _attempts(path: Path) -> list[Path]:
    """Return the files that processes left, or are writing, for a shard."""
    return sorted(
        file for pattern in ("partial", "partial.new") for file in path.parent.glob(f".{path.stem}.*.{pattern}")
    )


def open_blocks(config: PrepareConfig, folder: Path, *, overwrite: bool) -> list[Cache]:
    """Return the finished shards of both kinds in a folder. Damaged ones are left out, and so computed again.

    So are blocks with another configuration, which an interrupted command left.
    Errors: IncompatibleCacheError if a numbered shard has another configuration, with the values that differ, unless
    `overwrite`.
    """
    caches = []
    for path in sorted(folder.glob("*.h5")):
        with suppress(IncompatibleCacheError):
            caches.append(_open_complete(path))
    for cache in caches:
        if not overwrite and _NAME.fullmatch(cache.path.name):
            _require_config(cache, config)
    return [cache for cache in caches if cache.config == config]


def open_numbered_shards(
    collection: Collection, missing_tracks: Sequence[Track], config: PrepareConfig, folder: Path
) -> list[Cache]:
    """Return all numbered shards of a collection, which must have the missing tracks.

    Errors: GenrekitError if there are none, or some are missing; IncompatibleCacheError if one has another
    configuration or another collection, with the difference.
    """
    paths = {
        ShardNumber(int(match[1]), int(match[2])): path
        for path in sorted(folder.glob("shard-*.h5"))
        if (match := _NAME.fullmatch(path.name))
    }
    if not paths:
        raise GenrekitError(f"no shards in {folder}: write them first, for example with genrekit prepare --shard 1/16")
    counts = sorted({shard.of for shard in paths})
    if len(counts) > 1:
        raise GenrekitError(
            f"{folder} has shards of {' and of '.join(map(str, counts))}: remove those that do not belong to this run"
        )
    shards = [ShardNumber(number + 1, counts[0]) for number in range(counts[0])]
    missing = [str(shard.number) for shard in shards if shard not in paths]
    if missing:
        raise GenrekitError(
            f"{folder}: {counted(len(missing), 'shard')} of {counts[0]} {is_or_are(len(missing))} missing "
            f"({few(missing, 20)}): run genrekit prepare --shard {missing[0]}/{counts[0]}"
            f"{' and the others' if len(missing) > 1 else ''}, then --merge again"
        )
    caches = []
    check, wanted = SourceCheck(), {track.id for track in missing_tracks}
    for shard in shards:
        cache = _open_shard(paths[shard], shard)
        _require_config(cache, config)
        _require_tracks(cache, shard, collection, wanted, check)
        caches.append(cache)
    return caches


def _open_complete(path: Path) -> Cache:
    """Open a shard, which may have no tracks.

    Errors: IncompatibleCacheError if it is damaged or unfinished.
    """
    cache = open_cache(path, unfinished=True)
    if not all(track.done for track in cache.tracks):
        raise IncompatibleCacheError(f"{path} is unfinished: remove it, and write this shard again")
    return cache


def _open_shard(path: Path, shard: ShardNumber) -> Cache:
    try:
        return _open_complete(path)
    except IncompatibleCacheError as error:
        raise IncompatibleCacheError(
            f"{path} is not a complete shard: remove it, and run genrekit prepare --shard {shard} again"
        ) from error


def _require_config(cache: Cache, config: PrepareConfig) -> None:
    if cache.config != config:
        raise IncompatibleCacheError(
            f"the shard {cache.path} was prepared with another configuration "
            f"({config_differences(cache.config, config)}): use the same options for all shards, or remove it"
        )


def _require_tracks(
    cache: Cache, shard: ShardNumber, collection: Collection, wanted: set[str], check: SourceCheck
) -> None:
    """Make sure that a shard has the tracks of its part of a collection, as the files are now."""
    expected = {track.id: track for track in shard.part(collection.tracks)}
    difference = _difference(cache, expected, collection, wanted, check)
    if difference is not None:
        raise IncompatibleCacheError(
            f"the shard {cache.path} was prepared from another collection ({difference}): run genrekit prepare "
            f"--shard {shard} again, with the same folder and options for all shards"
        )


def _difference(
    cache: Cache, expected: dict[str, Track], collection: Collection, wanted: set[str], check: SourceCheck
) -> str | None:
    cached: dict[str, CachedTrack] = {track.id: track for track in cache.tracks}
    skipped = {skip.file.path: skip for skip in cache.plan.skipped}
    for track_id in cached:
        if track_id not in expected:
            return f"it has {track_id}, which is not in this part of {collection.root}"
    shown = {shown_path(track, collection): track for track in expected.values()}
    for path in skipped:
        if path not in shown:
            return f"it has {path}, which is not in this part of {collection.root}"
    for path, track in shown.items():
        if track.id not in wanted:
            continue
        if track.id not in cached and path not in skipped:
            return f"it lacks {track.id}"
        if track.id in cached and not check.unchanged(cached[track.id], track):
            return f"{path} has changed since"
        if path in skipped and not check.skips_again(skipped[path], track):
            return f"{path} has changed since"
    return None


def remove_shards(cache_path: Path) -> None:
    """Remove the shards of a cache, after it has their rows."""
    shutil.rmtree(shards_folder(cache_path), ignore_errors=True)


def remove_blocks(cache_path: Path) -> None:
    """Remove what interrupted commands left for the workers of a cluster. Numbered shards stay."""
    folder = shards_folder(cache_path)
    for path in (path for pattern in ("block-*", ".block-*", ".shared-*") for path in folder.glob(pattern)):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # the folder does not exist, or has other files
        folder.rmdir()
