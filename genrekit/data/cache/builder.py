"""Building a cache so that at every instant its path holds nothing or a whole one.

The work happens in a `.partial` file beside it: a complete HDF5 file in which the rows of some tracks are still
missing. Rows that are known, from the old cache or from an interrupted build, are copied; the rest is computed by
workers. Where a track turns out otherwise than its header promised, the plan is made anew with what is now known.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from genrekit.audio.decode import probe
from genrekit.audio.transform import expected_rows
from genrekit.config import PrepareConfig
from genrekit.data.cache.hdf5 import TRACK_RESULTS, Cache, CachedSkip, CachedTrack, CachePlan, create_cache, open_cache
from genrekit.data.cache.rows import (
    ROW_DATASETS,
    RowCountMismatch,
    TrackRows,
    Written,
    copy_rows,
    flushed_file,
    open_descriptor,
    warm_up,
    write_at,
    write_track,
)
from genrekit.data.collection import Collection, SkippedFile, Track
from genrekit.data.duplicates import group_recordings
from genrekit.errors import GenrekitError, IncompatibleCacheError, UnreadableAudioError
from genrekit.io.files import exclusive_lock, size_text

OnTrack = Callable[[int, int], None]
"""Called with the number of tracks done and of all tracks."""


@dataclass(frozen=True)
class Build:
    """A cache that has just been built or found up to date; `reused` counts tracks whose audio was not opened."""

    cache: Cache
    reused: int


@dataclass
class _BuildState:
    """What is known of tracks without opening them: rows or a reason, by track id."""

    rows: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    sources: dict[str, tuple[Cache, CachedTrack]] = field(default_factory=dict)


def build_cache(
    collection: Collection,
    config: PrepareConfig,
    path: Path,
    open_executor: Callable[[], Executor],
    *,
    overwrite: bool = False,
    strict: bool = False,
    on_plan: Callable[[CachePlan, int], None] | None = None,
    on_track: OnTrack | None = None,
) -> Build:
    """Bring the cache at `path` up to date with a collection, computing only what is not there yet.

    `on_plan` is called with the plan and the number of tracks to be transformed before work starts.
    Errors: IncompatibleCacheError where the cache there has another configuration, GenrekitError where another
    process builds it, the disk is too small, fewer than two genres are left, or with `strict` a file is skipped.
    """
    lock = exclusive_lock(path.with_name(f".{path.name}.lock"), f"cannot prepare {path}")
    with lock, _Workers(open_executor, config) as workers:
        old = None if overwrite else _existing(path, config)
        partial = path.with_name(path.name + ".partial")
        interrupted = _interrupted(partial, config)
        known = _recall(collection, old, interrupted)
        reused = len(known.sources)
        while True:
            plan = _plan(collection, config, known)
            if strict:
                _require_all(plan, collection)
            if old is not None and plan.matches(old.plan):
                partial.unlink(missing_ok=True)
                return Build(old, reused)
            if interrupted is None or not plan.matches(interrupted.plan):
                _require_space(plan, path)
                if not all(track.done for track in plan.tracks):
                    workers.begin()
                _lay_out(plan, partial, known)
                interrupted = open_cache(partial, unfinished=True)
            surprises = _fill(interrupted, collection, workers, on_plan, on_track)
            interrupted = open_cache(partial, unfinished=True)
            if not surprises:
                break
            known = _learn(_recall(collection, old, interrupted), known, surprises)
        _link_recordings(interrupted, known)
        os.replace(partial, path)
        return Build(open_cache(path), reused)


class _Workers:
    """Workers that are started when there is work, and load what it takes while the file is laid out."""

    def __init__(self, open_executor: Callable[[], Executor], config: PrepareConfig) -> None:
        self._open_executor, self._config = open_executor, config
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the workers; after an error without starting what still waits."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=kind is not None)

    def begin(self) -> Executor:
        """The workers, started now if they were not."""
        if self._executor is None:
            self._executor = self._open_executor()
            with suppress(BrokenProcessPool):  # work will meet it, and tell
                self._executor.submit(warm_up, self._config)
        return self._executor

    def outcomes(self, partial: Cache, todo: list[TrackRows]) -> Iterator[Written | RowCountMismatch]:
        """Have the tracks written; a worker may die as early as when work is handed out."""
        submit, file, extents, config = self.begin().submit, partial.path, partial.extents, self._config
        try:
            for future in as_completed([submit(write_track, file, extents, slot, config) for slot in todo]):
                yield future.result()
        except BrokenProcessPool as error:
            raise GenrekitError(
                "a worker process died, perhaps for lack of memory: "
                "run again to go on, with fewer workers if it repeats"
            ) from error


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
    """Name each value that differs, as "n_mels 64 there, 128 asked"."""
    before, after = _flat(old), _flat(new)
    return "; ".join(f"{key} {before[key]} there, {after[key]} asked" for key in before if before[key] != after[key])


def _flat(config: PrepareConfig) -> dict[str, object]:
    nested = {"front_end": config.front_end, "augmentation": config.augmentation}
    own = config.model_dump(exclude=set(nested))
    return {**own, **{key: value for part in nested.values() for key, value in part.model_dump().items()}}


def _interrupted(partial: Path, config: PrepareConfig) -> Cache | None:
    """Return the unfinished build beside the cache where it can be continued."""
    partial.with_name(partial.name + ".new").unlink(missing_ok=True)
    with suppress(GenrekitError):
        cache = open_cache(partial, unfinished=True)
        if cache.config == config:
            return _undamaged(cache)
    return None


def _undamaged(partial: Cache) -> Cache:
    """Take back tracks of which it is written that they are done, but not all rows were when the power went."""
    lost = np.unique(partial.track[partial.damaged_rows()]).tolist()
    with open_descriptor(partial.path, os.O_WRONLY) as descriptor:
        for index in lost:
            _write_result(partial, descriptor, index, "done", False)
    return open_cache(partial.path, unfinished=True) if lost else partial


def _recall(collection: Collection, *caches: Cache | None) -> _BuildState:
    known = _BuildState()
    for cache in caches:
        if cache is None:
            continue
        there = {track.id: track for track in cache.tracks}
        skips = {(skip.file.path, skip.size, skip.mtime_ns): skip.file.reason for skip in cache.plan.skipped}
        for track in collection.tracks:
            cached = there.get(track.id)
            if cached is not None and cached.describes(track):
                known.sources[track.id] = (cache, cached)
                known.rows[track.id] = cached.rows
            skip = skips.get((_shown(track, collection), track.size, track.mtime_ns))
            if skip is not None:
                known.unreadable[track.id] = skip
    return known


def _learn(known: _BuildState, before: _BuildState, surprises: list[RowCountMismatch]) -> _BuildState:
    rows, unreadable = {**before.rows, **known.rows}, {**before.unreadable, **known.unreadable}
    for surprise in surprises:
        if surprise.reason is None:
            rows[surprise.slot.track_id] = surprise.rows
        else:
            unreadable[surprise.slot.track_id] = surprise.reason
    return _BuildState(rows, unreadable, known.sources)


def _plan(collection: Collection, config: PrepareConfig, known: _BuildState) -> CachePlan:
    tracks: list[CachedTrack] = []
    skipped = [CachedSkip(file, 0, 0) for file in collection.skipped]
    first_row = 0
    for track in collection.tracks:
        if track.id not in known.rows and track.id not in known.unreadable:
            try:
                known.rows[track.id] = expected_rows(probe(track.path), config)
            except UnreadableAudioError as error:
                known.unreadable[track.id] = str(error)
        if track.id in known.unreadable:
            file = SkippedFile(_shown(track, collection), known.unreadable[track.id])
            skipped.append(CachedSkip(file, track.size, track.mtime_ns))
            continue
        tracks.append(_planned(track, first_row, known))
        first_row += known.rows[track.id]
    plan = CachePlan(config, tuple(tracks), tuple(skipped))
    _require_genres(plan, collection)
    return plan


def _planned(track: Track, first_row: int, known: _BuildState) -> CachedTrack:
    rows, source = known.rows[track.id], known.sources.get(track.id)
    planned = CachedTrack(
        track.id, track.genre, track.artists, track.subset, track.size, track.mtime_ns, first_row, rows
    )
    if source is None:
        return planned
    return replace(planned, digest=source[1].digest, silent=source[1].silent, done=True)


def _shown(track: Track, collection: Collection) -> str:
    """A track's path as it is shown and stored: below the collection where it lies there."""
    try:
        return track.path.relative_to(collection.root).as_posix()
    except ValueError:
        return track.path.as_posix()


def _require_genres(plan: CachePlan, collection: Collection) -> None:
    if len(plan.genres) >= 2:
        return
    left = f"only {plan.genres[0]} is left" if plan.genres else "nothing is left"
    reasons = "; ".join(f"{skip.file.path}: {skip.file.reason}" for skip in plan.skipped[:3])
    raise GenrekitError(
        f"{collection.root}: {left} of {len(collection.genres)} genres after skipping {len(plan.skipped)} files "
        f"({reasons}): a classifier needs at least two"
    )


def _require_all(plan: CachePlan, collection: Collection) -> None:
    if plan.skipped:
        first = plan.skipped[0].file
        raise GenrekitError(
            f"{collection.root}: {len(plan.skipped)} files cannot be used, the first is {first.path}: {first.reason}; "
            "mend or remove them, or prepare without strictness"
        )


def _require_space(plan: CachePlan, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = plan.n_rows * plan.row_bytes, shutil.disk_usage(path.parent).free
    if needed > free:
        fitting = [f"{what} ({size_text(size)})" for what, size in _smaller(plan) if size <= free]
        raise GenrekitError(
            f"{path} needs {size_text(needed)} and {size_text(free)} are free: make space, or prepare what fits: "
            + ("; ".join(fitting) or "none of mel spectrograms only, originals only and first fragments only")
        )


def _smaller(plan: CachePlan) -> Iterator[tuple[str, int]]:
    """Smaller caches of the same tracks, and their bytes."""
    config, variants = plan.config, len(plan.config.augmentation.variants)
    mel_only = replace(plan, config=config.model_copy(update={"store": "mel", "mel_dtype": "float16"}))
    originals = plan.n_rows // variants
    if mel_only.row_bytes < plan.row_bytes:
        yield "mel spectrograms only", plan.n_rows * mel_only.row_bytes
    if variants > 1:
        what = "both tensors of originals only" if config.store == "both" else "originals only"
        yield what, originals * plan.row_bytes
        if mel_only.row_bytes < plan.row_bytes:
            yield "mel spectrograms of originals only", originals * mel_only.row_bytes
    yield "mel spectrograms of each track's first fragment only", len(plan.tracks) * mel_only.row_bytes


def _lay_out(plan: CachePlan, partial: Path, known: _BuildState) -> None:
    """Replace the partial file by one for this plan, with the rows that are known copied into it."""
    new = partial.with_name(partial.name + ".new")
    try:
        create_cache(new, plan)
        target = open_cache(new, unfinished=True)
        with open_descriptor(new, os.O_WRONLY) as descriptor:
            for source, tracks in _by_source(plan, known):
                _copy_tracks(source, target, tracks, descriptor)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    os.replace(new, partial)


def _by_source(plan: CachePlan, known: _BuildState) -> Iterator[tuple[Cache, list[tuple[CachedTrack, CachedTrack]]]]:
    groups: dict[Path, tuple[Cache, list[tuple[CachedTrack, CachedTrack]]]] = {}
    for track in plan.tracks:
        if track.done:
            source, cached = known.sources[track.id]
            groups.setdefault(source.path, (source, []))[1].append((cached, track))
    yield from groups.values()


def _copy_tracks(source: Cache, target: Cache, tracks: list[tuple[CachedTrack, CachedTrack]], descriptor: int) -> None:
    with open_descriptor(source.path, os.O_RDONLY) as original:
        for name in [name for name in ROW_DATASETS if name in target.extents]:
            extent = source.extents[name]
            for there, here, rows in _stretches(tracks):
                start, destination = extent.at(there), target.extents[name].at(here)
                copy_rows(original, descriptor, start, extent.row_bytes * rows, destination)


def _stretches(tracks: list[tuple[CachedTrack, CachedTrack]]) -> list[tuple[int, int, int]]:
    """Rows there, rows here and their number, for tracks that follow one another in both caches together."""
    found: list[tuple[int, int, int]] = []
    for there, here in tracks:
        old, new, rows = found[-1] if found else (0, 0, 0)
        if found and (there.first_row, here.first_row) == (old + rows, new + rows):
            found[-1] = (old, new, rows + there.rows)
        else:
            found.append((there.first_row, here.first_row, there.rows))
    return found


def _fill(
    partial: Cache,
    collection: Collection,
    workers: _Workers,
    on_plan: Callable[[CachePlan, int], None] | None,
    on_track: OnTrack | None,
) -> list[RowCountMismatch]:
    """Compute the tracks that are missing; return those that turned out otherwise than planned."""
    paths = {track.id: track.path for track in collection.tracks}
    todo = [
        TrackRows(index, track.id, paths[track.id], track.first_row, track.rows)
        for index, track in enumerate(partial.tracks)
        if not track.done
    ]
    if on_plan is not None:
        on_plan(partial.plan, len(todo))
    if not todo:
        return []
    surprises = []
    with flushed_file(partial.path) as descriptor:
        for done, outcome in enumerate(workers.outcomes(partial, todo), 1):
            if isinstance(outcome, RowCountMismatch):
                surprises.append(outcome)
            else:
                _mark_done(partial, descriptor, outcome)
            if on_track is not None:
                on_track(done, len(todo))
    return surprises


def _link_recordings(partial: Cache, known: _BuildState) -> None:
    """Record which tracks are the same recording; what an older cache knows of whole groups is taken over."""
    place = {track.id: index for index, track in enumerate(partial.tracks)}
    groups: dict[tuple[Path, int], list[str]] = {}
    for source in {id(cache): cache for cache, _ in known.sources.values()}.values():
        for track in source.tracks:
            if track.recording >= 0:
                groups.setdefault((source.path, track.recording), []).append(track.id)
    here = {track_id for track_id, (source, track) in known.sources.items() if track.recording >= 0}
    unchanged = [[place[track_id] for track_id in group] for group in groups.values() if here.issuperset(group)]
    recordings = group_recordings(partial, unchanged)
    with flushed_file(partial.path) as descriptor:
        write_at(descriptor, partial.extents["tracks/recording"].offset, recordings)


def _mark_done(partial: Cache, descriptor: int, written: Written) -> None:
    """Record a track's digest and, last, that its rows are whole."""
    for name, value in (("digest", written.digest), ("silent", written.silent), ("done", True)):
        _write_result(partial, descriptor, written.slot.index, name, value)


def _write_result(partial: Cache, descriptor: int, index: int, name: str, value: str | bool) -> None:
    place = partial.extents[f"tracks/{name}"].at(index)
    write_at(descriptor, place, np.array([value], dtype=TRACK_RESULTS[name]))
