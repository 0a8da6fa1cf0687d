"""The predictions of a model for labelled tracks, and for the test set of a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genrekit._types import AnyPath
from genrekit.audio.transform import FULL_SCALE, unit_mels
from genrekit.data.cache.reader import Cache
from genrekit.data.duplicates import landmark_index
from genrekit.data.loader import FragmentSource
from genrekit.data.matching import Ints, LandmarkIndex
from genrekit.data.splits.groups import indexed_clusters, what_to_resample
from genrekit.data.splits.gtzan import gtzan_name
from genrekit.data.splits.store import open_split, split_tracks
from genrekit.errors import BundleError, GenrekitError, SplitError, counted
from genrekit.metrics.scores import Predictions
from genrekit.models.bundle import load_bundle, network_for
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.seen_audio import read_seen_audio, recognizes
from genrekit.reports.fragment_view import FragmentView
from genrekit.training.batch_prediction import predict_batches


@dataclass(frozen=True)
class ModelPredictions:
    """One model's predictions for tracks that it was neither trained nor validated on.

    `predictions.track` has indices of `track_ids`, and `clusters` names the cluster of each. Models with the same
    `group` predict the same tracks and can be compared. `view` returns the audio and the spectrogram of a fragment.
    `resampled` says what the confidence intervals resample: artists or tracks.
    """

    path: Path
    metadata: BundleMetadata
    group: str
    predictions: Predictions
    start_s: npt.NDArray[np.float64]
    track_ids: Sequence[str]
    clusters: dict[int, str]
    resampled: str
    left_out: int
    view: Callable[[int], FragmentView]
    unknown_genres: dict[str, int] = field(default_factory=dict)
    missing_genres: tuple[str, ...] = ()


def require_finite(path: Path, predictions: Predictions) -> None:
    """Refuse predictions with NaN, which would count as predictions of the first genre.

    Errors: BundleError with the number of fragments.
    """
    invalid = int((~np.isfinite(predictions.probabilities)).any(axis=1).sum())
    if invalid:
        raise BundleError(
            f"{path} gives no finite probabilities for {invalid} of {counted(len(predictions.truth), 'fragment')}: its "
            "weights are too large; train it again"
        )


@dataclass(frozen=True)
class SeenTracks:
    """The tracks that a model was trained or validated on.

    They are recognized by audio digest, by name if the name is GTZAN's, and by `landmarks` if the bundle has them.
    """

    digests: frozenset[str]
    names: frozenset[str]
    landmarks: LandmarkIndex | None

    @classmethod
    def of(cls, folder: Path, metadata: BundleMetadata) -> SeenTracks:
        """Return the tracks that a bundle lists."""
        tracks, audio = {**metadata.training, **metadata.validation}, read_seen_audio(folder)
        landmarks = None if audio is None else audio.index(metadata.prepare.front_end.frames_per_s)
        return cls(frozenset(tracks.values()), frozenset(filter(None, map(gtzan_name, tracks))), landmarks)

    def has_name(self, track_id: str) -> bool:
        """Whether the model has seen a track of this name; false for all names that are not GTZAN's."""
        return gtzan_name(track_id) in self.names

    def has(self, track_id: str, digest: str) -> bool:
        """Whether the model has seen the track, by its name or its audio."""
        return self.has_name(track_id) or digest in self.digests

    def has_copy(self, code: Ints, frame: Ints) -> bool:
        """Whether the landmarks of a track are those of a track that the model has seen."""
        return self.landmarks is not None and recognizes(self.landmarks, code, frame)


@dataclass(frozen=True)
class CachedTestSet:
    """The test set of one split of a cache."""

    cache: Cache
    name: str
    ids: list[str]
    clusters: dict[int, str]
    resampled: str

    @classmethod
    def of(cls, cache: Cache, metadata: BundleMetadata) -> CachedTestSet:
        """Return the test set of the split that a model was trained with.

        Errors: GenrekitError if the tracks of the cache cannot be split so, if the test set is empty, or if rows of
        its tracks are damaged.
        """
        try:
            split = open_split(cache, metadata.split, metadata.split_seed)
        except SplitError as error:
            cause = str(error).partition(": ")[0]  # without its remedy, which is for training
            raise GenrekitError(
                f"{cache.path} cannot have the split of a model that was trained on another collection: {cause}; use "
                "--data FOLDER instead of a cache, which leaves out tracks that the model has seen"
            ) from error
        ids = split.ids("test")
        if not ids:
            raise GenrekitError(
                f"{cache.path} has no test tracks in its {split.name} split: add some, or train with another split"
            )
        cache.require_intact(cache.original_rows(ids))
        tracks = split_tracks(cache)
        return cls(cache, split.name, ids, indexed_clusters(tracks), what_to_resample(tracks, ids))

    def predict(self, path: Path, device: torch.device, network: AnyPath | None = None) -> ModelPredictions:
        """Predict the test tracks that a model has not seen. `network` computes its features if it does not carry one.

        Errors: GenrekitError if it has seen them all, or if a prediction is not finite.
        """
        bundle = load_bundle(path, network_for(path, network))
        metadata, seen = bundle.metadata, SeenTracks.of(path, bundle.metadata)
        digests = {track.id: track.digest for track in self.cache.tracks}
        ids = [track_id for track_id in self.ids if not seen.has(track_id, digests[track_id])]
        if not seen.digests.issubset(digests.values()):  # otherwise the split keeps copies apart
            copies = self._copies(seen)
            ids = [track_id for track_id in ids if track_id not in copies]
        if not ids:
            raise GenrekitError(
                f"{path} was trained or validated on every test track of the {self.name} split: no test track is left"
            )
        source = FragmentSource(self.cache, metadata.train.input, ids)
        predictions = predict_batches(bundle.model.to(device), source.batches(), device)
        require_finite(path, predictions)
        return ModelPredictions(
            path=path,
            metadata=metadata,
            group=self.name,
            predictions=predictions,
            start_s=self.cache.start_s[source.rows],
            track_ids=[track.id for track in self.cache.tracks],
            clusters=self.clusters,
            resampled=self.resampled,
            left_out=len(self.ids) - len(ids),
            view=lambda index: _view(self.cache, int(source.rows[index])),
        )

    def _copies(self, seen: SeenTracks) -> set[str]:
        """Return the test tracks that are copies of tracks of another cache on which the model was trained."""
        index, wanted = landmark_index(self.cache), set(self.ids)
        tracks = [number for number, track in enumerate(self.cache.tracks) if track.id in wanted]
        return {self.cache.tracks[number].id for number in tracks if seen.has_copy(*index.landmarks_of(number))}


def _view(cache: Cache, row: int) -> FragmentView:
    inputs = cache.config.inputs
    waveform = cache.waveform[row] / np.float32(FULL_SCALE) if "waveform" in inputs else None
    mel = np.asarray(cache.mel[row], np.float32) if "mel" in inputs else None
    if mel is None and waveform is not None:
        (mel,) = unit_mels([waveform], cache.config.front_end)
    return FragmentView("original", "", waveform, mel)
