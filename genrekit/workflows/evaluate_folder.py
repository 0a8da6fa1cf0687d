"""The predictions of models for a labelled folder or manifest without a cache. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from genrekit._types import FloatArray
from genrekit.config import Input, PrepareConfig
from genrekit.data.collection import Collection, SkippedFile, Track, read_manifest, scan_folder
from genrekit.data.splits.groups import indexed_clusters, what_to_resample
from genrekit.data.splits.gtzan import artists_of
from genrekit.data.splits.split import SplitTrack
from genrekit.errors import GenrekitError, UnreadableAudioError
from genrekit.inference.prediction import probabilities
from genrekit.inference.streaming import Recording
from genrekit.metrics.scores import Predictions
from genrekit.models.bundle import Bundle, load_bundle
from genrekit.reports.plots import FragmentView
from genrekit.workflows.evaluate_cache import ModelPredictions, SeenTracks
from genrekit.workflows.reporter import Reporter


def read_labelled(data: Path) -> Collection:
    """Read the tracks of a folder of genre folders or of a manifest; one genre is enough.

    Errors: GenrekitError if there are no tracks.
    """
    return read_manifest(data, least_genres=1) if data.is_file() else scan_folder(data, least_genres=1)


def predict_folder(
    collection: Collection, paths: Sequence[Path], device: torch.device, reporter: Reporter
) -> tuple[list[ModelPredictions], tuple[SkippedFile, ...]]:
    """Predict the tracks of a collection with each model, with the features that the model was trained on.

    A model that has none of the genres, or has seen all tracks, is left out with a warning.
    Errors: GenrekitError if no model is left.
    """
    predictors = [_Predictor(load_bundle(path), collection, device) for path in paths]
    skipped = list(collection.skipped)
    for file in skipped:
        reporter.warning(f"skipped {file.path}: {file.reason}")
    digests = [""] * len(collection.tracks)
    for index, track in enumerate(collection.tracks):
        try:
            digests[index] = _predict_track(index, track, predictors)
        except UnreadableAudioError as error:
            skipped.append(SkippedFile(str(track.path), str(error)))
            reporter.warning(f"skipped {track.path}: {error}")
        reporter.tracks_done(index + 1, len(collection.tracks))
    reporter.finished()
    results = [predictor.result(digests) for predictor in predictors if predictor.probabilities]
    problems = [predictor.why_no_result() for predictor in predictors if not predictor.probabilities]
    if not results:
        raise GenrekitError(problems[0])
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return results, tuple(skipped)


def _predict_track(index: int, track: Track, predictors: Sequence[_Predictor]) -> str:
    """Predict a track with all models: it is decoded once per sample rate, and each input is computed once.

    Returns the digest of its audio; an empty one if no model predicts it, or, as in a cache, if it is silent.
    Errors: UnreadableAudioError; then no prediction is stored.
    """
    recordings: dict[int, Recording] = {}
    sharing_inputs: dict[tuple[Input, PrepareConfig], list[_Predictor]] = {}
    for predictor in predictors:
        if not predictor.accepts(track):
            continue
        metadata = predictor.bundle.metadata
        rate = metadata.prepare.front_end.sample_rate
        if rate not in recordings:
            recordings[rate] = Recording(track.path, rate, digest=True)
        if predictor.has_not_seen(recordings[rate]):
            sharing_inputs.setdefault((metadata.train.input, metadata.prepare), []).append(predictor)
    predicted: list[tuple[_Predictor, list[int], list[list[float]]]] = []
    for (kind, prepare), group in sharing_inputs.items():
        for starts, inputs in recordings[prepare.front_end.sample_rate].fragments(prepare, kind).batches:
            predicted += [(predictor, starts, probabilities(predictor.bundle, inputs)) for predictor in group]
    for predictor, starts, rows in predicted:
        predictor.store(index, starts, rows)
    return next((recording.digest for recording in recordings.values() if not recording.silent), "")


class _Predictor:
    """A model and its predictions so far for the tracks of a collection."""

    def __init__(self, bundle: Bundle, collection: Collection, device: torch.device) -> None:
        self.bundle, self.collection = bundle, collection
        bundle.model.to(device)
        self.genre_index = {genre: index for index, genre in enumerate(bundle.metadata.genres)}
        self.seen = SeenTracks.of(bundle.metadata)
        self.unknown: Counter[str] = Counter()
        self.left_out = 0
        self.probabilities: list[list[float]] = []
        self.start_s: list[float] = []
        self.track: list[int] = []

    def accepts(self, track: Track) -> bool:
        """Whether the model has the track's genre and has not seen a track of its name."""
        if track.genre not in self.genre_index:
            self.unknown[track.genre] += 1
            return False
        return self._count_new(seen=self.seen.has_name(track.id))

    def has_not_seen(self, recording: Recording) -> bool:
        """Whether the audio differs from that of all tracks that the model has seen."""
        return self._count_new(seen=recording.digest in self.seen.digests)

    def _count_new(self, *, seen: bool) -> bool:
        self.left_out += seen
        return not seen

    def store(self, index: int, starts: Sequence[int], rows: list[list[float]]) -> None:
        """Store the predictions for some fragments of a track."""
        self.probabilities += rows
        self.start_s += [start / self.bundle.metadata.prepare.front_end.sample_rate for start in starts]
        self.track += [index] * len(starts)

    def result(self, digests: Sequence[str]) -> ModelPredictions:
        """Return all predictions; `digests` are those of the collection's tracks."""
        tracks = [
            SplitTrack(track.id, track.genre, track.artists or artists_of(track.id), None, digest)
            for track, digest in zip(self.collection.tracks, digests, strict=True)
        ]
        probabilities, track_index = np.array(self.probabilities), np.array(self.track)
        truth = np.array([self.genre_index[tracks[index].genre] for index in self.track])
        genres = {track.genre for track in tracks}
        of_truth = np.maximum(probabilities[np.arange(len(truth)), truth], np.finfo(float).tiny)
        return ModelPredictions(
            path=self.bundle.path,
            metadata=self.bundle.metadata,
            group="",
            predictions=Predictions(probabilities, truth, track_index, float(-np.log(of_truth).mean())),
            start_s=np.array(self.start_s),
            track_ids=[track.id for track in tracks],
            clusters=indexed_clusters(tracks),
            resampled=what_to_resample(tracks, [tracks[index].id for index in sorted(set(self.track))]),
            left_out=self.left_out,
            view=lambda index: self._view(self.collection.tracks[self.track[index]], self.start_s[index]),
            unknown_genres=dict(sorted(self.unknown.items())),
            missing_genres=tuple(genre for genre in self.bundle.metadata.genres if genre not in genres),
        )

    def why_no_result(self) -> str:
        """Return why a model has predicted no track, and what to do."""
        path, root, genres = self.bundle.path, self.collection.root, self.collection.genres
        if not set(genres) & set(self.genre_index):
            return (
                f"{path} has none of the genres in {root} ({', '.join(genres)}): rename the genre folders to "
                f"{', '.join(self.genre_index)}"
            )
        if self.left_out:
            return f"{path} was trained or validated on every track of its genres in {root}: add tracks that are new"
        return f"{path}: no track of its genres in {root} could be read"

    def _view(self, track: Track, start_s: float) -> FragmentView:
        prepare = self.bundle.metadata.prepare
        recording = Recording(track.path, prepare.front_end.sample_rate)
        start = round(start_s * prepare.front_end.sample_rate)

        def at_start(kind: Input) -> FloatArray:
            return next(values for other, values in _fragments(recording, prepare, kind) if other == start)

        return FragmentView("original", "", at_start("waveform"), at_start("mel"))


def _fragments(recording: Recording, prepare: PrepareConfig, kind: Input) -> Iterator[tuple[int, FloatArray]]:
    for starts, inputs in recording.fragments(prepare, kind).batches:
        yield from zip(starts, inputs, strict=True)
