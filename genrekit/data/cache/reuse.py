"""Reuse rows: what older caches know about a collection, and copying their rows into a new file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from genrekit.audio.fallback_decoders import missing_decoder
from genrekit.audio.silence import SILENT
from genrekit.data.cache.layout import TRACK_RESULTS, CachedTrack, CachePlan
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.cache.rows import (
    ROW_DATASETS,
    Extent,
    RowCountMismatch,
    TrackRows,
    copy_rows,
    open_descriptor,
    write_at,
)
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.cache.writer import create_cache
from genrekit.data.collection import Collection, Track
from genrekit.errors import NO_MEMORY_FOR_FILE


@dataclass
class KnownTracks:
    """What is known about tracks without opening them, by track id.

    `rows` is the number of rows, `unreadable` the reason why a track cannot be used, `sources` the cache that has its
    rows.
    """

    rows: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    sources: dict[str, tuple[Cache, CachedTrack]] = field(default_factory=dict)

    @classmethod
    def of(cls, collection: Collection, check: SourceCheck, *caches: Cache | None) -> KnownTracks:
        """Return what some caches know about the unchanged files of a collection; later caches override."""
        known = cls()
        by_id = {track.id: track for track in collection.tracks}
        opened = [cache for cache in caches if cache is not None]
        skips = any(cache.plan.skipped for cache in opened)
        by_path = {shown_path(track, collection): track for track in collection.tracks} if skips else {}
        for cache in opened:
            for cached in cache.tracks:
                track = by_id.get(cached.id)
                if track is None or not check.unchanged(cached, track):
                    continue
                if cached.silent:
                    known.unreadable[track.id] = SILENT
                else:
                    known.sources[track.id] = (cache, cached)
                    known.rows[track.id] = cached.rows
            for skip in cache.plan.skipped:
                track = by_path.get(skip.file.path)
                if track is None:
                    continue
                passing = (NO_MEMORY_FOR_FILE, missing_decoder(track.path.suffix.lower()))
                if skip.file.reason not in passing and check.skips_again(skip, track):
                    known.unreadable[track.id] = skip.file.reason
        return known

    def missing(self, collection: Collection) -> tuple[Track, ...]:
        """Return the tracks of a collection that are not known."""
        return tuple(
            track for track in collection.tracks if track.id not in self.sources and track.id not in self.unreadable
        )

    def with_mismatches(self, before: KnownTracks, mismatches: list[RowCountMismatch]) -> KnownTracks:
        """Return this with what was known `before`, and with what decoding has shown about some tracks."""
        rows, unreadable = {**before.rows, **self.rows}, {**before.unreadable, **self.unreadable}
        for mismatch in mismatches:
            if mismatch.reason is None:
                rows[mismatch.slot.track_id] = mismatch.rows
            else:
                unreadable[mismatch.slot.track_id] = mismatch.reason
        return KnownTracks(rows, unreadable, self.sources)


def shown_path(track: Track, collection: Collection) -> str:
    """Return a track's path for messages and for the cache: relative if it is below the collection."""
    try:
        return track.path.relative_to(collection.root).as_posix()
    except ValueError:
        return track.path.as_posix()


def lay_out(plan: CachePlan, partial: Path, known: KnownTracks) -> None:
    """Replace the partial file by one for a plan, and copy the rows that are known into it.

    Tracks are marked as done after their rows are copied.
    """
    new = partial.with_name(partial.name + ".new")
    try:
        create_cache(new, replace(plan, tracks=tuple(replace(track, done=False) for track in plan.tracks)))
        target = open_cache(new, unfinished=True)
        with open_descriptor(new, os.O_WRONLY) as descriptor:
            for source, tracks in by_source(plan, known):
                copy_tracks(source, target.extents, tracks, descriptor)
            done = np.array([track.done for track in plan.tracks], TRACK_RESULTS["done"])
            write_at(descriptor, target.extents["tracks/done"].offset, done)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    os.replace(new, partial)


def by_source(plan: CachePlan, known: KnownTracks) -> Iterator[tuple[Cache, list[tuple[CachedTrack, CachedTrack]]]]:
    """Yield the caches that have rows of a plan, each with its tracks and the planned ones."""
    groups: dict[Path, tuple[Cache, list[tuple[CachedTrack, CachedTrack]]]] = {}
    for track in plan.tracks:
        if track.done:
            source, cached = known.sources[track.id]
            groups.setdefault(source.path, (source, []))[1].append((cached, track))
    yield from groups.values()


def copy_tracks(
    source: Cache,
    extents: Mapping[str, Extent],
    tracks: Sequence[tuple[CachedTrack, CachedTrack | TrackRows]],
    descriptor: int,
) -> None:
    """Copy rows from a cache into an open file with these extents.

    Each pair is a track of the cache, and the rows that are reserved for it in the file.
    """
    with open_descriptor(source.path, os.O_RDONLY) as original:
        for name in [name for name in ROW_DATASETS if name in extents]:
            extent = source.extents[name]
            for old, new, rows in _stretches(tracks):
                start, destination = extent.at(old), extents[name].at(new)
                copy_rows(original, descriptor, start, extent.row_bytes * rows, destination)


def _stretches(tracks: Sequence[tuple[CachedTrack, CachedTrack | TrackRows]]) -> list[tuple[int, int, int]]:
    """Join tracks that are consecutive in both caches: old row, new row, number of rows."""
    stretches: list[tuple[int, int, int]] = []
    for cached, planned in tracks:
        old, new, rows = stretches[-1] if stretches else (0, 0, 0)
        if stretches and (cached.first_row, planned.first_row) == (old + rows, new + rows):
            stretches[-1] = (old, new, rows + cached.rows)
        else:
            stretches.append((cached.first_row, planned.first_row, cached.rows))
    return stretches
