"""Apply a model to batches and measure its predictions. Memory does not grow with the number of batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genrekit._types import FloatArray
from genrekit.metrics.epochs import EpochFigures
from genrekit.metrics.scores import Predictions
from genrekit.training.ranks import ALONE, Ranks

Batches = Iterator[tuple[Tensor, Tensor, Tensor]]
"""Batches of inputs, genre indices [B] and track indices [B]."""


def predict_batches(model: nn.Module, batches: Batches, device: torch.device, ranks: Ranks = ALONE) -> Predictions:
    """Predict the fragments of all batches in evaluation mode. With several ranks, each has its part of the batches."""
    model.eval()
    # Python numbers, not tensors: a small tensor kept from each batch stops the allocator from reusing its memory.
    answers: list[tuple[list[list[float]], list[int], list[int]]] = []
    with torch.inference_mode():
        for inputs, targets, track in batches:
            answers.append((model(inputs.to(device)).tolist(), targets.tolist(), track.tolist()))
    logits, truth, tracks = (list(chain.from_iterable(part)) for part in zip(*ranks.interleave(answers), strict=True))
    all_logits, genres = torch.tensor(logits, dtype=torch.float64), torch.tensor(truth)
    loss = float(cross_entropy(all_logits, genres))
    return ranks.from_first(Predictions(all_logits.softmax(dim=1).numpy(), genres.numpy(), np.array(tracks), loss))


def track_results(predictions: Predictions) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Whether each track is predicted correctly, bool [T], and its mean loss, float32 [T]."""
    _, truth, predicted = predictions.per_track()
    return predicted == truth, predictions.track_losses().astype(np.float32)


def training_figures(
    model: nn.Module, batches: Batches, device: torch.device, *, n_tracks: int, n_genres: int, ranks: Ranks = ALONE
) -> EpochFigures:
    """Measure a model on the training set in evaluation mode. With several ranks, each has its part of the batches.

    `predict_batches` keeps the logits of every fragment. This keeps one row for each track, because a training set is
    large.
    """
    model.eval()
    sums = torch.zeros(n_tracks, n_genres, dtype=torch.float64)
    truth = torch.zeros(n_tracks, n_genres, dtype=torch.bool)
    totals = torch.zeros(3, dtype=torch.float64)  # of losses, of correct fragments, of fragments
    with torch.inference_mode():
        for inputs, targets, tracks in batches:
            logits = model(inputs.to(device)).double().cpu()
            loss = cross_entropy(logits, targets, reduction="sum")
            totals += torch.stack([loss, (logits.argmax(dim=1) == targets).sum(), torch.tensor(len(targets))])
            sums.index_add_(0, tracks, logits.softmax(dim=1))
            truth[tracks, targets] = True
    of_all = [torch.stack(parts).sum(0) for parts in zip(*ranks.gather((totals, sums, truth)), strict=True)]
    (loss, correct, count), sums, truth = of_all[0], of_all[1], of_all[2] > 0
    present = truth.any(dim=1)
    track_accuracy = (sums[present].argmax(dim=1) == truth[present].int().argmax(dim=1)).double().mean()
    return EpochFigures(float(loss / count), float(correct / count), float(track_accuracy))
