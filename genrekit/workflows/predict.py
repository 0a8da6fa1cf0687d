"""predict: the genres of audio files, from a bundle alone."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from genrekit._types import AnyPath
from genrekit.config import PredictConfig
from genrekit.data.cache.executors import available_cores
from genrekit.data.collection import SkippedFile, audio_files
from genrekit.errors import BundleError, GenrekitError, UnreadableAudioError, UsageError
from genrekit.inference.prediction import FilePrediction, predict_file
from genrekit.inference.tags import require_tags, tag_genre
from genrekit.io.files import require_writable
from genrekit.models import device_of
from genrekit.models.bundle import Bundle, find_bundles, load_bundle, read_metadata
from genrekit.training.devices import choose_device
from genrekit.workflows.reporter import Reporter


@dataclass(frozen=True)
class PredictResult:
    """Predictions of all readable files, the files that could not be read, and those that could not be tagged."""

    bundle: Path
    files: tuple[FilePrediction, ...]
    skipped: tuple[SkippedFile, ...] = ()
    untagged: tuple[SkippedFile, ...] = ()


_QUIET = Reporter()
_DEFAULTS = PredictConfig()


class _StoppedError(Exception):
    """The command was stopped while a file was processed."""


def predict(
    files: AnyPath | Sequence[AnyPath],
    model: AnyPath = "best_models",
    *,
    hop_seconds: float | None = None,
    min_confidence: float | None = None,
    config: PredictConfig = _DEFAULTS,
    device: str = "auto",
    workers: int | None = None,
    tag_in_place: bool = False,
    tags_out: AnyPath | None = None,
    reporter: Reporter = _QUIET,
) -> PredictResult:
    """Predict the genre of each file, and of all audio files in each folder, by the mean probabilities over fragments.

    `model` is a bundle, or a folder of bundles, of which the best on its validation set is used. Fragments start every
    `hop_seconds` (default: their length). A prediction whose probability is below `min_confidence` is not `confident`.
    Both replace the values of `config`. `workers` files are processed in parallel (default: one per core). A file that
    cannot be read is skipped, with its reason in the result.

    With `tag_in_place`, genres are written into the files' metadata. With `tags_out`, they are written into copies in
    that folder. Predictions that are not confident are not written.
    Errors: GenrekitError if there is no bundle or no file can be read, UsageError for an invalid value.

    Example: `predict(["song.mp3", "album/"], "best_models", min_confidence=0.5).files[0].genre`
    """
    keywords = {"hop_seconds": hop_seconds, "min_confidence": min_confidence}
    given = {name: value for name, value in keywords.items() if value is not None}
    config = PredictConfig.of({**config.model_dump(), **given})
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    inputs, skipped = _expand_folders(files)
    targets = _tag_targets(inputs, None if tags_out is None else Path(tags_out), tag_in_place)
    torch_device = choose_device(device)
    bundle = load_bundle(_best(Path(model), reporter))
    bundle.model.to(torch_device)
    for skip in skipped:
        reporter.warning(f"skipped {skip.path}: {skip.reason}")
    predictions: list[FilePrediction] = []
    untagged: list[SkippedFile] = []
    paths = [file.path for file in inputs]
    outcomes = _predict_parallel(paths, bundle, config, min(workers or available_cores(), len(paths)))
    with closing(outcomes):
        for index, (path, outcome) in enumerate(outcomes):
            if isinstance(outcome, FilePrediction):
                predictions.append(_write_tag(outcome, targets.get(index), untagged, reporter))
            else:
                skipped.append(SkippedFile(str(path), str(outcome)))
                reporter.warning(f"skipped {path}: {outcome}")
            reporter.tracks_done(index + 1, len(paths))
    reporter.finished()
    if not predictions:
        raise _no_file(skipped)
    return PredictResult(bundle.path, tuple(predictions), tuple(skipped), tuple(untagged))


def _no_file(skipped: Sequence[SkippedFile]) -> GenrekitError:
    if not skipped:
        return GenrekitError("no files given: name audio files, or folders of them")
    first = f"{skipped[0].path}: {skipped[0].reason}"
    return GenrekitError(f"no file could be read; the first error is {first}" if len(skipped) > 1 else first)


def _best(model: Path, reporter: Reporter) -> Path:
    """The bundle, or the best on validation of those in a folder; damaged ones are skipped if there are others."""
    bundles = find_bundles(model)
    ranks: dict[Path, tuple[float, float]] = {}
    for path in bundles:
        try:
            ranks[path] = read_metadata(path).rank
        except BundleError as error:
            if len(bundles) == 1 or (path == bundles[-1] and not ranks):
                raise
            reporter.warning(f"skipped model: {error}")
    return min(ranks, key=lambda path: (ranks[path], path))


@dataclass(frozen=True)
class _InputFile:
    """A file, and the path of its copy below the folder of copies."""

    path: Path
    copy: Path


def _expand_folders(files: Sequence[AnyPath]) -> tuple[list[_InputFile], list[SkippedFile]]:
    """The files, with each folder replaced by the audio files in it."""
    inputs: list[_InputFile] = []
    skipped: list[SkippedFile] = []
    for path in map(Path, files):
        if not _is_folder(path):
            inputs.append(_InputFile(path, Path(path.name)))
            continue
        try:
            inside = [_InputFile(file, file.relative_to(path)) for file in audio_files(path, skipped)]
        except GenrekitError as error:
            skipped.append(SkippedFile(str(path), str(error)))
            continue
        inputs += inside
        if not inside:
            skipped.append(SkippedFile(str(path), "no audio files in this folder"))
    return inputs, skipped


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have: reading it gives the error
        return False


def _tag_targets(inputs: list[_InputFile], folder: Path | None, in_place: bool) -> dict[int, Path]:
    """The file to write the genre into, by the index of the input file; empty if no tags are written."""
    if folder is None and not in_place:
        return {}
    require_tags()
    if folder is None:
        return {index: file.path for index, file in enumerate(inputs)}
    if in_place:
        raise UsageError("tags are written into the files themselves or into copies: choose one")
    require_writable(folder)
    sources: dict[Path, Path] = {}
    for file in inputs:
        if sources.setdefault(file.copy, file.path) != file.path:
            raise UsageError(
                f"{sources[file.copy]} and {file.path} would both be copied to {folder / file.copy}: predict them "
                "separately"
            )
    return {index: folder / file.copy for index, file in enumerate(inputs)}


def _write_tag(
    prediction: FilePrediction, target: Path | None, untagged: list[SkippedFile], reporter: Reporter
) -> FilePrediction:
    """Write the genre into the target, if there is one and the prediction is confident."""
    if target is None or not prediction.confident:
        return prediction
    try:
        if target != prediction.path and target.exists():
            raise GenrekitError(f"{target} already exists: remove it, or choose another folder")
        tag_genre(prediction.path, target, prediction.genre)
    except GenrekitError as error:
        untagged.append(SkippedFile(str(prediction.path), str(error)))
        reporter.warning(f"not tagged: {prediction.path}: {error}")
        return prediction
    return replace(prediction, tagged=target)


Outcome = FilePrediction | UnreadableAudioError


def _predict_parallel(
    paths: list[Path], bundle: Bundle, config: PredictConfig, workers: int
) -> Generator[tuple[Path, Outcome]]:
    """Predict files in their order, several in parallel; few are submitted ahead of time."""
    stopped = threading.Event()
    # Other devices than the CPU compute one batch at a time anyway, and not all accept work from several threads.
    device_lock = nullcontext() if device_of(bundle.model).type == "cpu" else threading.Lock()

    def raise_if_stopped() -> None:
        if stopped.is_set():
            raise _StoppedError

    def predict_path(path: Path) -> Outcome:
        try:
            return predict_file(bundle, path, config, device_lock=device_lock, on_block=raise_if_stopped)
        except UnreadableAudioError as error:
            return error

    with _threads(workers) as executor:
        remaining = iter(paths)
        submitted = deque((path, executor.submit(predict_path, path)) for path in islice(remaining, 2 * workers))
        try:
            while submitted:
                path, future = submitted.popleft()
                yield path, future.result()
                submitted.extend((path, executor.submit(predict_path, path)) for path in islice(remaining, 1))
        finally:
            stopped.set()
            executor.shutdown(cancel_futures=True)


@contextmanager
def _threads(count: int) -> Iterator[Executor]:
    """Threads that decode and compute in parallel; if there are several, each computes on one core."""
    before = torch.get_num_threads()
    each = 1 if count > 1 else before
    try:
        with ThreadPoolExecutor(max(count, 1), initializer=partial(torch.set_num_threads, each)) as executor:
            yield executor
    finally:
        torch.set_num_threads(before)
