"""Models' answers to a labelled folder, or a manifest, that no cache was made of. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genrekit.audio.collection import read_manifest, scan_folder
from genrekit.audio.decode import Decoded, decode
from genrekit.audio.transform import unit_mels
from genrekit.config import Input, PrepareConfig
from genrekit.dataset.gtzan import artists_of
from genrekit.dataset.splits import SplitTrack, placed_clusters, what_to_resample
from genrekit.errors import GenrekitError, UnreadableAudioError
from genrekit.evaluation.scores import Predictions
from genrekit.models.bundle import Bundle, load_bundle
from genrekit.models.hearing import answer, fragments_of, model_inputs
from genrekit.records import Collection, FragmentView, SkippedFile, Track
from genrekit.workflows.asked import Asked, Seen
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
    digests = [""] * len(collection.tracks)
    for index, track in enumerate(collection.tracks):
        recording = _Recording(track)
        try:
            for listener in listeners:
                listener.hear(index, recording)
        except UnreadableAudioError as error:
            skipped.append(SkippedFile(str(track.path), str(error)))
            reporter.warning(f"skipped {track.path}: {error}")
        digests[index] = recording.digest
        reporter.tracks_done(index + 1, len(collection.tracks))
    reporter.finished()
    found = [listener.answers(digests) for listener in listeners if listener.probabilities]
    problems = [listener.why_nothing() for listener in listeners if not listener.probabilities]
    if not found:
        raise GenrekitError(problems[0])
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return found, tuple(skipped)


class _Recording:
    """A track's audio, decoded when a model first needs it, and what models read of it: each made once."""

    def __init__(self, track: Track) -> None:
        self.track, self.digest = track, ""
        self._decoded: dict[int, Decoded] = {}
        self._inputs: dict[tuple[Input, PrepareConfig], tuple[tuple[int, ...], Tensor]] = {}

    def decoded(self, sample_rate: int) -> Decoded:
        """The waveform at a rate.

        Errors: UnreadableAudioError.
        """
        if sample_rate not in self._decoded:
            found = self._decoded[sample_rate] = decode(self.track.path, sample_rate)
            # As in a cache, silence is not a recording that two tracks share.
            self.digest = found.digest if found.waveform.any() else ""
        return self._decoded[sample_rate]

    def inputs(self, kind: Input, prepare: PrepareConfig) -> tuple[tuple[int, ...], Tensor]:
        """Starts of the fragments, in samples, and the fragments as a model reads them."""
        key = (kind, prepare)
        if key not in self._inputs:
            decoded = self.decoded(prepare.front_end.sample_rate)
            starts, fragments = fragments_of(decoded, prepare.front_end, prepare.fragments)
            self._inputs[key] = starts, model_inputs(fragments, prepare, kind)
        return self._inputs[key]


class _Listener:
    """A model on its way through a collection, and what it has answered so far."""

    def __init__(self, bundle: Bundle, collection: Collection, device: torch.device) -> None:
        self.bundle, self.collection, self.device = bundle, collection, device
        self.model = bundle.model.to(device)
        self.place = {genre: index for index, genre in enumerate(bundle.metadata.genres)}
        self.seen = Seen.by(bundle.metadata)
        self.unknown: Counter[str] = Counter()
        self.left_out = 0
        self.probabilities: list[npt.NDArray[np.float64]] = []
        self.start_s: list[float] = []
        self.track: list[int] = []

    def hear(self, index: int, recording: _Recording) -> None:
        """Answer a track, unless its genre is unknown or the model has seen it.

        Errors: UnreadableAudioError.
        """
        track, prepare = recording.track, self.bundle.metadata.prepare
        if track.genre not in self.place:
            self.unknown[track.genre] += 1
            return
        if self.seen.named(track.id):
            self.left_out += 1
            return
        decoded = recording.decoded(prepare.front_end.sample_rate)
        if decoded.digest in self.seen.digests:
            self.left_out += 1
            return
        starts, inputs = recording.inputs(self.bundle.metadata.train.input, prepare)
        self.probabilities.append(answer(self.model, inputs, self.device))
        self.start_s += [start / prepare.front_end.sample_rate for start in starts]
        self.track += [index] * len(starts)

    def answers(self, digests: Sequence[str]) -> Asked:
        """All answers; `digests` are those of the collection's tracks."""
        tracks = [
            SplitTrack(track.id, track.genre, track.artists or artists_of(track.id), None, digest)
            for track, digest in zip(self.collection.tracks, digests, strict=True)
        ]
        probabilities, heard = np.concatenate(self.probabilities), np.array(self.track)
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
            clusters=placed_clusters(tracks),
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
        front_end = self.bundle.metadata.prepare.front_end
        starts, fragments = fragments_of(
            decode(track.path, front_end.sample_rate), front_end, self.bundle.metadata.prepare.fragments
        )
        place = starts.index(round(start_s * front_end.sample_rate))
        return FragmentView("original", "", fragments[place], unit_mels(fragments, front_end)[place])
