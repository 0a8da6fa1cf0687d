"""The confidence of models on audio outside their genres: the files of a folder, or synthetic signals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genrekit._types import AnyPath
from genrekit.audio.decoder_messages import file_messages
from genrekit.audio.synthetic_signals import write_signals
from genrekit.data.collection import SkippedFile, audio_files
from genrekit.data.file_types import unused_files
from genrekit.data.genre_names import is_other
from genrekit.errors import GenrekitError, UnreadableAudioError, UsageError, file_that_needs_memory
from genrekit.inference.prediction import FilePrediction, predict_file
from genrekit.metrics.intervals import wilson
from genrekit.metrics.unknown import Floats, UnknownFigures, UnknownFile, auroc
from genrekit.models.bundle import load_bundle, network_for
from genrekit.workflows import signal_messages
from genrekit.workflows.evaluate_cache import ModelPredictions
from genrekit.workflows.reporter import Reporter, SkipWarnings

Flags = npt.NDArray[np.bool_]

SIGNALS = "signals"
"""Names the synthetic signals instead of a folder."""


@dataclass(frozen=True)
class UnknownAudio:
    """Files of unknown audio, by the names that results show. For the synthetic signals, `files` is empty.

    `source` is their folder, or SIGNALS. `skipped` are the paths in the folder that are not used.
    """

    source: str
    files: dict[str, Path]
    skipped: tuple[SkippedFile, ...] = ()


def find_unknown(source: AnyPath) -> UnknownAudio:
    """Find the audio files in a folder.

    Errors: UsageError if the folder does not exist, GenrekitError if it has no audio files.
    """
    root = Path(source)
    if str(source) == SIGNALS:
        return UnknownAudio(SIGNALS, {})
    if not root.is_dir():
        raise UsageError(f"unknown must be a folder of audio files, or {SIGNALS}, got {source}")
    skipped: list[SkippedFile] = []
    others: list[Path] = []
    files = {path.relative_to(root).as_posix(): path for path in audio_files(root, skipped, others)}
    skipped += [SkippedFile(str(path), problem) for path, problem in unused_files(others)]
    if not files:
        raise GenrekitError(f"no audio files in {source}: name another folder, or {SIGNALS}")
    return UnknownAudio(str(source), files, tuple(skipped))


def unknown_figures(
    models: Sequence[ModelPredictions],
    audio: UnknownAudio,
    device: torch.device,
    network: AnyPath | None,
    reporter: Reporter,
) -> tuple[list[UnknownFigures], tuple[SkippedFile, ...]]:
    """Compare the confidence of each model on its test tracks with that on unknown audio.

    Returns the figures of each model, and the files that cannot be read.
    Errors: GenrekitError if no file can be read.
    """
    figures = []
    with _on_disk(audio) as remaining:
        unreadable: list[SkippedFile] = [*audio.skipped]
        messages: dict[str, list[str]] = {}
        for model in models:
            bundle = load_bundle(model.path, network_for(model.path, network))
            bundle.model.to(device)
            predicted: dict[str, FilePrediction] = {}
            for done, (name, path) in enumerate([*remaining.items()], 1):
                try:
                    with file_messages(path, messages.setdefault(name, [])), file_that_needs_memory():
                        predicted[name] = predict_file(bundle, path)
                except UnreadableAudioError as error:
                    unreadable.append(SkippedFile(str(path), str(error)))
                    del remaining[name]
                reporter.tracks_done(done, len(remaining))
            reporter.finished()
            if not predicted:
                raise GenrekitError(
                    f"no file in {audio.source} could be read; the first error is {unreadable[0].reason}"
                )
            figures.append(_compare(model, audio.source, predicted))
        for name, lines in messages.items():
            for line in dict.fromkeys(lines):
                reporter.note(signal_messages.from_decoder(name, line))
        with SkipWarnings(reporter) as skips:
            skips.add_new(unreadable)
    return figures, tuple(unreadable)


@contextmanager
def _on_disk(audio: UnknownAudio) -> Iterator[dict[str, Path]]:
    """Return the files by name. The synthetic signals are written to a temporary folder."""
    if audio.source != SIGNALS:
        yield dict(audio.files)
        return
    with tempfile.TemporaryDirectory(prefix="genrekit-signals-") as folder:
        yield write_signals(Path(folder))


def _compare(model: ModelPredictions, source: str, predicted: dict[str, FilePrediction]) -> UnknownFigures:
    genres, threshold = model.metadata.genres, model.metadata.confidence_threshold
    names_genre = np.array([not is_other(genre) for genre in genres])
    tracks = model.predictions.of_tracks()
    known = names_genre[tracks.truth]
    of_known, index = tracks.probabilities[known], tracks.track[known]
    of_unknown = np.array([[*file.probabilities.values()] for file in predicted.values()])
    of_unknown[[file.silent for file in predicted.values()]] = 0
    accepted = _accepted(of_unknown, names_genre, threshold)
    accepted_known = _accepted(of_known, names_genre, threshold)
    files = [
        UnknownFile(name, file.genre, file.probability, None if accepted is None else bool(accepted[row]))
        for row, (name, file) in enumerate(predicted.items())
    ]
    return UnknownFigures(
        source=source,
        files=tuple(files),
        auroc=auroc(
            of_known[:, names_genre].max(axis=1),
            of_unknown[:, names_genre].max(axis=1),
            [model.clusters[track] for track in index.tolist()],
        ),
        threshold=threshold,
        false_acceptance=None if accepted is None else wilson(int(accepted.sum()), len(accepted)),
        known_acceptance=None if accepted_known is None else wilson(int(accepted_known.sum()), len(accepted_known)),
    )


def _accepted(probabilities: Floats, names_genre: Flags, threshold: float | None) -> Flags | None:
    """Whether the most probable class is a genre whose probability reaches the threshold; None without a threshold."""
    if threshold is None:
        return None
    highest = probabilities.max(axis=1)
    return names_genre[probabilities.argmax(axis=1)] & (highest >= threshold) & (highest > 0)
