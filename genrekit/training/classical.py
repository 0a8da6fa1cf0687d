"""Fit classical models with scikit-learn. It is imported when it is used, because most commands do not need it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genrekit._types import FloatArray
from genrekit.config import TrainConfig
from genrekit.errors import GenrekitError
from genrekit.metrics.epochs import Epoch, EpochFigures
from genrekit.models.classical import MAX_LEAVES, N_TREES, Classifier, Forest, Head, Linear
from genrekit.training.batch_prediction import predict_batches, track_results
from genrekit.training.loop import FitResult
from genrekit.training.temperature import best_temperature

LOGREG_C = 0.003
"""Inverse strength of the squared penalty: statistics are many and correlated, and tracks are few."""

SVM_C = 1e-4

_BATCH = 256

Genres = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """The fragments of the training or the validation set.

    Shapes: statistics float32 [F, n_features], genre and track int64 [F].
    """

    statistics: FloatArray
    genre: Genres
    track: npt.NDArray[np.int64]

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield statistics, genre indices [B] and track indices [B]."""
        tensors = [torch.from_numpy(values) for values in (self.statistics, self.genre, self.track)]
        yield from zip(*(values.split(_BATCH) for values in tensors), strict=True)


def fit_classical(
    model: Classifier, training: Subset, validation: Subset, config: TrainConfig, genres: Sequence[str]
) -> FitResult:
    """Fit a classical model to the fragments of the training set, and measure it. The history has one epoch.

    The same seed gives the same model.
    Errors: GenrekitError if a genre has no training fragment.
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
    standardized = model.standardize(torch.from_numpy(training.statistics)).numpy()
    config.architecture.fit_model(model, standardized, training.genre, config)
    head = Head(model)
    if model.temperature is not None:
        uncalibrated = predict_batches(head, validation.batches(), torch.device("cpu"))
        model.temperature.fill_(best_temperature(uncalibrated))
    on_training = predict_batches(head, training.batches(), torch.device("cpu"))
    on_validation = predict_batches(head, validation.batches(), torch.device("cpu"))
    if not math.isfinite(on_validation.loss):
        raise GenrekitError(f"the loss of {config.arch} on the validation set is not finite: train another --arch")
    epoch = Epoch(
        epoch=1,
        lr=config.learning_rate,
        train_loss=on_training.loss,
        train_accuracy=on_training.fragment_accuracy,
        validation_loss=on_validation.loss,
        validation_fragment_accuracy=on_validation.fragment_accuracy,
        validation_track_accuracy=on_validation.track_accuracy,
        seconds=time.monotonic() - started,
    )
    figures = EpochFigures(on_training.loss, on_training.fragment_accuracy, on_training.track_accuracy)
    right, loss = track_results(on_validation)
    return FitResult(
        history=(epoch,),
        best_epoch=1,
        predictions=on_validation,
        right=right[None],
        loss=loss[None],
        training={"best": figures, "last": figures},
        predicted=dict.fromkeys(("best", "last"), on_validation.per_track()[2]),
        dead_channels=None,
        steps_per_epoch=1,
    )


def fit_logreg(model: Linear, statistics: FloatArray, genres: Genres, config: TrainConfig) -> None:
    """Fit logistic regression."""
    _set_map(model, logreg(config).fit(statistics, genres))


def fit_lda(model: Linear, statistics: FloatArray, genres: Genres, config: TrainConfig) -> None:
    """Fit linear discriminant analysis.

    Errors: GenrekitError if there are not more fragments than genres: the covariance is that within genres.
    """
    n_genres = len(set(genres.tolist()))
    if len(genres) <= n_genres:
        raise GenrekitError(
            f"lda needs more training fragments than genres ({n_genres}), got {len(genres)}: use all fragments of each "
            "track, add tracks, or choose another --arch"
        )
    _set_map(model, lda(config).fit(statistics, genres))


def fit_svm(model: Linear, statistics: FloatArray, genres: Genres, config: TrainConfig) -> None:
    """Fit linear support vector machines."""
    _set_map(model, svm(config).fit(statistics, genres))


def fit_forest(model: Forest, statistics: FloatArray, genres: Genres, config: TrainConfig) -> None:
    """Fit a random forest."""
    for number, estimator in enumerate(forest(config).fit(statistics, genres).estimators_):
        tree = estimator.tree_
        arrays = (tree.feature, tree.threshold, tree.children_left, tree.children_right)
        shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        model.set_tree(number, *(torch.from_numpy(np.array(values)) for values in (*arrays, shares)))


def logreg(config: TrainConfig) -> Any:
    """Return scikit-learn's logistic regression with genrekit's settings."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=config.c or LOGREG_C, max_iter=2_000)


def lda(_: TrainConfig) -> Any:
    """Return scikit-learn's linear discriminant analysis; the covariance is shrunk (Ledoit and Wolf 2004)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def svm(config: TrainConfig) -> Any:
    """Return scikit-learn's linear support vector machines with genrekit's settings."""
    from sklearn.svm import LinearSVC

    return LinearSVC(C=config.c or SVM_C, random_state=_seed(config), max_iter=10_000)


def forest(config: TrainConfig) -> Any:
    """Return scikit-learn's random forest with genrekit's settings."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(N_TREES, max_leaf_nodes=MAX_LEAVES, random_state=_seed(config))


def _seed(config: TrainConfig) -> int:
    return config.seed % 2**32  # the largest seed of scikit-learn is 2**32 - 1


def _set_map(model: Linear, estimator: Any) -> None:
    model.set_map(torch.from_numpy(estimator.coef_), torch.from_numpy(estimator.intercept_))
