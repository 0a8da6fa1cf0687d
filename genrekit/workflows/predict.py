"""predict: the genre of audio files, with a bundle alone."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from genrekit._types import AnyPath
from genrekit.config import PredictConfig
from genrekit.data.cache.executors import available_cores
from genrekit.data.collection import SkippedFile, audio_files
from genrekit.errors import BundleError, GenrekitError, UnreadableAudioError, UsageError
from genrekit.inference.prediction import FilePrediction, predict_file
from genrekit.inference.tags import require_tags, tag_genre
from genrekit.io.files import require_writable
from genrekit.io.memory import kept
from genrekit.models import device_of
from genrekit.models.bundle import Bundle, find_bundles, load_bundle, read_metadata
from genrekit.training.devices import choose_device
from genrekit.workflows.reporter import Reporter


@dataclass(frozen=True)
class PredictResult:
    """Predictions of all readable files, those that could not be read, and those that could not be tagged."""

    bundle: Path
    files: tuple[FilePrediction, ...]
    skipped: tuple[SkippedFile, ...] = ()
    untagged: tuple[SkippedFile, ...] = ()


_QUIET = Reporter()
_NO_VALUES: Mapping[str, Any] = {}


class _StoppedError(Exception):
    """The command was stopped while a file was listened to."""


@kept()
def predict(
    files: AnyPath | Sequence[AnyPath],
    model: AnyPath = "best_models",
    values: Mapping[str, Any] = _NO_VALUES,
    *,
    device: str = "auto",
    workers: int | None = None,
    tag_in_place: bool = False,
    tags_out: AnyPath | None = None,
    reporter: Reporter = _QUIET,
) -> PredictResult:
    """Name the genre of each file, and of all audio files in each folder, by the mean probabilities over fragments.

    `model` is a bundle, or a folder of bundles whose best by validation is used; `values` are those of
    `PredictConfig`. As many files as `workers` (default: the cores there are) are listened to at once. A file that
    cannot be read is skipped with its reason and the rest goes on.
    With `tag_in_place`, genres are written into the files' metadata; with `tags_out`, into those of copies in that
    folder. Files that are unsure are not tagged.
    Errors: GenrekitError where there is no bundle, or no file can be read; UsageError for a value that makes no sense.
    """
    config = PredictConfig.of(values)
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    named, skipped = _expanded(files)
    targets = _targets(named, None if tags_out is None else Path(tags_out), tag_in_place)
    where = choose_device(device)
    bundle = load_bundle(_best(Path(model), reporter))
    bundle.model.to(where)
    for skip in skipped:
        reporter.warning(f"skipped {skip.path}: {skip.reason}")
    found: list[FilePrediction] = []
    untagged: list[SkippedFile] = []
    paths = [file.path for file in named]
    with closing(_heard(paths, bundle, config, min(workers or available_cores(), len(paths)))) as heard:
        for done, (path, outcome) in enumerate(heard, 1):
            if isinstance(outcome, FilePrediction):
                found.append(_tagged(outcome, targets.get(done - 1), untagged, reporter))
            else:
                skipped.append(SkippedFile(str(path), str(outcome)))
                reporter.warning(f"skipped {path}: {outcome}")
            reporter.tracks_done(done, len(paths))
    reporter.finished()
    if not found:
        first = f", the first is {skipped[0].path}: {skipped[0].reason}" if skipped else ": none was named"
        raise GenrekitError(f"no file could be read{first}")
    return PredictResult(bundle.path, tuple(found), tuple(skipped), tuple(untagged))


def _best(model: Path, reporter: Reporter) -> Path:
    """The bundle, or the best by validation of those in a folder; damaged ones are passed over if others are there."""
    bundles = find_bundles(model)
    ranks: dict[Path, tuple[float, float]] = {}
    for path in bundles:
        try:
            ranks[path] = read_metadata(path).rank
        except BundleError as error:
            if len(bundles) == 1 or (path == bundles[-1] and not ranks):
                raise
            reporter.warning(f"passed over: {error}")
    return min(ranks, key=lambda path: (ranks[path], path))


@dataclass(frozen=True)
class _Named:
    """A file, and where a copy of it lies below the folder of copies."""

    path: Path
    below: Path


def _expanded(files: Sequence[AnyPath]) -> tuple[list[_Named], list[SkippedFile]]:
    """The files that are meant, with those below a folder in its place."""
    named: list[_Named] = []
    skipped: list[SkippedFile] = []
    for path in map(Path, files):
        if not _is_folder(path):
            named.append(_Named(path, Path(path.name)))
            continue
        try:
            inside = [_Named(below, below.relative_to(path)) for below in audio_files(path, skipped)]
        except GenrekitError as error:
            skipped.append(SkippedFile(str(path), str(error)))
            continue
        named += inside
        if not inside:
            skipped.append(SkippedFile(str(path), "no audio file is in this folder"))
    return named, skipped


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have: it will be told when it is read
        return False


def _targets(named: list[_Named], folder: Path | None, in_place: bool) -> dict[int, Path]:
    """The files that the genre is written into, by the place of the file that is heard; none if none is asked for."""
    if folder is None and not in_place:
        return {}
    require_tags()
    if folder is None:
        return {place: file.path for place, file in enumerate(named)}
    if in_place:
        raise UsageError("genres are written into the files themselves or into copies: choose one")
    require_writable(folder)
    first: dict[Path, Path] = {}
    for file in named:
        if first.setdefault(file.below, file.path) != file.path:
            raise UsageError(f"{first[file.below]} and {file.path} would both become {folder / file.below}: name one")
    return {place: folder / file.below for place, file in enumerate(named)}


def _tagged(
    file: FilePrediction, target: Path | None, untagged: list[SkippedFile], reporter: Reporter
) -> FilePrediction:
    """Write the genre into the target if there is one and the file is sure; what cannot be tagged is told."""
    if target is None or not file.confident:
        return file
    try:
        if target != file.path and target.exists():
            raise GenrekitError(f"{target} exists already: remove it, or choose another folder")
        tag_genre(file.path, target, file.genre)
    except GenrekitError as error:
        untagged.append(SkippedFile(str(file.path), str(error)))
        reporter.warning(f"not tagged: {file.path}: {error}")
        return file
    return replace(file, tagged=target)


Outcome = FilePrediction | UnreadableAudioError


def _heard(paths: list[Path], bundle: Bundle, config: PredictConfig, workers: int) -> Generator[tuple[Path, Outcome]]:
    """Listen to files in their order, several at once; only a few are begun before their turn."""
    stopped = threading.Event()
    on_cpu = device_of(bundle.model).type == "cpu"
    # Any other device works on one batch at a time anyway, and not each takes work from several threads.
    turn = nullcontext() if on_cpu else threading.Lock()

    def go_on() -> None:
        if stopped.is_set():
            raise _StoppedError

    def listen(path: Path) -> Outcome:
        try:
            return predict_file(bundle, path, config, turn=turn, on_block=go_on)
        except UnreadableAudioError as error:
            return error

    with _threads(workers) as executor:
        coming = iter(paths)
        begun = deque((path, executor.submit(listen, path)) for path in islice(coming, 2 * workers))
        try:
            while begun:
                path, future = begun.popleft()
                yield path, future.result()
                begun.extend((path, executor.submit(listen, path)) for path in islice(coming, 1))
        finally:
            stopped.set()
            executor.shutdown(cancel_futures=True)


@contextmanager
def _threads(count: int) -> Iterator[Executor]:
    """Threads that decode and compute side by side; where they are several, each computes on one core."""
    before = torch.get_num_threads()
    each = 1 if count > 1 else before
    try:
        with ThreadPoolExecutor(max(count, 1), initializer=partial(torch.set_num_threads, each)) as executor:
            yield executor
    finally:
        torch.set_num_threads(before)
