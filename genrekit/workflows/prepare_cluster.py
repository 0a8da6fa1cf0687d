"""Where `prepare` takes rows from beside its own workers: shards of array jobs, or the workers of a cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from genrekit.config import EngineConfig, PrepareConfig
from genrekit.data.cache.builder import Gather
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.cache.reuse import KnownTracks, shown_path
from genrekit.data.cache.shards import build_shard, open_blocks, open_numbered_shards, shards_folder, write_skips
from genrekit.data.cache.sources import SourceCheck
from genrekit.data.collection import Collection, Track
from genrekit.engines.dask_engine import MEMORY_OF_WORKERS, DaskEngine, open_dask
from genrekit.engines.remote import folders_of, require_seen, shared_token
from genrekit.errors import GenrekitError, counted
from genrekit.workflows.reporter import Reporter

_MOST_TRACKS, _LEAST_TRACKS = 256, 8
"""Tracks of a block. A block costs about as much as ten short tracks, and a lost worker loses one block per thread."""

_BLOCKS_PER_THREAD = 4
"""Fewest blocks for each thread, so that all threads are busy until the end."""


def gather_rows(
    collection: Collection,
    config: PrepareConfig,
    out: Path,
    engine: EngineConfig,
    reporter: Reporter,
    *,
    merge: bool,
    strict: bool,
    overwrite: bool,
) -> Gather | None:
    """Return the function that finds the rows of missing tracks; None if this process computes them."""
    if merge:
        return lambda missing: open_numbered_shards(collection, missing, config, shards_folder(out))
    if engine.local:
        return None
    return lambda missing: _on_cluster(
        replace(collection, tracks=tuple(missing), skipped=()),
        config,
        shards_folder(out.absolute()),
        engine,
        reporter,
        strict=strict,
        overwrite=overwrite,
    )


def _on_cluster(
    collection: Collection,
    config: PrepareConfig,
    folder: Path,
    engine: EngineConfig,
    reporter: Reporter,
    *,
    strict: bool,
    overwrite: bool,
) -> Sequence[Cache]:
    """Let the workers of a cluster write the blocks of tracks that no finished block has; return all blocks."""
    blocks = open_blocks(config, folder, overwrite=overwrite)
    left = KnownTracks.of(collection, SourceCheck(), *blocks).missing(collection)
    if not left:
        return blocks
    tracks = [replace(track, path=track.path.absolute()) for track in left]
    done = len(collection.tracks) - len(tracks)
    write = partial(write_block, collection.root.absolute(), config, folder, strict)
    with open_dask(engine, reporter.note) as dask, shared_token(folder) as token:
        dask.require_seen([token, *folders_of(track.path for track in tracks)])
        reporter.note(f"{counted(len(tracks), 'track')} on {counted(dask.threads(), 'thread')} of {dask.address}")
        reporter.tracks_done(done, len(collection.tracks))
        blocks_of_tracks = _cut(tracks, dask.threads())
        with closing(
            _written(dask, write, blocks_of_tracks, partial(_leave_out, collection.root, config, folder, strict))
        ) as names:
            for name in names:
                blocks.append(open_cache(folder / name, unfinished=True))
                done += len(blocks[-1].tracks) + len(blocks[-1].plan.skipped)
                reporter.tracks_done(done, len(collection.tracks))
    return blocks


def _written(
    dask: DaskEngine,
    write: Callable[[Sequence[Track]], str],
    blocks: Iterable[Sequence[Track]],
    leave_out: Callable[[Track, str], str],
) -> Generator[str]:
    """Let workers write blocks of tracks; yield the names of their files.

    If several workers die at a block, its tracks are tried again one at a time, and the one at which they die again is
    left out.
    """
    suspects, left_out = list[Track](), list[str]()
    with closing(dask.as_completed(write, blocks, lambda block, _: suspects.extend(block))) as written:
        for _, name in written:
            yield name
    alone = ((track,) for track in suspects)
    with closing(
        dask.as_completed(write, alone, lambda block, deaths: left_out.append(leave_out(*block, deaths)), at_once=1)
    ) as written:
        for _, name in written:
            yield name
    yield from left_out


def _leave_out(root: Path, config: PrepareConfig, folder: Path, strict: bool, track: Track, deaths: str) -> str:
    """Write a block without rows that says why a track is left out; return the name of its file.

    Errors: GenrekitError with the file, if `strict`.
    """
    collection = Collection(root.absolute(), (track,))
    path = folder / f"block-{uuid.uuid4().hex}.h5"
    if strict:
        raise GenrekitError(f"{deaths} while reading {shown_path(track, collection)}, {MEMORY_OF_WORKERS}")
    write_skips(collection, config, path, f"{deaths} while reading it, possibly because memory ran out")
    return path.name


def _cut(tracks: Sequence[Track], threads: int) -> Iterator[tuple[Track, ...]]:
    size = min(_MOST_TRACKS, max(_LEAST_TRACKS, len(tracks) // (_BLOCKS_PER_THREAD * threads)))
    for start in range(0, len(tracks), size):
        yield tuple(tracks[start : start + size])


def write_block(root: Path, config: PrepareConfig, folder: Path, strict: bool, tracks: Sequence[Track]) -> str:
    """Write the shard of some tracks, and return the name of its file. This runs on a worker.

    Errors: GenrekitError if this host does not see the folder or a file; those of `build_shard`.
    """
    require_seen([folder, *(track.path for track in tracks)])
    path = folder / f"block-{uuid.uuid4().hex}.h5"
    build_shard(Collection(root, tuple(tracks)), config, path, partial(ThreadPoolExecutor, 1), strict=strict)
    return path.name
