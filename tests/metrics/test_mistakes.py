"""The mistakes with the highest confidence come first."""

import numpy as np

from genrekit.metrics.mistakes import Mistake, confident_mistakes, confused_pairs
from genrekit.metrics.scores import Predictions

BY_HAND = Predictions(
    probabilities=np.array(
        [
            [0.9, 0.1],  # track 3 is correct
            [0.4, 0.6],  # track 5 is wrong with a confidence of 0.75,
            [0.1, 0.9],  # highest in this fragment
            [0.55, 0.45],  # track 7 is wrong and uncertain
        ]
    ),
    truth=np.array([0, 0, 0, 1]),
    track=np.array([3, 5, 5, 7]),
    loss=0.0,
)


def test_the_most_confident_mistake_comes_first_with_its_most_confident_fragment() -> None:
    assert confident_mistakes(BY_HAND) == [Mistake(5, 0, 1, 0.75, 2), Mistake(7, 1, 0, 0.55, 3)]
    assert confident_mistakes(BY_HAND, limit=1) == [Mistake(5, 0, 1, 0.75, 2)]


def test_a_model_without_mistakes_has_none() -> None:
    correct = Predictions(np.eye(2), np.array([0, 1]), np.array([0, 1]), 0.0)
    assert confident_mistakes(correct) == []
    assert confused_pairs([[3, 0], [0, 0]], ["blues", "jazz"]) == ()


def test_pairs_are_ordered_by_count_and_then_by_share() -> None:
    confusion = [[5, 2, 0], [0, 1, 2], [4, 0, 9]]
    pairs = confused_pairs(confusion, ["a", "b", "c"])
    assert [(pair.genre, pair.predicted, pair.count) for pair in pairs] == [("c", "a", 4), ("b", "c", 2), ("a", "b", 2)]
    assert len(confused_pairs(confusion, ["a", "b", "c"], limit=2)) == 2
