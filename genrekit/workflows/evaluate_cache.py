"""The predictions of a model for labelled tracks, and for the test set of a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genrekit.audio.transform import FULL_SCALE, unit_mels
from genrekit.data.cache.reader import Cache
from genrekit.data.loader import FragmentSource
from genrekit.data.splits.groups import indexed_clusters, what_to_resample
from genrekit.data.splits.gtzan import gtzan_name
from genrekit.data.splits.store import open_split, split_tracks
from genrekit.errors import GenrekitError
from genrekit.metrics.scores import Predictions
from genrekit.models.bundle import load_bundle
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.reports.plots import FragmentView
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


@dataclass(frozen=True)
class SeenTracks:
    """The tracks that a model was trained or validated on, by audio digest, and by name if the name is GTZAN's."""

    digests: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, metadata: BundleMetadata) -> SeenTracks:
        """Return the tracks that a bundle lists."""
        tracks = {**metadata.training, **metadata.validation}
        return cls(frozenset(tracks.values()), frozenset(filter(None, map(gtzan_name, tracks))))

    def has_name(self, track_id: str) -> bool:
        """Whether the model has seen a track of this name; false for all names that are not GTZAN's."""
        return gtzan_name(track_id) in self.names

    def has(self, track_id: str, digest: str) -> bool:
        """Whether the model has seen the track, by its name or its audio."""
        return self.has_name(track_id) or digest in self.digests


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

        Errors: GenrekitError if it is empty.
        """
        split = open_split(cache, metadata.split, metadata.split_seed)
        ids = split.ids("test")
        if not ids:
            raise GenrekitError(
                f"{cache.path} has no test tracks in its {split.name} split: add some, or train with another split"
            )
        tracks = split_tracks(cache)
        return cls(cache, split.name, ids, indexed_clusters(tracks), what_to_resample(tracks, ids))

    def predict(self, path: Path, device: torch.device) -> ModelPredictions:
        """Predict the test tracks that a model has not seen.

        Errors: GenrekitError if it has seen them all.
        """
        bundle = load_bundle(path)
        metadata, seen = bundle.metadata, SeenTracks.of(bundle.metadata)
        digests = {track.id: track.digest for track in self.cache.tracks}
        ids = [track_id for track_id in self.ids if not seen.has(track_id, digests[track_id])]
        if not ids:
            raise GenrekitError(
                f"{path} was trained or validated on every test track of the {self.name} split: no test track is left"
            )
        source = FragmentSource(self.cache, metadata.train.input, ids)
        return ModelPredictions(
            path=path,
            metadata=metadata,
            group=self.name,
            predictions=predict_batches(bundle.model.to(device), source.batches(), device),
            start_s=self.cache.start_s[source.rows],
            track_ids=[track.id for track in self.cache.tracks],
            clusters=self.clusters,
            resampled=self.resampled,
            left_out=len(self.ids) - len(ids),
            view=lambda index: _view(self.cache, int(source.rows[index])),
        )


def _view(cache: Cache, row: int) -> FragmentView:
    inputs = cache.config.inputs
    waveform = cache.waveform[row] / np.float32(FULL_SCALE) if "waveform" in inputs else None
    mel = np.asarray(cache.mel[row], np.float32) if "mel" in inputs else None
    if mel is None and waveform is not None:
        (mel,) = unit_mels([waveform], cache.config.front_end)
    return FragmentView("original", "", waveform, mel)
