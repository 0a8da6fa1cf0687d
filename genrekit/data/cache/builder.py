"""Build a cache such that its path always has either nothing or a complete cache.

The work happens in a `.partial` file beside it: an HDF5 file in which the rows of some tracks are still missing. Rows
that an older cache or an interrupted run already has are copied; workers compute the others. If decoding shows that a
track differs from its header, the plan is made again with what is then known.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrekit.config import PrepareConfig
from genrekit.data.cache.executors import Workers
from genrekit.data.cache.layout import TRACK_RESULTS, CachePlan
from genrekit.data.cache.planning import plan_cache, require_all_files, require_space
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.cache.reuse import KnownTracks, lay_out
from genrekit.data.cache.rows import RowCountMismatch, TrackRows, Written, flushed_file, open_descriptor, write_at
from genrekit.data.collection import Collection
from genrekit.data.duplicates import group_recordings
from genrekit.errors import GenrekitError, IncompatibleCacheError
from genrekit.io.files import exclusive_lock

OnPlan = Callable[[CachePlan, int], None]
"""Called with the plan and the number of tracks to transform, before they are transformed."""

OnTrack = Callable[[int, int], None]
"""Called with the number of tracks done and of all tracks to transform."""


@dataclass(frozen=True)
class Build:
    """An up-to-date cache; `reused` is the number of tracks whose audio was not opened."""

    cache: Cache
    reused: int


def build_cache(
    collection: Collection,
    config: PrepareConfig,
    path: Path,
    open_executor: Callable[[], Executor],
    *,
    overwrite: bool = False,
    strict: bool = False,
    on_plan: OnPlan | None = None,
    on_track: OnTrack | None = None,
) -> Build:
    """Bring the cache at `path` up to date with a collection. Only missing tracks are computed.

    Errors: IncompatibleCacheError if the existing cache has another configuration; GenrekitError if another process
    builds it, the disk is too small, fewer than two genres are left or, with `strict`, a file would be skipped.
    """
    lock = exclusive_lock(path.with_name(f".{path.name}.lock"), f"cannot prepare {path}")
    with lock, Workers(open_executor, config) as workers:
        old = None if overwrite else _existing(path, config)
        partial_path = path.with_name(path.name + ".partial")
        partial = _interrupted(partial_path, config)
        known = KnownTracks.of(collection, old, partial)
        reused = len(known.sources)
        while True:
            plan = plan_cache(collection, config, known)
            if strict:
                require_all_files(plan, collection)
            if old is not None and plan.matches(old.plan):
                partial_path.unlink(missing_ok=True)
                return Build(old, reused)
            if partial is None or not plan.matches(partial.plan):
                require_space(plan, path)
                if not all(track.done for track in plan.tracks):
                    workers.start()
                lay_out(plan, partial_path, known)
                partial = open_cache(partial_path, unfinished=True)
            mismatches = _fill(partial, collection, workers, on_plan, on_track)
            partial = open_cache(partial_path, unfinished=True)
            if not mismatches:
                break
            known = KnownTracks.of(collection, old, partial).with_mismatches(known, mismatches)
        _link_recordings(partial, known)
        os.replace(partial_path, path)
        return Build(open_cache(path), reused)


def _existing(path: Path, config: PrepareConfig) -> Cache | None:
    if not path.exists():
        return None
    cache = open_cache(path)
    if cache.config != config:
        raise IncompatibleCacheError(
            f"{path} was prepared with another configuration ({_differences(cache.config, config)}): "
            "choose another file, or overwrite it"
        )
    return cache


def _differences(old: PrepareConfig, new: PrepareConfig) -> str:
    """List the values that differ, such as "n_mels is 64, not 128"."""
    before, after = _flat(old), _flat(new)
    return "; ".join(f"{key} is {before[key]}, not {after[key]}" for key in before if before[key] != after[key])


def _flat(config: PrepareConfig) -> dict[str, object]:
    nested = {"front_end": config.front_end, "augmentation": config.augmentation}
    top = config.model_dump(exclude=set(nested))
    return {**top, **{key: value for inner in nested.values() for key, value in inner.model_dump().items()}}


def _interrupted(partial: Path, config: PrepareConfig) -> Cache | None:
    """Return the partial file of an interrupted run if it can be continued."""
    partial.with_name(partial.name + ".new").unlink(missing_ok=True)
    with suppress(GenrekitError):
        cache = open_cache(partial, unfinished=True)
        if cache.config == config:
            return _without_damaged_tracks(cache)
    return None


def _without_damaged_tracks(partial: Cache) -> Cache:
    """Mark tracks as missing if some of their rows did not reach the disk before a power failure."""
    lost = np.unique(partial.track[partial.damaged_rows()]).tolist()
    with open_descriptor(partial.path, os.O_WRONLY) as descriptor:
        for index in lost:
            _write_result(partial, descriptor, index, "done", False)
    return open_cache(partial.path, unfinished=True) if lost else partial


def _fill(
    partial: Cache,
    collection: Collection,
    workers: Workers,
    on_plan: OnPlan | None,
    on_track: OnTrack | None,
) -> list[RowCountMismatch]:
    """Compute the missing tracks; return those that differ from the plan."""
    paths = {track.id: track.path for track in collection.tracks}
    missing = [
        TrackRows(index, track.id, paths[track.id], track.first_row, track.rows)
        for index, track in enumerate(partial.tracks)
        if not track.done
    ]
    if on_plan is not None:
        on_plan(partial.plan, len(missing))
    if not missing:
        return []
    mismatches = []
    with flushed_file(partial.path) as descriptor:
        for done, outcome in enumerate(workers.write_tracks(partial.path, partial.extents, missing), 1):
            if isinstance(outcome, RowCountMismatch):
                mismatches.append(outcome)
            else:
                _mark_done(partial, descriptor, outcome)
            if on_track is not None:
                on_track(done, len(missing))
    return mismatches


def _link_recordings(partial: Cache, known: KnownTracks) -> None:
    """Write which tracks are the same recording. Groups that an older cache found are reused if they are complete."""
    index_of = {track.id: index for index, track in enumerate(partial.tracks)}
    groups: dict[tuple[Path, int], list[str]] = {}
    for source in {id(cache): cache for cache, _ in known.sources.values()}.values():
        for track in source.tracks:
            if track.recording >= 0:
                groups.setdefault((source.path, track.recording), []).append(track.id)
    present = {track_id for track_id, (_, track) in known.sources.items() if track.recording >= 0}
    unchanged = [[index_of[track_id] for track_id in group] for group in groups.values() if present.issuperset(group)]
    recordings = group_recordings(partial, unchanged)
    with flushed_file(partial.path) as descriptor:
        write_at(descriptor, partial.extents["tracks/recording"].offset, recordings)


def _mark_done(partial: Cache, descriptor: int, written: Written) -> None:
    """Write a track's digest and, last, that its rows are complete."""
    for name, value in (("digest", written.digest), ("silent", written.silent), ("done", True)):
        _write_result(partial, descriptor, written.slot.index, name, value)


def _write_result(partial: Cache, descriptor: int, index: int, name: str, value: str | bool) -> None:
    offset = partial.extents[f"tracks/{name}"].at(index)
    write_at(descriptor, offset, np.array([value], dtype=TRACK_RESULTS[name]))
