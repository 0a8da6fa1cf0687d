"""Models' answers to a labelled folder, or a manifest, that no cache was made of. Nothing is written."""

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
from genrekit.workflows.evaluate_cache import Asked, Seen
from genrekit.workflows.reporter import Reporter


def read_labelled(data: Path) -> Collection:
    """Find the tracks of a folder of genre folders, or of a manifest; one genre is enough.

    Errors: GenrekitError where there are none.
    """
    return read_manifest(data, least_genres=1) if data.is_file() else scan_folder(data, least_genres=1)


def answers_to_folder(
    collection: Collection, paths: Sequence[Path], device: torch.device, reporter: Reporter
) -> tuple[list[Asked], tuple[SkippedFile, ...]]:
    """Ask models about the tracks of a collection, one track after the other, each through its own front end.

    Nothing is written. Models that know none of the genres, or have seen all tracks, are left out with a warning.
    Errors: GenrekitError where no model is left.
    """
    listeners = [_Listener(load_bundle(path), collection, device) for path in paths]
    skipped = list(collection.skipped)
    for file in skipped:
        reporter.warning(f"skipped {file.path}: {file.reason}")
    digests = [""] * len(collection.tracks)
    for index, track in enumerate(collection.tracks):
        try:
            digests[index] = _hear(index, track, listeners)
        except UnreadableAudioError as error:
            skipped.append(SkippedFile(str(track.path), str(error)))
            reporter.warning(f"skipped {track.path}: {error}")
        reporter.tracks_done(index + 1, len(collection.tracks))
    reporter.finished()
    found = [listener.answers(digests) for listener in listeners if listener.probabilities]
    problems = [listener.why_nothing() for listener in listeners if not listener.probabilities]
    if not found:
        raise GenrekitError(problems[0])
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return found, tuple(skipped)


def _hear(index: int, track: Track, listeners: Sequence[_Listener]) -> str:
    """Let models answer a track, decoded once a sample rate, a long one once a pass, and each input made once.

    Returns the digest of its audio; none where nobody listens, or, as in a cache, where there is only silence.
    Errors: UnreadableAudioError; then no model has answered.
    """
    recordings: dict[int, Recording] = {}
    audiences: dict[tuple[Input, PrepareConfig], list[_Listener]] = {}
    for listener in listeners:
        if not listener.wants(track):
            continue
        metadata = listener.bundle.metadata
        rate = metadata.prepare.front_end.sample_rate
        if rate not in recordings:
            recordings[rate] = Recording(track.path, rate, digest=True)
        if listener.has_not_seen(recordings[rate]):
            audiences.setdefault((metadata.train.input, metadata.prepare), []).append(listener)
    answers: list[tuple[_Listener, list[int], list[list[float]]]] = []
    for (kind, prepare), audience in audiences.items():
        for starts, inputs in recordings[prepare.front_end.sample_rate].hear(prepare, kind).batches:
            answers += [(listener, starts, probabilities(listener.bundle, inputs)) for listener in audience]
    for listener, starts, found in answers:
        listener.keep(index, starts, found)
    return next((recording.digest for recording in recordings.values() if not recording.silent), "")


class _Listener:
    """A model on its way through a collection, and what it has answered so far."""

    def __init__(self, bundle: Bundle, collection: Collection, device: torch.device) -> None:
        self.bundle, self.collection = bundle, collection
        bundle.model.to(device)
        self.place = {genre: index for index, genre in enumerate(bundle.metadata.genres)}
        self.seen = Seen.by(bundle.metadata)
        self.unknown: Counter[str] = Counter()
        self.left_out = 0
        self.probabilities: list[list[float]] = []
        self.start_s: list[float] = []
        self.track: list[int] = []

    def wants(self, track: Track) -> bool:
        """Whether the genre of a track is known, and its name is not that of one that the model has seen."""
        if track.genre not in self.place:
            self.unknown[track.genre] += 1
            return False
        return self._is_new(seen=self.seen.named(track.id))

    def has_not_seen(self, recording: Recording) -> bool:
        """Whether the audio is not that of a track that the model has seen."""
        return self._is_new(seen=recording.digest in self.seen.digests)

    def _is_new(self, *, seen: bool) -> bool:
        self.left_out += seen
        return not seen

    def keep(self, index: int, starts: Sequence[int], found: list[list[float]]) -> None:
        """Keep the answers to some fragments of a track."""
        self.probabilities += found
        self.start_s += [start / self.bundle.metadata.prepare.front_end.sample_rate for start in starts]
        self.track += [index] * len(starts)

    def answers(self, digests: Sequence[str]) -> Asked:
        """All answers; `digests` are those of the collection's tracks."""
        tracks = [
            SplitTrack(track.id, track.genre, track.artists or artists_of(track.id), None, digest)
            for track, digest in zip(self.collection.tracks, digests, strict=True)
        ]
        probabilities, heard = np.array(self.probabilities), np.array(self.track)
        truth = np.array([self.place[tracks[index].genre] for index in self.track])
        there = {track.genre for track in tracks}
        own = np.maximum(probabilities[np.arange(len(truth)), truth], np.finfo(float).tiny)
        return Asked(
            path=self.bundle.path,
            metadata=self.bundle.metadata,
            group="",
            predictions=Predictions(probabilities, truth, heard, float(-np.log(own).mean())),
            start_s=np.array(self.start_s),
            track_ids=[track.id for track in tracks],
            clusters=indexed_clusters(tracks),
            resampled=what_to_resample(tracks, [tracks[index].id for index in sorted(set(self.track))]),
            left_out=self.left_out,
            fragment=lambda index: self._fragment(self.collection.tracks[self.track[index]], self.start_s[index]),
            unknown_genres=dict(sorted(self.unknown.items())),
            missing_genres=tuple(genre for genre in self.bundle.metadata.genres if genre not in there),
        )

    def why_nothing(self) -> str:
        """Why a model has answered nothing."""
        path, there = self.bundle.path, self.collection.genres
        if not set(there) & set(self.place):
            return (
                f"{path} knows none of the genres in {self.collection.root} ({', '.join(there)}); it knows "
                f"{', '.join(self.place)}: name the folders so"
            )
        if self.left_out:
            return f"{path} has seen every track of its genres in {self.collection.root}: nothing is left to test it on"
        return f"no file of {self.collection.root} with a genre that {path} knows could be read"

    def _fragment(self, track: Track, start_s: float) -> FragmentView:
        prepare = self.bundle.metadata.prepare
        recording = Recording(track.path, prepare.front_end.sample_rate)
        start = round(start_s * prepare.front_end.sample_rate)

        def found(kind: Input) -> FloatArray:
            pieces = _pieces(recording, prepare, kind)
            return next(piece for place, piece in pieces if place == start)

        return FragmentView("original", "", found("waveform"), found("mel"))


def _pieces(recording: Recording, prepare: PrepareConfig, kind: Input) -> Iterator[tuple[int, FloatArray]]:
    for starts, inputs in recording.hear(prepare, kind).batches:
        yield from zip(starts, inputs, strict=True)
