"""The predictions of models for a labelled folder or manifest without a cache. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from genrekit._types import AnyPath, FloatArray
from genrekit.audio.decoder_messages import file_messages
from genrekit.audio.fingerprint import landmarks, split_landmarks
from genrekit.audio.silence import SILENT
from genrekit.config import FeatureConfig, Input, PrepareConfig
from genrekit.data.collection import Collection, SkippedFile, Track
from genrekit.data.genre_names import read_aliases, without_other
from genrekit.data.genre_selection import select_genres
from genrekit.data.matching import Ints
from genrekit.data.open_collection import open_collection
from genrekit.data.splits.groups import indexed_clusters, what_to_resample
from genrekit.data.splits.gtzan import artists_of
from genrekit.data.splits.split import SplitTrack
from genrekit.errors import BundleError, GenrekitError, UnreadableAudioError, few, file_that_needs_memory
from genrekit.inference.prediction import probabilities
from genrekit.inference.streaming import Recording
from genrekit.metrics.scores import Predictions
from genrekit.models.bundle import Bundle, load_bundle, network_for
from genrekit.reports.fragment_view import FragmentView
from genrekit.workflows import signal_messages
from genrekit.workflows.evaluate_cache import ModelPredictions, SeenTracks, require_finite
from genrekit.workflows.reporter import Reporter, SkipWarnings


def read_labelled(data: Path, genre_aliases: Path | None = None) -> Collection:
    """Read the tracks of a folder of genre folders or of a manifest; one genre is enough.

    `genre_aliases` is a file with other names of genres, as for `prepare`.
    Errors: GenrekitError if there are no tracks, or the aliases cannot be used.
    """
    collection = open_collection(data, data if data.is_file() else None, least_genres=1)
    return select_genres(collection, aliases=None if genre_aliases is None else read_aliases(genre_aliases))


def predict_folder(
    collection: Collection,
    paths: Sequence[Path],
    device: torch.device,
    network: AnyPath | None,
    reporter: Reporter,
) -> tuple[list[ModelPredictions], tuple[SkippedFile, ...]]:
    """Predict the tracks of a collection with each model, with the features that the model was trained on.

    A model that cannot be loaded, has none of the genres, or has seen all tracks, is left out with a warning.
    Errors: GenrekitError if no model is left.
    """
    predictors, problems = _load_predictors(collection, paths, device, network)
    for note in collection.notes:
        reporter.note(note)
    skipped = list(collection.skipped)
    digests = [""] * len(collection.tracks)
    with SkipWarnings(reporter) as skips:
        skips.add_new(skipped)
        for index, track in enumerate(collection.tracks):
            messages: list[str] = []
            try:
                with file_messages(track.path, messages), file_that_needs_memory():
                    digests[index], notes = _predict_track(index, track, predictors)
                for note in notes:
                    reporter.warning(f"{track.path}: {note}")
            except UnreadableAudioError as error:
                skipped.append(SkippedFile(str(track.path), str(error)))
                skips.add_new(skipped)
            for message in messages:
                reporter.note(signal_messages.from_decoder(str(track.path), message))
            reporter.tracks_done(index + 1, len(collection.tracks))
    reporter.finished()
    without_landmarks = [predictor.bundle.path.name for predictor in predictors if predictor.seen.landmarks is None]
    if without_landmarks:
        reporter.note(
            f"models without landmarks of their training tracks ({few(without_landmarks)}): only exact copies of these "
            "tracks are left out; train again to recognize others"
        )
    results, without = _results(predictors, digests)
    problems += without
    if not results:
        raise GenrekitError(problems[0])
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return results, tuple(skipped)


def _load_predictors(
    collection: Collection, paths: Sequence[Path], device: torch.device, network: AnyPath | None
) -> tuple[list[_Predictor], list[str]]:
    """Load the models that can be loaded, and return why others cannot.

    Errors: BundleError if none can be loaded.
    """
    predictors, problems = [], []
    for path in paths:
        try:
            predictors.append(_Predictor(load_bundle(path, network_for(path, network)), collection, device))
        except BundleError as error:
            problems.append(str(error))
    if not predictors:
        raise BundleError(problems[0])
    return predictors, problems


def _results(predictors: Sequence[_Predictor], digests: Sequence[str]) -> tuple[list[ModelPredictions], list[str]]:
    """Return the predictions of the models, and why others have none."""
    results, problems = [], []
    for predictor in predictors:
        try:
            results.append(predictor.result(digests))
        except GenrekitError as error:
            problems.append(str(error))
    return results, problems


def _predict_track(index: int, track: Track, predictors: Sequence[_Predictor]) -> tuple[str, tuple[str, ...]]:
    """Predict a track with all models: it is decoded once per sample rate, and each input is computed once.

    Returns the digest of its audio, an empty one if no model predicts it, and the notes about the file.
    Errors: UnreadableAudioError, also if it is silent; then no prediction is stored.
    """
    recordings: dict[int, Recording] = {}
    sharing_inputs: dict[tuple[Input, PrepareConfig], list[_Predictor]] = {}
    marks: dict[FeatureConfig, tuple[Ints, Ints]] = {}
    for predictor in predictors:
        if not predictor.accepts(track):
            continue
        metadata = predictor.bundle.metadata
        front_end = metadata.prepare.front_end
        rate = front_end.sample_rate
        if rate not in recordings:
            recordings[rate] = Recording(track.path, rate, digest=True)
        if predictor.seen.landmarks is not None and front_end not in marks:
            marks[front_end] = _landmarks(recordings[rate], front_end)
        if predictor.has_not_seen(recordings[rate], marks.get(front_end)):
            sharing_inputs.setdefault((metadata.train.input, metadata.prepare), []).append(predictor)
    predicted: list[tuple[_Predictor, list[int], list[list[float]]]] = []
    for (kind, prepare), group in sharing_inputs.items():
        for starts, inputs in recordings[prepare.front_end.sample_rate].fragments(prepare, kind).batches:
            predicted += [(predictor, starts, probabilities(predictor.bundle, inputs)) for predictor in group]
    if sharing_inputs and not predicted:
        raise UnreadableAudioError(SILENT)
    for predictor, starts, rows in predicted:
        predictor.store(index, starts, rows)
    first = next(iter(recordings.values()), None)
    return ("", ()) if first is None else (first.digest, first.notes)


def _landmarks(recording: Recording, front_end: FeatureConfig) -> tuple[Ints, Ints]:
    """Return the codes and the frames of the landmarks of all fragments of a recording."""
    prepare = PrepareConfig(front_end=front_end, mel_dtype="float32")
    fragments = [(start, landmarks(mel)) for start, mel in _fragments(recording, prepare, "mel")]
    if not fragments:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.rint(np.array([start for start, _ in fragments]) / front_end.hop_length).astype(np.int64)
    _, code, frame = split_landmarks(np.stack([marks for _, marks in fragments]), starts)
    return code, frame


class _Predictor:
    """A model and its predictions so far for the tracks of a collection."""

    def __init__(self, bundle: Bundle, collection: Collection, device: torch.device) -> None:
        self.bundle, self.collection = bundle, collection
        bundle.model.to(device)
        self.genre_index = {genre: index for index, genre in enumerate(bundle.metadata.genres)}
        self.seen = SeenTracks.of(bundle.path, bundle.metadata)
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

    def has_not_seen(self, recording: Recording, landmarks: tuple[Ints, Ints] | None) -> bool:
        """Whether the audio differs from that of all tracks that the model has seen, also in another encoding."""
        copied = landmarks is not None and self.seen.has_copy(*landmarks)
        return self._count_new(seen=copied or recording.digest in self.seen.digests)

    def _count_new(self, *, seen: bool) -> bool:
        self.left_out += seen
        return not seen

    def store(self, index: int, starts: Sequence[int], rows: list[list[float]]) -> None:
        """Store the predictions for some fragments of a track."""
        self.probabilities += rows
        self.start_s += [start / self.bundle.metadata.prepare.front_end.sample_rate for start in starts]
        self.track += [index] * len(starts)

    def result(self, digests: Sequence[str]) -> ModelPredictions:
        """Return all predictions; `digests` are those of the collection's tracks.

        Errors: GenrekitError if there are none, or one is not finite.
        """
        if not self.probabilities:
            raise GenrekitError(self._why_no_result())
        tracks = [
            SplitTrack(track.id, track.genre, track.artists or artists_of(track.id), None, digest)
            for track, digest in zip(self.collection.tracks, digests, strict=True)
        ]
        probabilities, track_index = np.array(self.probabilities), np.array(self.track)
        truth = np.array([self.genre_index[tracks[index].genre] for index in self.track])
        genres = {track.genre for track in tracks}
        of_truth = np.maximum(probabilities[np.arange(len(truth)), truth], np.finfo(float).tiny)
        predictions = Predictions(probabilities, truth, track_index, float(-np.log(of_truth).mean()))
        require_finite(self.bundle.path, predictions)
        return ModelPredictions(
            path=self.bundle.path,
            metadata=self.bundle.metadata,
            group=", ".join(sorted(without_other(self.bundle.metadata.genres))),
            predictions=predictions,
            start_s=np.array(self.start_s),
            track_ids=[track.id for track in tracks],
            clusters=indexed_clusters(tracks),
            resampled=what_to_resample(tracks, [tracks[index].id for index in sorted(set(self.track))]),
            left_out=self.left_out,
            view=lambda index: self._view(self.collection.tracks[self.track[index]], self.start_s[index]),
            unknown_genres=dict(sorted(self.unknown.items())),
            missing_genres=tuple(genre for genre in self.bundle.metadata.genres if genre not in genres),
        )

    def _why_no_result(self) -> str:
        """Return why a model has predicted no track, and what to do."""
        path, root, genres = self.bundle.path, self.collection.root, self.collection.genres
        if not set(genres) & set(self.genre_index):
            return (
                f"{path} has none of the genres in {root} ({', '.join(genres)}): rename the genre folders to "
                f"{', '.join(self.genre_index)}, or rename genres with --genre-aliases"
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
