"""Fill a cache file: copy the rows that are known, and let workers compute the others.

The work happens in an HDF5 file in which the rows of some tracks are still missing. If decoding shows that a track
differs from its header, a new plan is made with what decoding has shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from genrekit.config import PrepareConfig
from genrekit.data.cache.executors import Workers
from genrekit.data.cache.layout import TRACK_RESULTS, CachedTrack, CachePlan
from genrekit.data.cache.planning import plan_cache, require_all_files, require_space
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.cache.reuse import KnownTracks, by_source, copy_tracks, lay_out
from genrekit.data.cache.rows import (
    Extent,
    RowCountMismatch,
    TrackRows,
    Written,
    flushed_file,
    open_descriptor,
    write_at,
)
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.collection import Collection
from genrekit.errors import GenrekitError, IncompatibleCacheError
from genrekit.io.targets import refuse_special

OnPlan = Callable[[CachePlan, int], None]
"""Called with the plan and the number of tracks to transform, before they are transformed."""

OnTrack = Callable[[int, int], None]
"""Called with the number of tracks done and of all tracks to transform."""


OnMessage = Callable[[str, str], None]
"""Called with the id of a track and a message that a decoder library printed."""


@dataclass(frozen=True)
class Callbacks:
    """The functions that are called while a file is filled."""

    on_plan: OnPlan | None = None
    on_track: OnTrack | None = None
    on_message: OnMessage | None = None


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True)
class Filling:
    """What to fill a file with: the tracks of a collection, and who computes their rows."""

    collection: Collection
    config: PrepareConfig
    check: SourceCheck
    workers: Workers
    strict: bool = False
    least_genres: int = 2
    callbacks: Callbacks = NO_CALLBACKS

    def known(self, *caches: Cache | None) -> KnownTracks:
        """Return what some caches know about the collection; later caches override."""
        return KnownTracks.of(self.collection, self.check, *caches)

    def complete(
        self,
        target: Path,
        old: Cache | None,
        sources: Sequence[Cache],
        partial: Cache | None,
        known: KnownTracks,
    ) -> tuple[Cache, CachePlan]:
        """Fill the file at `target` with all tracks. Return it, or `old` if that is up to date, and its plan.

        Rows are copied from `old`, from `sources` and from `partial`, which is what an interrupted run left at
        `target`. `known` is what all of these know about the collection.
        Errors: those of `build_cache`.
        """
        while True:
            plan = plan_cache(self.collection, self.config, known, least_genres=self.least_genres)
            if self.strict:
                require_all_files(plan, self.collection)
            if old is not None and all(track.done for track in old.tracks) and plan.matches(old.plan):
                return old, plan
            if partial is None or not plan.matches(partial.plan):
                require_space(plan, target)
                if not all(track.done for track in plan.tracks):
                    self.workers.start()
                lay_out(plan, target, known)
                partial = open_cache(target, unfinished=True)
            elif _copy_known(partial, plan, known):
                partial = open_cache(target, unfinished=True)
            mismatches = self._fill(partial)
            partial = open_cache(target, unfinished=True)
            if not mismatches:
                return partial, plan
            known = self.known(old, *sources, partial).with_mismatches(known, mismatches)

    def _fill(self, partial: Cache) -> list[RowCountMismatch]:
        """Compute the missing tracks; return those that differ from the plan."""
        paths = {track.id: track.path for track in self.collection.tracks}
        missing = [
            TrackRows(index, track.id, paths[track.id], track.first_row, track.rows)
            for index, track in enumerate(partial.tracks)
            if not track.done
        ]
        if self.callbacks.on_plan is not None:
            self.callbacks.on_plan(partial.plan, len(missing))
        if not missing:
            return []
        mismatches = []
        with (
            flushed_file(partial.path) as descriptor,
            closing(self.workers.write_tracks(partial.path, partial.extents, missing)) as outcomes,
        ):
            for done, outcome in enumerate(outcomes, 1):
                if isinstance(outcome, RowCountMismatch):
                    mismatches.append(outcome)
                else:
                    mark_done(descriptor, partial.extents, outcome)
                    for message in outcome.messages:
                        if self.callbacks.on_message is not None:
                            self.callbacks.on_message(outcome.slot.track_id, message)
                if self.callbacks.on_track is not None:
                    self.callbacks.on_track(done, len(missing))
        return mismatches


def existing_cache(path: Path, config: PrepareConfig, *, verify: bool = False) -> Cache | None:
    """Return the cache at a path, with `verify` without the tracks whose rows are damaged; None if there is none.

    Errors: IncompatibleCacheError if it has another configuration, with the values that differ.
    """
    if not path.exists():
        return None
    cache = open_cache(path, check_rows=not verify)
    if cache.config != config:
        raise IncompatibleCacheError(
            f"{path} was prepared with another configuration ({config_differences(cache.config, config)}): "
            "replace it with --overwrite, or choose another file with --out"
        )
    return cache.without(cache.damaged_tracks()) if verify else cache


def config_differences(old: PrepareConfig, new: PrepareConfig) -> str:
    """List the values that differ, such as "n_mels is 64, not 128"."""
    before, after = _flat(old), _flat(new)
    return "; ".join(f"{key} is {before[key]}, not {after[key]}" for key in before if before[key] != after[key])


def _flat(config: PrepareConfig) -> dict[str, object]:
    nested = {"front_end": config.front_end, "augmentation": config.augmentation}
    top = config.model_dump(exclude=set(nested))
    return {**top, **{key: value for inner in nested.values() for key, value in inner.model_dump().items()}}


def interrupted_cache(partial: Path, config: PrepareConfig) -> Cache | None:
    """Return the partial file of an interrupted run, without damaged tracks, if it can be continued."""
    if partial.exists():
        refuse_special(partial, partial.stat().st_mode)
    with suppress(GenrekitError):
        cache = open_cache(partial, unfinished=True)
        if cache.config == config and cache.has_all_results:
            return cache.without(cache.damaged_tracks())
    return None


def mark_missing(partial: Cache) -> None:
    """Write into a file which tracks of `interrupted_cache` are missing."""
    with open_descriptor(partial.path, os.O_WRONLY) as descriptor:
        for index, track in enumerate(partial.tracks):
            if not track.done:
                _write_result(descriptor, partial.extents, index, "done", False)


def _copy_known(partial: Cache, plan: CachePlan, known: KnownTracks) -> bool:
    """Copy rows that other caches have into a file that is continued. Return whether there are any.

    `plan` has the same rows as the file.
    """
    missing = {
        track.id: index
        for index, (track, there) in enumerate(zip(plan.tracks, partial.tracks, strict=True))
        if track.done and not there.done
    }
    if not missing:
        return False
    with open_descriptor(partial.path, os.O_WRONLY) as descriptor:
        wanted = replace(plan, tracks=tuple(plan.tracks[index] for index in missing.values()))
        for source, tracks in by_source(wanted, known):
            copy_tracks(source, partial.extents, tracks, descriptor)
            for cached, track in tracks:
                slot = TrackRows(missing[track.id], track.id, source.path, track.first_row, track.rows)
                mark_done(descriptor, partial.extents, written_from(cached, slot))
    return True


def written_from(cached: CachedTrack, slot: TrackRows) -> Written:
    """Return the result for a track whose rows were copied from a cache into a slot."""
    notes = (cached.note,) if cached.note else ()
    return Written(slot, cached.digest, cached.file_digest, cached.facts, notes, cached.decoder)


def mark_done(descriptor: int, extents: Mapping[str, Extent], written: Written) -> None:
    """Write what is known about a track and, last, that its rows are complete."""
    results = {
        "digest": written.digest,
        "file_digest": written.file_digest,
        "note": "; ".join(written.notes),
        "decoder": written.decoder,
        **asdict(written.facts),
        "done": True,
    }
    for name, value in results.items():
        _write_result(descriptor, extents, written.slot.index, name, value)


def _write_result(descriptor: int, extents: Mapping[str, Extent], index: int, name: str, value: str | float) -> None:
    offset = extents[f"tracks/{name}"].at(index)
    write_at(descriptor, offset, np.array([value], dtype=TRACK_RESULTS[name]))
