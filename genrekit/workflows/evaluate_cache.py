"""A model's answers to labelled tracks, and those to a cache's test part."""

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
class Asked:
    """One model's answers to the tracks that it has not seen.

    `predictions.track` points into `track_ids`, and `clusters` names the cluster of each. Answers of one `group` can be
    compared. `fragment` fetches what stands behind an answer, to look at and to hear.
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
    fragment: Callable[[int], FragmentView]
    unknown_genres: dict[str, int] = field(default_factory=dict)
    missing_genres: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """The tracks that a model was trained or validated on, by their audio, and by name where it is GTZAN's."""

    digests: frozenset[str]
    names: frozenset[str]

    @classmethod
    def by(cls, metadata: BundleMetadata) -> Seen:
        """What the bundle names."""
        tracks = {**metadata.training, **metadata.validation}
        return cls(frozenset(tracks.values()), frozenset(filter(None, map(gtzan_name, tracks))))

    def named(self, track_id: str) -> bool:
        """Whether a track is seen by its name alone."""
        return gtzan_name(track_id) in self.names

    def has(self, track_id: str, digest: str) -> bool:
        """Whether a track is seen by its name or its audio."""
        return self.named(track_id) or digest in self.digests


@dataclass(frozen=True)
class CachedPart:
    """The test tracks of one split of a cache."""

    cache: Cache
    name: str
    ids: list[str]
    clusters: dict[int, str]
    resampled: str

    @classmethod
    def of(cls, cache: Cache, metadata: BundleMetadata) -> CachedPart:
        """The test part of the split that a model was trained with.

        Errors: GenrekitError where it is empty.
        """
        split = open_split(cache, metadata.split, metadata.split_seed)
        ids = split.ids("test")
        if not ids:
            raise GenrekitError(
                f"the test part of the {split.name} split is empty in {cache.path}: add test tracks, or train with a "
                "split that has some"
            )
        tracks = split_tracks(cache)
        return cls(cache, split.name, ids, indexed_clusters(tracks), what_to_resample(tracks, ids))

    def answers(self, path: Path, device: torch.device) -> Asked:
        """Ask a model about the part's tracks.

        Errors: GenrekitError where it has seen them all.
        """
        bundle = load_bundle(path)
        metadata, seen = bundle.metadata, Seen.by(bundle.metadata)
        own = {track.id: track.digest for track in self.cache.tracks}
        ids = [track_id for track_id in self.ids if not seen.has(track_id, own[track_id])]
        if not ids:
            raise GenrekitError(
                f"{path} has seen every test track of the {self.name} split: nothing is left to test it on"
            )
        source = FragmentSource(self.cache, metadata.train.input, ids)
        return Asked(
            path=path,
            metadata=metadata,
            group=self.name,
            predictions=predict_batches(bundle.model.to(device), source.batches(), device),
            start_s=self.cache.start_s[source.rows],
            track_ids=[track.id for track in self.cache.tracks],
            clusters=self.clusters,
            resampled=self.resampled,
            left_out=len(self.ids) - len(ids),
            fragment=lambda index: _cached(self.cache, int(source.rows[index])),
        )


def _cached(cache: Cache, row: int) -> FragmentView:
    inputs = cache.config.inputs
    waveform = cache.waveform[row] / np.float32(FULL_SCALE) if "waveform" in inputs else None
    mel = np.asarray(cache.mel[row], np.float32) if "mel" in inputs else None
    if mel is None and waveform is not None:
        (mel,) = unit_mels([waveform], cache.config.front_end)
    return FragmentView("original", "", waveform, mel)
