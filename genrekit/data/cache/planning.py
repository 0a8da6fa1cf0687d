"""Plan a cache: which tracks get which rows, and whether the result fits on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from genrekit.audio.decode import probe
from genrekit.audio.decoder_messages import file_messages
from genrekit.audio.transform import expected_rows
from genrekit.config import PrepareConfig
from genrekit.data.cache.layout import CachedSkip, CachedTrack, CachePlan
from genrekit.data.cache.reuse import KnownTracks, shown_path
from genrekit.data.collection import Collection, SkippedFile, Track
from genrekit.errors import GenrekitError, UnreadableAudioError, counted, file_that_needs_memory
from genrekit.io.files import size_text


def plan_cache(
    collection: Collection, config: PrepareConfig, known: KnownTracks, *, least_genres: int = 2
) -> CachePlan:
    """Return the plan of a cache. Tracks that are not known are probed, and are known afterwards.

    Errors: GenrekitError if fewer than `least_genres` genres have a usable track.
    """
    tracks: list[CachedTrack] = []
    skipped = [CachedSkip(file) for file in collection.skipped]
    first_row = 0
    for track in collection.tracks:
        if track.id not in known.rows and track.id not in known.unreadable:
            try:
                with file_messages(track.path, []), file_that_needs_memory():  # decoding prints them again
                    known.rows[track.id] = expected_rows(probe(track.path), config)
            except UnreadableAudioError as error:
                known.unreadable[track.id] = str(error)
        if track.id in known.unreadable:
            file = SkippedFile(shown_path(track, collection), known.unreadable[track.id])
            skipped.append(CachedSkip(file, track.size, track.mtime_ns, track.ctime_ns, track.inode))
            continue
        tracks.append(_planned(track, first_row, known))
        first_row += known.rows[track.id]
    plan = CachePlan(config, tuple(tracks), tuple(skipped))
    if len(plan.genres) < least_genres:
        raise _too_few_genres(plan, collection)
    return plan


def _planned(track: Track, first_row: int, known: KnownTracks) -> CachedTrack:
    source = known.sources.get(track.id)
    planned = CachedTrack(
        id=track.id,
        genre=track.genre,
        artists=track.artists,
        subset=track.subset,
        size=track.size,
        mtime_ns=track.mtime_ns,
        ctime_ns=track.ctime_ns,
        inode=track.inode,
        first_row=first_row,
        rows=known.rows[track.id],
    )
    if source is None:
        return planned
    cached = source[1]
    return replace(
        planned,
        digest=cached.digest,
        file_digest=cached.file_digest,
        facts=cached.facts,
        note=cached.note,
        decoder=cached.decoder,
        done=True,
    )


def _too_few_genres(plan: CachePlan, collection: Collection) -> GenrekitError:
    left = f"only {plan.genres[0]} is left" if plan.genres else "nothing is left"
    reasons = "; ".join(f"{skip.file.path}: {skip.file.reason}" for skip in plan.skipped[:3])
    return GenrekitError(
        f"{collection.root}: {left} of {counted(len(collection.genres), 'genre')} after skipping "
        f"{counted(len(plan.skipped), 'file')} ({reasons}): a classifier needs at least two"
    )


def require_all_files(plan: CachePlan, collection: Collection) -> None:
    """Make sure that no file is skipped.

    Errors: GenrekitError with the first file that is skipped.
    """
    if plan.skipped:
        first = plan.skipped[0].file
        raise GenrekitError(
            f"{collection.root}: cannot use {counted(len(plan.skipped), 'file')}; the first is {first.path}: "
            f"{first.reason}; fix or remove it, or leave out --strict"
        )


def require_space(plan: CachePlan, path: Path) -> None:
    """Create the folder of a cache, and make sure that the cache fits on its disk.

    Errors: GenrekitError with smaller caches that fit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = plan.n_rows * plan.row_bytes, shutil.disk_usage(path.parent).free
    if needed > free:
        fitting = [f"{what} ({size_text(size)})" for what, size in _smaller(plan) if size <= free]
        less = f"prepare less: {'; '.join(fitting)}" if fitting else "use another disk"
        raise GenrekitError(
            f"{path} needs {size_text(needed)}, but only {size_text(free)} is free: make space, or {less}"
        )


def _smaller(plan: CachePlan) -> Iterator[tuple[str, int]]:
    """Yield smaller caches of the same tracks, and their bytes."""
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
