"""Rows that other processes compute for `prepare`: shards of array jobs, and the workers of a dask cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from genrekit.config import EngineConfig, PrepareConfig
from genrekit.data.cache.builder import Gather
from genrekit.data.cache.executors import LocalWorkers, Workers, available_cores, open_executor, write_in_thread
from genrekit.data.cache.filling import mark_done
from genrekit.data.cache.rows import Extent, RowCountMismatch, TrackRows, Written, open_descriptor
from genrekit.data.cache.shards import build_shard, copy_shard, open_blocks, open_numbered_shards, shards_folder
from genrekit.data.collection import Collection, Track
from genrekit.engines.cluster_file import read_cluster_file
from genrekit.engines.dask_engine import DaskEngine, open_dask
from genrekit.engines.remote import folders_of, require_seen, shared_token
from genrekit.errors import counted
from genrekit.io.file_identity import FileIdentity, path_of_open_file
from genrekit.workflows.reporter import Reporter

_MOST_TRACKS, _LEAST_TRACKS = 256, 8
"""Tracks of a block. On another host, a block costs about as much as ten short tracks, and is lost as a whole."""

_BLOCKS_PER_THREAD = 4
"""Fewest blocks for each thread, so that all threads are busy until the end."""

Item = TypeVar("Item")

Outcome = Written | RowCountMismatch

Block = tuple[tuple[TrackRows, Track], ...]
"""Tracks of one task, and the rows that are reserved for them."""


def workers_for(
    collection: Collection,
    config: PrepareConfig,
    out: Path,
    engine: EngineConfig,
    count: int | None,
    reporter: Reporter,
) -> Workers:
    """Return who transforms tracks: `count` processes of this machine (default: one per core), or a cluster."""
    if engine.engine_config is not None:
        read_cluster_file(engine.engine_config)  # also if nothing is left to compute
    if engine.local:
        return LocalWorkers(partial(open_executor, count or available_cores()), config)
    return ClusterWorkers(collection, config, shards_folder(out.absolute()), engine, reporter)


def gather_rows(
    collection: Collection, config: PrepareConfig, out: Path, engine: EngineConfig, *, merge: bool, overwrite: bool
) -> Gather | None:
    """Return the function that finds shards with rows of missing tracks; None for the local engine, without shards."""
    if merge:
        return lambda missing: open_numbered_shards(collection, missing, config, shards_folder(out))
    if engine.local:
        return None
    return lambda _: open_blocks(config, shards_folder(out), overwrite=overwrite)


class ClusterWorkers:
    """The workers of a dask cluster.

    Those that have the file of this process open, as their kernel says, write rows into it themselves, as local workers
    do. Workers on other hosts write shards, whose rows this process copies while they continue.
    """

    def __init__(
        self, collection: Collection, config: PrepareConfig, folder: Path, engine: EngineConfig, reporter: Reporter
    ) -> None:
        tracks = tuple(replace(track, path=track.path.absolute()) for track in collection.tracks)
        self._collection = Collection(collection.root.absolute(), tracks)
        self._config, self._folder, self._engine, self._reporter = config, folder, engine, reporter
        self._stack = ExitStack()
        self._dask: DaskEngine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self) -> DaskEngine:
        """Return the cluster, and connect to it if necessary.

        Errors: those of `open_dask`; GenrekitError if a worker does not see a folder of the collection or of the cache.
        """
        if self._dask is None:
            dask = self._stack.enter_context(open_dask(self._engine, self._reporter.note))
            token = self._stack.enter_context(shared_token(self._folder))
            dask.require_seen([token, *folders_of(track.path for track in self._collection.tracks)])
            self._dask = dask
        return self._dask

    def write_tracks(self, file: Path, extents: dict[str, Extent], slots: list[TrackRows]) -> Generator[Outcome]:
        """Transform tracks and write their rows; yield the results as they are done.

        Errors: those of `start` and of `DaskEngine.as_completed`.
        """
        dask = self.start()
        self._reporter.note(f"{counted(len(slots), 'track')} on {counted(dask.threads(), 'thread')} of {dask.address}")
        tracks = {track.id: track for track in self._collection.tracks}
        absolute = [(replace(slot, path=tracks[slot.track_id].path), tracks[slot.track_id]) for slot in slots]
        with open_descriptor(file, os.O_RDONLY) as descriptor:
            target = FileToFill(file.absolute(), FileIdentity.of(descriptor), extents)
        write = partial(write_block, self._collection.root, self._config, self._folder, target)
        with closing(_run_blocks(dask, write, cut_blocks(absolute, dask.threads()))) as written:
            for block, outcome in written:
                yield from self._copied(outcome, block, file, extents) if isinstance(outcome, str) else outcome

    def _copied(self, shard: str, block: Block, file: Path, extents: dict[str, Extent]) -> Iterator[Outcome]:
        """Copy the rows of a shard into the file, and remove the shard when its tracks are marked as done."""
        path = self._folder / shard
        collection = replace(self._collection, tracks=tuple(track for _, track in block))
        yield from copy_shard(path, collection, [slot for slot, _ in block], file, extents)
        path.unlink()


@dataclass(frozen=True)
class FileToFill:
    """The file that a cluster fills. Workers write to it if it has this identity for them."""

    path: Path
    identity: FileIdentity | None
    extents: Mapping[str, Extent]


def cut_blocks(tracks: Sequence[Item], threads: int) -> Iterator[tuple[Item, ...]]:
    """Cut tracks into the blocks that are tasks of a cluster with so many threads."""
    size = min(_MOST_TRACKS, max(_LEAST_TRACKS, len(tracks) // (_BLOCKS_PER_THREAD * threads)))
    for start in range(0, len(tracks), size):
        yield tuple(tracks[start : start + size])


def _run_blocks(
    dask: DaskEngine, write: Callable[[Block], str | list[Outcome]], blocks: Iterable[Block]
) -> Generator[tuple[Block, str | list[Outcome]]]:
    """Let workers write blocks of tracks; yield each block, and the outcomes or the name of its shard.

    If several workers die at a block, its tracks are tried again one at a time, and the one at which they die again is
    left out.
    """
    suspects, left_out = list[tuple[TrackRows, Track]](), list[tuple[Block, list[Outcome]]]()

    def leave_out(block: Block, deaths: str) -> None:
        reason = f"{deaths} while reading it, possibly because memory ran out"
        left_out.append((block, [RowCountMismatch(slot, 0, reason) for slot, _ in block]))

    with closing(dask.as_completed(write, blocks, lambda block, _: suspects.extend(block))) as written:
        yield from written
    alone = ((suspect,) for suspect in suspects)
    with closing(dask.as_completed(write, alone, leave_out, at_once=1)) as written:
        yield from written
    yield from left_out


@contextmanager
def _same_file(target: FileToFill) -> Iterator[Path | None]:
    """Yield a path of the file, which stays open; None if this worker cannot open it, or it is another file."""
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(open_descriptor(target.path, os.O_WRONLY))
        except OSError:
            yield None
            return
        same = target.identity is not None and target.identity == FileIdentity.of(descriptor)
        yield path_of_open_file(descriptor) if same else None


def _write_and_mark(file: Path, extents: Mapping[str, Extent], slot: TrackRows, config: PrepareConfig) -> Outcome:
    """Write the rows of a track, and that they are complete: the command may be killed before the block is done."""
    outcome = write_in_thread(file, extents, slot, config)
    if isinstance(outcome, Written):
        with open_descriptor(file, os.O_WRONLY) as descriptor:
            mark_done(descriptor, extents, outcome)
    return outcome


def write_block(
    root: Path, config: PrepareConfig, folder: Path, target: FileToFill, block: Block
) -> str | list[Outcome]:
    """Write the rows of some tracks. This runs on a worker.

    Return what `write_track` returns for each, if this worker may write to the file itself; otherwise the name of a
    shard in the folder.
    Errors: GenrekitError if this host does not see the folder or a track; those of `build_shard`.
    """
    require_seen([folder, *(track.path for _, track in block)])
    with _same_file(target) as file:
        if file is not None:
            return [_write_and_mark(file, target.extents, slot, config) for slot, _ in block]
    path = folder / f"block-{uuid.uuid4().hex}.h5"
    build_shard(Collection(root, tuple(track for _, track in block)), config, path, partial(ThreadPoolExecutor, 1))
    return path.name
