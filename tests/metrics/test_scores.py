import numpy as np
import pytest

from genrekit.metrics.accuracy import accuracy, macro_f1
from genrekit.metrics.intervals import cluster_bootstrap
from genrekit.metrics.scores import Predictions, score

BY_HAND = Predictions(
    probabilities=np.array(
        [
            [0.90, 0.05, 0.05],  # track 4 is blues: one confident fragment
            [0.10, 0.80, 0.10],  # track 1 is jazz
            [0.30, 0.40, 0.30],  # outweighs two uncertain ones
            [0.30, 0.40, 0.30],
            [0.20, 0.70, 0.10],  # track 7 is pop, predicted as jazz
            [0.10, 0.20, 0.70],  # track 2 is pop
        ]
    ),
    truth=np.array([0, 1, 0, 0, 2, 2]),
    track=np.array([4, 1, 4, 4, 7, 2]),
    loss=0.5,
)
"""Three of six fragments and three of four tracks are correct; genres are blues, jazz and pop."""

ALONE = {1: "one", 2: "two", 4: "four", 7: "seven"}


def test_the_prediction_for_a_fragment_is_its_most_probable_genre() -> None:
    np.testing.assert_array_equal(BY_HAND.predicted, [0, 1, 1, 1, 1, 2])
    assert BY_HAND.fragment_accuracy == 3 / 6


def test_the_loss_of_a_track_is_the_mean_cross_entropy_of_its_fragments() -> None:
    expected = [-np.log(0.8), -np.log(0.7), -np.log([0.9, 0.3, 0.3]).mean(), -np.log(0.1)]
    np.testing.assert_allclose(BY_HAND.track_losses(), expected, rtol=1e-12)


def test_the_loss_of_a_track_is_finite_if_its_genre_has_probability_0() -> None:
    certain = Predictions(np.array([[1.0, 0.0]]), np.array([1]), np.array([3]), 900.0)
    assert certain.track_losses() == pytest.approx([708.4], abs=0.1)


def test_the_prediction_for_a_track_comes_from_mean_probabilities_and_not_from_a_vote() -> None:
    tracks, truth, predicted = BY_HAND.per_track()
    np.testing.assert_array_equal(tracks, [1, 2, 4, 7])
    np.testing.assert_array_equal(truth, [1, 2, 0, 2])
    np.testing.assert_array_equal(predicted, [1, 2, 0, 1])
    assert BY_HAND.track_accuracy == 3 / 4


def test_scores_equal_those_computed_by_hand() -> None:
    scores = score(BY_HAND, ALONE)
    assert scores.fragment_accuracy.value == 3 / 6
    assert scores.track_accuracy.value == 3 / 4
    assert scores.macro_f1.value == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    np.testing.assert_array_equal(scores.confusion, [[1, 0, 0], [0, 1, 0], [0, 1, 1]])


def test_further_scores_equal_those_computed_by_hand() -> None:
    tracks, fragments = score(BY_HAND, ALONE).tracks, score(BY_HAND, ALONE).fragments
    assert (fragments.count, tracks.count) == (6, 4)
    assert tracks.balanced_accuracy.value == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert fragments.balanced_accuracy.value == pytest.approx((1 / 3 + 1 + 1 / 2) / 3)
    assert tracks.top2_accuracy.value == 3 / 4
    assert fragments.top2_accuracy.value == 5 / 6
    assert fragments.confusion == ((1, 2, 0), (0, 1, 0), (0, 1, 1))
    assert tracks.calibration.error.value == pytest.approx((0.2 + 0.5 + 2 * 0.2) / 4)  # two tracks share a bin


def test_every_score_lies_within_its_interval() -> None:
    generator = np.random.default_rng(0)
    for seed in range(5):
        truth = generator.integers(0, 4, 60)
        predictions = Predictions(generator.dirichlet(np.ones(4) / (1 + seed), 60), truth, np.arange(60) // 2, 1.0)
        predictions = Predictions(predictions.probabilities, truth[predictions.track], predictions.track, 1.0)
        scores = score(predictions, {track: str(track // 3) for track in range(30)})
        for level in (scores.fragments, scores.tracks):
            for figure in (
                level.accuracy,
                level.balanced_accuracy,
                level.macro_f1,
                level.top2_accuracy,
                level.calibration.error,
            ):
                assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_intervals_come_from_resampling_the_clusters_of_tracks() -> None:
    artists = {1: "Ann", 2: "Bob", 4: "Ann", 7: "Bob"}
    scores = score(BY_HAND, artists)
    fragments = cluster_bootstrap(
        BY_HAND.truth, BY_HAND.predicted, ["Ann", "Ann", "Ann", "Ann", "Bob", "Bob"], 3, [accuracy]
    )
    _, truth, predicted = BY_HAND.per_track()
    tracks = cluster_bootstrap(truth, predicted, ["Ann", "Bob", "Ann", "Bob"], 3, [accuracy, macro_f1])
    assert (scores.fragment_accuracy,) == fragments
    assert (scores.track_accuracy, scores.macro_f1) == tracks
    assert scores.track_accuracy != score(BY_HAND, ALONE).track_accuracy


def test_fragments_of_one_track_are_not_counted_as_independent() -> None:
    """If the ten fragments of each track agree, 400 fragments are no more evidence than 40."""
    generator = np.random.default_rng(0)
    truth = np.repeat(generator.integers(0, 2, 40), 10)
    predicted = np.where(np.repeat(generator.random(40) < 0.7, 10), truth, 1 - truth)
    predictions = Predictions(np.eye(2)[predicted], truth, np.repeat(np.arange(40), 10), 0.5)
    scores = score(predictions, {track: str(track) for track in range(40)})
    assert scores.fragment_accuracy == scores.track_accuracy
    assert scores.fragment_accuracy.high - scores.fragment_accuracy.low > 0.2


def test_the_threshold_is_reached_by_95_percent_of_the_tracks() -> None:
    best = np.linspace(0.5, 0.99, 40)
    probabilities = np.stack([best, 1 - best], axis=1).repeat(2, axis=0)
    answers = Predictions(probabilities, np.zeros(80, int), np.arange(80) // 2, 1.0)
    assert answers.confidence_threshold == best[1]  # 39 of 40 tracks reach it, and only 38 the next one
