"""predict: the genres of audio files, from a bundle alone."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import torch

from genrekit._types import AnyPath
from genrekit.audio.decoder_messages import file_messages
from genrekit.audio.tags import GenreMode
from genrekit.config import EngineConfig, PredictConfig
from genrekit.data.cache.executors import available_cores
from genrekit.data.collection import SkippedFile, audio_files
from genrekit.data.file_types import not_audio, unused_files
from genrekit.errors import BundleError, GenrekitError, UnreadableAudioError, few, file_that_needs_memory
from genrekit.inference.prediction import FilePrediction, min_confidence_of, predict_file
from genrekit.io.shown import ShownResult
from genrekit.models import device_of
from genrekit.models.bundle import Bundle, find_bundles, load_bundle
from genrekit.models.leaderboard import choose_best
from genrekit.training.devices import choose_device
from genrekit.workflows import signal_messages
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.predict_cluster import ChunkRequest, Outcome, predict_on_cluster
from genrekit.workflows.predict_tags import InputFile, TagWriter
from genrekit.workflows.reporter import Reporter, SkipWarnings


@dataclass(frozen=True, repr=False)
class PredictResult(ShownResult):
    """Predictions of all readable files, the files that could not be read, and those that could not be tagged.

    `unused` are files in the given folders that may be audio, but have no known suffix. `warnings` are the notes of
    files that are used although something is unusual about them. Files whose probability is below `min_confidence` are
    not confident.
    """

    bundle: Path
    files: tuple[FilePrediction, ...]
    skipped: tuple[SkippedFile, ...] = ()
    untagged: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()
    min_confidence: float = 0.0
    unused: tuple[SkippedFile, ...] = ()


SHIPPED = Path(__file__).parents[1] / "shipped_model"
"""The bundle that comes with genrekit."""

_DEFAULT = Path("best_models")

_QUIET = Reporter()
_DEFAULTS = PredictConfig()
_LOCAL = EngineConfig()


class _StoppedError(Exception):
    """The command was stopped while a file was processed."""


@with_progress
def predict(
    files: AnyPath | Sequence[AnyPath],
    model: AnyPath | None = None,
    *,
    hop_seconds: float | None = None,
    min_confidence: float | Literal["auto"] | None = None,
    config: PredictConfig = _DEFAULTS,
    network: AnyPath | None = None,
    device: str = "auto",
    workers: int | None = None,
    tag_in_place: bool = False,
    tags_out: AnyPath | None = None,
    genre_mode: GenreMode = "replace",
    engine: EngineConfig = _LOCAL,
    reporter: Reporter = _QUIET,
) -> PredictResult:
    """Predict the genre of each file, and of all audio files in each folder, by the mean probabilities over fragments.

    `model` is a bundle, or a folder of bundles, of which the best on its validation set is used; by default the folder
    best_models, or without bundles there the model that comes with genrekit. Fragments start every
    `hop_seconds` (default: their length). A prediction whose probability is below `min_confidence` is not `confident`;
    "auto" is the threshold of the bundle, which 95 % of its validation tracks reach. Both replace the values of
    `config`. `network` is the file of the network that computes the model's features, if the bundle does not carry it.
    `workers` files are processed in parallel (default: one per core). A file that cannot be read is skipped, with its
    reason in the result.

    With `tag_in_place`, genres are written into the files' metadata. With `tags_out`, they are written into copies in
    that folder. `genre_mode` says whether genres that a file already has are replaced. Predictions that are not
    confident are not written, and a silent file has no genre.

    `engine` says where files are predicted: on this machine, or on a dask cluster whose hosts share the file system.
    Errors: GenrekitError if there is no bundle, bundles in `model` have different genres, or no file can be read;
    UsageError for an invalid value.

    Example: `predict(["song.mp3", "album/"], "best_models", min_confidence=0.5).files[0].genre`
    """
    keywords = {"hop_seconds": hop_seconds, "min_confidence": min_confidence}
    given = {name: value for name, value in keywords.items() if value is not None}
    config = PredictConfig.of({**config.model_dump(), **given})
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    inputs, skipped, unused = _expand_folders(files)
    tags = TagWriter(inputs, None if tags_out is None else Path(tags_out), tag_in_place, genre_mode, reporter)
    if not inputs:
        raise _no_file(skipped)
    torch_device = choose_device(device) if engine.local else None
    choice = choose_best(_folder(model, reporter))
    for problem in choice.problems:
        reporter.warning(f"skipped model: {problem}")
    if choice.note:
        reporter.note(choice.note)
    bundle = load_bundle(choice.bundle, network)
    least = min_confidence_of(bundle, config)
    predictions: list[FilePrediction] = []
    warnings: list[str] = []
    paths = [file.path for file in inputs]
    if torch_device is not None:
        bundle.model.to(torch_device)
        outcomes = _predict_parallel(paths, bundle, config, min(workers or available_cores(), len(paths)))
    else:
        request = ChunkRequest.of(bundle, config, None if network is None else Path(network), device)
        outcomes = predict_on_cluster(paths, request, engine, reporter)
    _report_unused(unused, reporter)
    with closing(outcomes), SkipWarnings(reporter) as skips:
        for index, (path, outcome, messages) in enumerate(outcomes):
            for message in messages:
                reporter.note(signal_messages.from_decoder(str(path), message))
            if isinstance(outcome, FilePrediction):
                predictions.append(tags.write(index, outcome))
                for note in outcome.notes:
                    warnings.append(f"{path}: {note}")
                    reporter.warning(warnings[-1])
            else:
                skipped.append(SkippedFile(str(path), str(outcome)))
            skips.add_new(skipped if predictions else ())  # without any, the error has the reasons
            reporter.tracks_done(index + 1, len(paths))
    reporter.finished()
    tags.report_replaced()
    if not predictions:
        raise _no_file(skipped)
    _report_signal(predictions, bundle, reporter)
    return PredictResult(
        bundle.path, tuple(predictions), tuple(skipped), tuple(tags.untagged), tuple(warnings), least, tuple(unused)
    )


def _report_unused(unused: Sequence[SkippedFile], reporter: Reporter) -> None:
    """Report the files that are not used, by their reason."""
    for problem, same in groupby(unused, key=lambda file: file.reason):
        reporter.note(f"not used: {few([file.path for file in same])}: {problem}")


def _report_signal(predictions: Sequence[FilePrediction], bundle: Bundle, reporter: Reporter) -> None:
    """Report which files are short, silent or unlike the training set."""

    def names(has: Callable[[FilePrediction], bool]) -> list[str]:
        return [str(prediction.path) for prediction in predictions if has(prediction)]

    if padded := names(lambda file: file.padded and not file.silent):
        reporter.note(signal_messages.padded(padded, "file", bundle.metadata.prepare.front_end))
    if silent := names(lambda file: file.silent):
        reporter.warning(signal_messages.silent(silent))
    if cancelled := names(lambda file: file.cancelled):
        reporter.warning(signal_messages.cancelled(cancelled, "file"))
    unusual = {str(file.path): file.bandwidth_hz or 0.0 for file in predictions if file.unusual_bandwidth}
    if unusual and bundle.metadata.bandwidth_hz is not None:
        low, high = map(signal_messages.khz, bundle.metadata.bandwidth_hz)
        usual = f"that of the training set ({low} to {high}), so the genre may be wrong"
        reporter.warning(signal_messages.unusual_bandwidth(unusual, "file", usual))


def _no_file(skipped: Sequence[SkippedFile]) -> GenrekitError:
    if not skipped:
        return GenrekitError("no files given: name audio files, or folders of them")
    reasons = few([f"{file.path}: {file.reason}" for file in skipped])
    return GenrekitError(f"no file could be read: {reasons}" if len(skipped) > 1 else reasons)


def _folder(model: AnyPath | None, reporter: Reporter) -> Path:
    """The folder of the models to choose from: the one that was named, best_models, or that of the included model."""
    if model is not None:
        return Path(model)
    try:
        find_bundles(_DEFAULT)
    except BundleError:
        reporter.note(
            f"no model in {_DEFAULT}/: the model that comes with genrekit is used; it knows the ten genres of GTZAN"
        )
        return SHIPPED
    return _DEFAULT


def _expand_folders(files: Sequence[AnyPath]) -> tuple[list[InputFile], list[SkippedFile], list[SkippedFile]]:
    """The files, with each folder replaced by the audio files in it, and files that are skipped or not used."""
    inputs: list[InputFile] = []
    skipped: list[SkippedFile] = []
    unused: list[SkippedFile] = []
    for path in map(Path, files):
        if not _is_folder(path):
            if (problem := not_audio(path)) is not None:
                url = str(path).replace(":/", "://", 1)  # pathlib joins the slashes of a URL
                shown = url if problem.startswith(f"{url} is ") else str(path)
                skipped.append(SkippedFile(shown, problem.removeprefix(f"{shown} is ")))
                continue
            inputs.append(InputFile(path, Path(path.name)))
            continue
        others: list[Path] = []
        try:
            inside = [InputFile(file, file.relative_to(path), path) for file in audio_files(path, skipped, others)]
        except GenrekitError as error:
            skipped.append(SkippedFile(str(path), str(error)))
            continue
        inputs += inside
        not_used = [SkippedFile(str(file), problem) for file, problem in unused_files(others)]
        unused += not_used
        if not inside:
            first = f"; {not_used[0].path}: {not_used[0].reason}" if not_used else ""
            skipped.append(SkippedFile(str(path), f"no audio files in this folder{first}"))
    return inputs, skipped, unused


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have: reading it gives the error
        return False


def _predict_parallel(
    paths: list[Path], bundle: Bundle, config: PredictConfig, workers: int
) -> Generator[tuple[Path, Outcome, list[str]]]:
    """Predict files in their order, several in parallel; few are submitted ahead of time.

    Yields the path, the outcome, and what decoders print about the file.
    """
    stopped = threading.Event()
    # Other devices than the CPU compute one batch at a time anyway, and not all accept work from several threads.
    device_lock = nullcontext() if device_of(bundle.model).type == "cpu" else threading.Lock()

    def raise_if_stopped() -> None:
        if stopped.is_set():
            raise _StoppedError

    def predict_path(path: Path) -> tuple[Path, Outcome, list[str]]:
        messages: list[str] = []
        with file_messages(path, messages):
            try:
                with file_that_needs_memory():
                    outcome: Outcome = predict_file(
                        bundle, path, config, device_lock=device_lock, on_block=raise_if_stopped
                    )
            except UnreadableAudioError as error:
                outcome = error
        return path, outcome, messages

    with _threads(workers) as executor:
        remaining = iter(paths)
        submitted = deque(executor.submit(predict_path, path) for path in islice(remaining, 2 * workers))
        try:
            while submitted:
                yield submitted.popleft().result()
                submitted.extend(executor.submit(predict_path, path) for path in islice(remaining, 1))
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
