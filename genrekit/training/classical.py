"""Fitting a classical model with scikit-learn, which is imported where it is used: most commands need none of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from genrekit._types import FloatArray
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import Epoch, TrainingFigures
from genrekit.models.classical import MAX_LEAVES, N_TREES, Classifier, Forest, Linear
from genrekit.training.batch_prediction import predict_batches, track_results
from genrekit.training.loop import FitResult

LOGREG_C = 0.003
"""Inverse strength of the squared penalty: statistics are many and correlated, and tracks are few."""

SVM_C = 1e-4

_BATCH = 256


@dataclass(frozen=True)
class Part:
    """The fragments of a part of the split.

    Shapes: statistics float32 [F, N_STATISTICS], genre and track int64 [F].
    """

    statistics: FloatArray
    genre: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield statistics, genre indices [B] and track indices [B]."""
        tensors = [torch.from_numpy(values) for values in (self.statistics, self.genre, self.track)]
        yield from zip(*(values.split(_BATCH) for values in tensors), strict=True)


def fit_classical(
    model: Classifier, training: Part, validation: Part, config: TrainConfig, genres: Sequence[str]
) -> FitResult:
    """Fit a classical model to the training part's fragments; the history has one epoch.

    The validation part is only asked. The same seed gives the same model.
    Errors: GenrekitError where a genre has no training fragment.
    """
    started = time.monotonic()
    missing = sorted(set(range(len(genres))) - set(training.genre.tolist()))
    if missing:
        raise GenrekitError(f"{config.arch} needs training tracks of every genre, {genres[missing[0]]} has none")
    mean, deviation = (
        training.statistics.mean(axis=0, dtype=np.float64),
        training.statistics.std(axis=0, dtype=np.float64),
    )
    model.set_statistics(torch.from_numpy(mean), torch.from_numpy(deviation))
    estimator = make_estimator(config)
    estimator.fit(model.standardize(torch.from_numpy(training.statistics)).numpy(), training.genre)
    take_over(model, estimator)
    head = _Head(model)
    seen = predict_batches(head, training.batches(), torch.device("cpu"))
    found = predict_batches(head, validation.batches(), torch.device("cpu"))
    if not math.isfinite(found.loss):
        raise GenrekitError(f"{config.arch} gave answers that are no numbers: train another model on this cache")
    epoch = Epoch(
        epoch=1,
        lr=config.learning_rate,
        train_loss=seen.loss,
        train_accuracy=seen.fragment_accuracy,
        validation_loss=found.loss,
        validation_fragment_accuracy=found.fragment_accuracy,
        validation_track_accuracy=found.track_accuracy,
        seconds=time.monotonic() - started,
    )
    clean = TrainingFigures(seen.loss, seen.fragment_accuracy, seen.track_accuracy)
    right, loss = track_results(found)
    return FitResult((epoch,), 1, found, right[None], loss[None], {"best": clean, "last": clean}, None, 1)


def make_estimator(config: TrainConfig) -> Any:
    """The scikit-learn estimator of an architecture, with the constants of this module."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    seed = config.seed % 2**32  # scikit-learn takes no more
    match config.arch:
        case "logreg":
            return LogisticRegression(C=LOGREG_C, max_iter=2_000)
        case "lda":  # the covariance is drawn to its diagonal as Ledoit and Wolf (2004) say
            return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        case "svm":
            return LinearSVC(C=SVM_C, random_state=seed, max_iter=10_000)
        case _:
            return RandomForestClassifier(N_TREES, max_leaf_nodes=MAX_LEAVES, random_state=seed)


def take_over(model: Classifier, estimator: Any) -> None:
    """Copy what an estimator has learnt into a model of its kind."""
    if isinstance(model, Linear):
        model.set_map(torch.from_numpy(estimator.coef_), torch.from_numpy(estimator.intercept_))
    elif isinstance(model, Forest):
        for number, grown in enumerate(estimator.estimators_):
            tree = grown.tree_
            arrays = (tree.feature, tree.threshold, tree.children_left, tree.children_right)
            shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
            model.set_tree(number, *(torch.from_numpy(np.array(values)) for values in (*arrays, shares)))


class _Head(nn.Module):
    """A model for whom the statistics are computed already."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, statistics: Tensor) -> Tensor:
        return self.model.decide(self.model.standardize(statistics))
