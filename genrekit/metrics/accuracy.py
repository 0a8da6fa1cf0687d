"""Accuracy, recall and F1, most of them from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrekit.metrics.intervals import Interval, wilson


@dataclass(frozen=True)
class GenreFigures:
    """Precision, recall (with its 95 % Wilson score interval) and F1 of one genre, over tracks."""

    genre: str
    tracks: int
    precision: float
    recall: Interval
    f1: float


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def track_probabilities(probabilities: Floats, track: Ints) -> tuple[Floats, Ints]:
    """Average the probabilities over the fragments of each track.

    Shapes: probabilities [F, n_genres] and track [F] to [T, n_genres] and the T track indices in ascending order.
    """
    tracks, index, counts = np.unique(track, return_inverse=True, return_counts=True)
    sums = np.zeros((len(tracks), probabilities.shape[1]))
    np.add.at(sums, index, probabilities)
    return sums / counts[:, None], tracks.astype(np.int64)


def confusion_matrix(truth: Ints, predicted: Ints, n_genres: int) -> Ints:
    """Count pairs of true genre (row) and predicted genre (column).

    Shapes: truth [N] and predicted [N] to [n_genres, n_genres].
    """
    return np.bincount(truth * n_genres + predicted, minlength=n_genres**2).reshape(n_genres, n_genres)


def accuracy(confusion: npt.NDArray[np.number]) -> Floats:
    """Share of correct predictions.

    Shapes: confusion [..., n, n] to [...].
    """
    return np.trace(confusion, axis1=-2, axis2=-1) / np.maximum(confusion.sum((-2, -1)), 1)


def balanced_accuracy(confusion: npt.NDArray[np.number]) -> Floats:
    """Mean recall over the genres that occur (Brodersen et al. 2010).

    Shapes: confusion [..., n, n] to [...].
    """
    sizes = confusion.sum(-1)
    recalls = np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(sizes, 1)
    return recalls.sum(-1) / np.maximum((sizes > 0).sum(-1), 1)


def among_likeliest(probabilities: Floats, truth: Ints, k: int) -> npt.NDArray[np.bool_]:
    """Whether the true genre is among the k most probable; ties go to the genre with the lower index.

    Shapes: probabilities [N, n_genres] and truth [N] to [N].
    """
    of_truth = probabilities[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    ahead = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    return ahead.sum(axis=1) < k


def f1_scores(confusion: npt.NDArray[np.number]) -> Floats:
    """F1 of each genre: 2 TP / (2 TP + FP + FN); 0 if a genre neither occurs nor is predicted.

    Shapes: confusion [..., n, n] to [..., n].
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return 2 * hits / np.maximum(confusion.sum(-1) + confusion.sum(-2), 1)


def macro_f1(confusion: npt.NDArray[np.number]) -> Floats:
    """Mean F1 over the genres that occur or are predicted.

    Shapes: confusion [..., n, n] to [...].
    """
    present = (confusion.sum(-1) + confusion.sum(-2)) > 0
    return (f1_scores(confusion) * present).sum(-1) / np.maximum(present.sum(-1), 1)


def per_genre_figures(confusion: Ints, genres: tuple[str, ...]) -> tuple[GenreFigures, ...]:
    """Compute precision, recall with its interval, and F1 of each genre; 0 / 0 counts as 0."""
    n_predicted, f1 = confusion.sum(axis=0), f1_scores(confusion)
    return tuple(
        GenreFigures(
            genre=genre,
            tracks=int(confusion[index].sum()),
            precision=float(confusion[index, index] / max(n_predicted[index], 1)),
            recall=wilson(int(confusion[index, index]), int(confusion[index].sum())),
            f1=float(f1[index]),
        )
        for index, genre in enumerate(genres)
    )
