"""Save the output of a training run: the best bundle, plots, and the predictions for the validation tracks."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import torch

from genrekit._version import __version__
from genrekit.audio.bandwidth import usual_range
from genrekit.data.cache.origin import path_text, read_origin
from genrekit.data.duplicates import original_landmarks
from genrekit.data.splits.groups import indexed_clusters, what_to_resample
from genrekit.data.splits.split import SplitTrack
from genrekit.data.splits.store import split_tracks
from genrekit.metrics.scores import Scores, score
from genrekit.models import count_parameters
from genrekit.models.bundle import save_bundle
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.classical import Classifier
from genrekit.models.seen_audio import KEPT, SeenAudio
from genrekit.training.loop import FitResult
from genrekit.training.validation_log import ANSWERS, Answers, save_answers
from genrekit.workflows.train_run import TrainRun


def save_output(run: TrainRun, fitted: FitResult) -> None:
    """Save a fitted model and what is known about it to the folder of its run.

    Errors: GenrekitError if a file cannot be written.
    """
    tracks = split_tracks(run.cache)
    clusters = indexed_clusters(tracks)
    scores = score(fitted.predictions, clusters)
    save_bundle(run.bundle, run.model, _metadata(run, fitted, scores), _seen_audio(run))
    _save_plots(run, fitted, scores)
    save_answers(run.folder / ANSWERS, _answers(fitted, tracks, clusters, run.cache.genres))


def _seen_audio(run: TrainRun) -> SeenAudio:
    track_ids = {*run.split.ids("train"), *run.split.ids("validation")}
    code, frame, track = original_landmarks(run.cache, strongest=KEPT)
    seen = np.array([track.id in track_ids for track in run.cache.tracks])[track]
    return SeenAudio(code[seen], frame[seen], track[seen])


def _metadata(run: TrainRun, fitted: FitResult, scores: Scores) -> BundleMetadata:
    digests = {track.id: track.digest for track in run.cache.tracks}
    return BundleMetadata.of(
        {
            "genrekit_version": __version__,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "train": run.config.model_dump(),
            "prepare": run.cache.config.model_dump(),
            "genres": run.cache.genres,
            "split": run.split.policy,
            "split_seed": run.split.seed,
            "training": {track_id: digests[track_id] for track_id in run.split.ids("train")},
            "validation": {track_id: digests[track_id] for track_id in run.split.ids("validation")},
            "epochs": len(fitted.history),
            "best_epoch": fitted.best_epoch,
            "validation_figures": validation_figures(fitted.predictions.loss, scores),
            "parameters": count_parameters(run.model),
            "bandwidth_hz": _bandwidth_hz(run),
            "temperature": fitted.temperature,
            "confidence_threshold": fitted.predictions.confidence_threshold,
            "history": [asdict(epoch) for epoch in fitted.history],
            "architecture_module": run.config.architecture.outside_module,
            "cache": path_text(run.cache.path),
            "collection": read_origin(run.cache),
            **_network(run),
        }
    )


def validation_figures(loss: float, scores: Scores) -> dict[str, Any]:
    """Return the figures of a bundle on its validation set; the loss is in nats."""
    return {
        "loss": loss,
        "fragment_accuracy": asdict(scores.fragment_accuracy),
        "track_accuracy": asdict(scores.track_accuracy),
    }


def _bandwidth_hz(run: TrainRun) -> tuple[float, float] | None:
    """The usual range of the training tracks' bandwidths, with their augmented variants."""
    training, augmentation = set(run.split.ids("train")), run.cache.config.augmentation
    reduced = augmentation.resampling[0] if "resampling" in augmentation.kinds and augmentation.augment else 1.0
    return usual_range([track.facts.bandwidth_hz for track in run.cache.tracks if track.id in training], reduced)


def _network(run: TrainRun) -> dict[str, Any]:
    """What the bundle says about the pretrained network of the features; empty if there is none."""
    extractor = run.model.extractor if isinstance(run.model, Classifier) else None
    if extractor is None:
        return {}
    network = {"name": extractor.name, "digest": extractor.digest, "carried": run.config.carry_network}
    return {"network": network, "outside_data": extractor.outside_data}


def _save_plots(run: TrainRun, fitted: FitResult, scores: Scores) -> None:
    from genrekit.reports.plots import confusion_figure, learning_curves, save_png  # importing matplotlib is slow

    plots = run.folder / "plots"
    save_png(learning_curves(fitted.history, fitted.best_epoch), plots / "learning_curves.png")
    figure = confusion_figure(scores.confusion.tolist(), run.cache.genres, "validation, tracks, best epoch")
    save_png(figure, plots / "confusion.png")


def _answers(
    fitted: FitResult, tracks: Sequence[SplitTrack], clusters: Mapping[int, str], genres: tuple[str, ...]
) -> Answers:
    """Name the validation tracks, and say whether to resample tracks or artists."""
    indices, _, _ = fitted.predictions.per_track()
    track_ids = tuple(tracks[index].id for index in indices)
    return Answers(
        track_ids=track_ids,
        clusters=tuple(clusters[index] for index in indices.tolist()),
        right=fitted.right,
        loss=fitted.loss,
        steps_per_epoch=fitted.steps_per_epoch,
        best_epoch=fitted.best_epoch,
        resampled=what_to_resample(tracks, track_ids),
        training=fitted.training,
        dead_channels=fitted.dead_channels,
        genres=genres,
        predicted=fitted.predicted,
    )
