"""Apply a model to batches and measure its predictions. Memory does not grow with the number of batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit._types import FloatArray
from genrekit.metrics.epochs import TrainingFigures
from genrekit.metrics.scores import Predictions

Batches = Iterator[tuple[Tensor, Tensor, Tensor]]
"""Batches of inputs, genre indices [B] and track indices [B]."""


def predict_batches(model: nn.Module, batches: Batches, device: torch.device) -> Predictions:
    """Predict the fragments of all batches in evaluation mode."""
    model.eval()
    # Python numbers, not tensors: a small tensor kept from each batch stops the allocator from reusing its memory.
    logits: list[list[float]] = []
    truth: list[int] = []
    tracks: list[int] = []
    with torch.inference_mode():
        for inputs, targets, track in batches:
            logits += model(inputs.to(device)).tolist()
            truth += targets.tolist()
            tracks += track.tolist()
    all_logits, genres = torch.tensor(logits, dtype=torch.float64), torch.tensor(truth)
    loss = float(cross_entropy(all_logits, genres))
    return Predictions(all_logits.softmax(dim=1).numpy(), genres.numpy(), np.array(tracks), loss)


def track_results(predictions: Predictions) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Whether each track is predicted correctly, bool [T], and its mean loss, float32 [T]."""
    _, truth, predicted = predictions.per_track()
    return predicted == truth, predictions.track_losses().astype(np.float32)


def training_figures(
    model: nn.Module, batches: Batches, device: torch.device, *, n_tracks: int, n_genres: int
) -> TrainingFigures:
    """Measure a model on the training set in evaluation mode.

    `predict_batches` keeps the logits of every fragment. This keeps one row for each track, because a training set is
    large.
    """
    model.eval()
    sums = torch.zeros(n_tracks, n_genres, dtype=torch.float64)
    truth = torch.full((n_tracks,), -1)
    loss, correct, count = 0.0, 0, 0
    with torch.inference_mode():
        for inputs, targets, tracks in batches:
            logits = model(inputs.to(device)).double().cpu()
            loss += float(cross_entropy(logits, targets, reduction="sum"))
            correct += int((logits.argmax(dim=1) == targets).sum())
            count += len(targets)
            sums.index_add_(0, tracks, logits.softmax(dim=1))
            truth[tracks] = targets
    present = truth >= 0
    track_accuracy = (sums[present].argmax(dim=1) == truth[present]).double().mean()
    return TrainingFigures(loss / count, correct / count, float(track_accuracy))
