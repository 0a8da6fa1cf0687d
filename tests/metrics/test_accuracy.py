"""Scores equal scikit-learn's, and the probabilities of a track are the mean over its fragments."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from genrekit.metrics.accuracy import (
    accuracy,
    among_likeliest,
    balanced_accuracy,
    confusion_matrix,
    f1_scores,
    macro_f1,
    per_genre_figures,
    track_probabilities,
)
from genrekit.metrics.intervals import Interval, wilson

Ints = npt.NDArray[np.int64]


@st.composite
def labels_and_predictions(draw: st.DrawFn) -> tuple[Ints, Ints, int]:
    """Draw true and predicted genres, among which some genres may be missing."""
    n_genres = draw(st.integers(2, 6))
    genre = st.integers(0, n_genres - 1)
    pairs = draw(st.lists(st.tuples(genre, genre), min_size=1, max_size=40))
    truth, predicted = np.array(pairs, dtype=np.int64).T
    return truth, predicted, n_genres


@given(labels_and_predictions())
@settings(deadline=None)
def test_all_scores_equal_those_of_scikit_learn(drawn: tuple[Ints, Ints, int]) -> None:
    truth, predicted, n_genres = drawn
    labels = np.arange(n_genres)
    confusion = confusion_matrix(truth, predicted, n_genres)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(truth, predicted, labels=labels))
    assert accuracy(confusion) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert macro_f1(confusion) == pytest.approx(reference.f1_score(truth, predicted, average="macro", zero_division=0))
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0
    )
    np.testing.assert_allclose(f1_scores(confusion), f1)
    figures = per_genre_figures(confusion, tuple(f"genre {label}" for label in labels))
    assert [figure.genre for figure in figures] == [f"genre {label}" for label in labels]
    assert [figure.tracks for figure in figures] == support.tolist()
    np.testing.assert_allclose([figure.precision for figure in figures], precision)
    np.testing.assert_allclose([figure.recall.value for figure in figures], recall)
    np.testing.assert_allclose([figure.f1 for figure in figures], f1)


@given(labels_and_predictions())
@settings(deadline=None)
def test_the_balanced_accuracy_equals_scikit_learn_s(drawn: tuple[Ints, Ints, int]) -> None:
    truth, predicted, n_genres = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about genres that are predicted and do not occur
        expected = reference.balanced_accuracy_score(truth, predicted)
    assert balanced_accuracy(confusion_matrix(truth, predicted, n_genres)) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_top_k_accuracy_equals_scikit_learn_s(k: int) -> None:
    generator = np.random.default_rng(k)
    probabilities, truth = generator.dirichlet(np.ones(5), 300), generator.integers(0, 5, 300)
    expected = reference.top_k_accuracy_score(truth, probabilities, k=k, labels=np.arange(5))
    assert among_likeliest(probabilities, truth, k).mean() == pytest.approx(expected)


def test_of_equally_probable_genres_the_first_is_predicted() -> None:
    probabilities = np.array([[0.4, 0.4, 0.2], [0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    for truth in range(3):
        first = among_likeliest(probabilities, np.full(3, truth), 1)
        np.testing.assert_array_equal(first, probabilities.argmax(axis=1) == truth)
        assert among_likeliest(probabilities, np.full(3, truth), 3).all()
    np.testing.assert_array_equal(among_likeliest(probabilities, np.full(3, 2), 2), [False, False, False])


def test_rows_of_a_confusion_matrix_are_the_truth() -> None:
    confusion = confusion_matrix(np.array([0, 0, 0, 1, 2]), np.array([0, 2, 2, 1, 1]), 3)
    np.testing.assert_array_equal(confusion, [[1, 0, 2], [0, 1, 0], [0, 1, 0]])


def test_scores_of_a_stack_equal_those_of_each_matrix() -> None:
    stack = np.random.default_rng(0).integers(0, 9, (5, 4, 3, 3))
    stack[0, 0, 1] = stack[0, 0, :, 1] = 0
    for figure in (accuracy, balanced_accuracy, macro_f1, f1_scores):
        expected = [[figure(confusion) for confusion in row] for row in stack]
        np.testing.assert_allclose(figure(stack), expected)


def test_scores_of_an_empty_matrix_are_0() -> None:
    nothing = np.zeros((2, 2), dtype=np.int64)
    assert (float(accuracy(nothing)), float(macro_f1(nothing))) == (0, 0)
    (figures, _) = per_genre_figures(nothing, ("blues", "jazz"))
    assert (figures.tracks, figures.precision, figures.f1) == (0, 0, 0)
    assert figures.recall == Interval(0, 0, 1)


def test_a_genre_that_neither_occurs_nor_is_predicted_does_not_lower_the_macro_f1() -> None:
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 8 / 9) / 2)
    confusion[0] = [3, 0, 1]
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 1 + 0) / 3)


def test_recall_has_the_wilson_interval_over_the_genre_s_tracks() -> None:
    (figures, _) = per_genre_figures(np.array([[7, 3], [5, 1]]), ("blues", "jazz"))
    assert figures.recall == wilson(7, 10)


def test_a_track_has_the_mean_probabilities_of_its_fragments() -> None:
    """In any order, and for any number of fragments."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]])
    means, tracks = track_probabilities(probabilities, np.array([7, 2, 7, 4, 7]))
    np.testing.assert_array_equal(tracks, [2, 4, 7])
    np.testing.assert_allclose(means, [[0.2, 0.8], [0.6, 0.4], [1.6 / 3, 1.4 / 3]])
