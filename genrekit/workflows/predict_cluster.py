"""Predict files on the workers of a cluster, in chunks."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from genrekit.config import EngineConfig, PredictConfig
from genrekit.engines.dask_engine import MEMORY_OF_WORKERS, open_dask
from genrekit.engines.remote import folders_of, require_seen
from genrekit.errors import GenrekitError, UnreadableAudioError, counted, few
from genrekit.inference.prediction import FilePrediction, predict_file
from genrekit.models import device_of
from genrekit.models.bundle import Bundle, load_bundle
from genrekit.training.devices import choose_device
from genrekit.workflows.reporter import Reporter

Outcome = FilePrediction | UnreadableAudioError
"""The prediction of a file, or why it cannot be read."""

_PACKAGE = Path(__file__).resolve().parents[1]

_MOST_FILES, _CHUNKS_PER_THREAD = 32, 8
"""Files of a chunk, and chunks for each thread, so that all threads end at about the same time."""

_device_lock = threading.Lock()


@dataclass(frozen=True)
class ChunkRequest:
    """How a worker predicts files. The bundle that comes with genrekit is the worker's own."""

    bundle: Path
    config: PredictConfig
    network: Path | None
    device: str

    @classmethod
    def of(cls, bundle: Bundle, config: PredictConfig, network: Path | None, device: str) -> ChunkRequest:
        """Return the request for a bundle, with paths that do not depend on the current folder."""
        path = bundle.path.resolve()
        included = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else bundle.path.absolute()
        return cls(included, config, None if network is None else network.absolute(), device)

    @property
    def shared(self) -> list[Path]:
        """The paths that all workers must see."""
        return [path for path in (self.bundle, self.network) if path is not None and path.is_absolute()]


def predict_on_cluster(
    paths: Sequence[Path], request: ChunkRequest, engine: EngineConfig, reporter: Reporter
) -> Generator[tuple[Path, Outcome, list[str]]]:
    """Predict files on the workers of a cluster; yield paths and outcomes in the order of the paths.

    The third item is always empty: what decoders print is in the logs of the workers.

    Errors: those of `open_dask`; GenrekitError if a worker does not see a file or the bundle, or with the files at
    which several workers died.
    """
    with open_dask(engine, reporter.note) as dask:
        folders = folders_of(path.absolute() for path in paths if path.exists())
        dask.require_seen([*request.shared, *folders])
        reporter.note(f"{counted(len(paths), 'file')} on {counted(dask.threads(), 'thread')} of {dask.address}")
        size = max(1, min(_MOST_FILES, len(paths) // (_CHUNKS_PER_THREAD * max(1, dask.threads()))))
        with closing(dask.in_order(partial(predict_chunk, request), _chunks(paths, size), _name_files)) as chunks:
            done = 0
            for _, outcomes in chunks:
                for path, outcome in zip(paths[done : done + len(outcomes)], outcomes, strict=True):
                    yield path, replace(outcome, path=path) if isinstance(outcome, FilePrediction) else outcome, []
                done += len(outcomes)


def _chunks(paths: Sequence[Path], size: int) -> Iterator[tuple[tuple[Path, bool], ...]]:
    """Yield the absolute paths of some files each, and whether they exist on this host."""
    for start in range(0, len(paths), size):
        yield tuple((path.absolute(), path.exists()) for path in paths[start : start + size])


def _name_files(chunk: Sequence[tuple[Path, bool]], deaths: str) -> None:
    files = few([str(path) for path, _ in chunk], _MOST_FILES)
    raise GenrekitError(f"{deaths} while reading one of {files}, {MEMORY_OF_WORKERS}")


def predict_chunk(request: ChunkRequest, files: Sequence[tuple[Path, bool]]) -> list[Outcome]:
    """Predict some files. This runs on a worker.

    Errors: GenrekitError if this host does not see a file that exists on the host of the command.
    """
    require_seen([*request.shared, *(path for path, there in files if there)])
    folder = _PACKAGE / request.bundle
    versions = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(folder.glob("model.*"))]
    bundle = _loaded(folder, request.network, request.device, tuple(versions))
    lock = nullcontext() if device_of(bundle.model).type == "cpu" else _device_lock
    outcomes: list[Outcome] = []
    for path, _ in files:
        try:
            outcomes.append(predict_file(bundle, path, request.config, device_lock=lock))
        except UnreadableAudioError as error:
            outcomes.append(error)
    return outcomes


@lru_cache(maxsize=1)
def _loaded(folder: Path, network: Path | None, device: str, versions: tuple[tuple[str, int, int], ...]) -> Bundle:  # noqa: ARG001 - a part of the key
    """Load a bundle once per worker process, and again if its files have changed."""
    bundle = load_bundle(folder, network)
    bundle.model.to(choose_device(device))
    return bundle
