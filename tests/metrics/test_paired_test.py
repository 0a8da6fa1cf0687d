"""Two models on the same tracks: p is exact, and the interval covers the uncertainty over clusters."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from genrekit.metrics.paired_test import on_same_tracks, paired_difference, sign_flip_p
from genrekit.metrics.scores import Predictions


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(deadline=None)
def test_p_is_that_of_an_enumeration_of_all_exchanges(differences: list[int]) -> None:
    sums = [
        sum(sign * one for sign, one in zip(signs, differences, strict=True))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([abs(one) >= abs(sum(differences)) for one in sums])
    assert sign_flip_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 2), (30, 12), (200, 150)])
def test_for_single_tracks_it_is_the_exact_sign_test(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_flip_p([1] * better + [-1] * worse + [0] * 40) == pytest.approx(expected)


def test_p_is_rarely_below_0_05_if_the_models_are_equally_good() -> None:
    """The number of tracks differs between artists."""
    generator = np.random.default_rng(0)
    low = 0
    for _ in range(400):
        sizes = generator.integers(1, 6, 30)
        low += sign_flip_p((sizes * generator.choice([-1, 0, 1], 30)).tolist()) < 0.05
    assert low / 400 < 0.08


def test_the_difference_is_that_of_the_shares_and_its_interval_contains_it() -> None:
    generator = np.random.default_rng(0)
    first, other = generator.random(200) < 0.8, generator.random(200) < 0.5
    interval, p = paired_difference(first, other, range(200))
    assert interval.value == pytest.approx(first.mean() - other.mean())
    deviation = np.std(first.astype(int) - other) / np.sqrt(200)
    assert (interval.low, interval.high) == pytest.approx(
        (interval.value - 1.96 * deviation, interval.value + 1.96 * deviation), abs=0.2 * deviation
    )
    assert p < 0.001


def test_swapping_the_models_changes_the_sign() -> None:
    generator = np.random.default_rng(3)
    first, other = generator.random(40) < 0.7, generator.random(40) < 0.5
    clusters = (np.arange(40) // 3).tolist()
    (one, p), (two, q) = paired_difference(first, other, clusters), paired_difference(other, first, clusters)
    assert (two.value, two.low, two.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert p == q


def test_tracks_of_one_artist_count_as_one() -> None:
    first, other = np.ones(24, bool), np.zeros(24, bool)
    first[18:], other[18:] = other[18:].copy(), first[18:].copy()
    _, apart = paired_difference(first, other, range(24))
    _, together = paired_difference(first, other, (np.arange(24) // 6).tolist())
    assert apart < 0.05
    assert together == pytest.approx(10 / 16)


def test_a_few_artists_give_no_interval_of_the_difference() -> None:
    first, other = np.arange(24) % 3 > 0, np.arange(24) % 3 > 1
    interval, p = paired_difference(first, other, (np.arange(24) // 6).tolist())
    assert (interval.low, interval.high) == (-1, 1)
    assert p == pytest.approx(1 / 8)


def test_equal_predictions_are_a_tie_with_an_interval_that_narrows_with_their_number() -> None:
    correct = np.arange(50) % 2 == 0
    interval, p = paired_difference(correct, correct, range(50))
    assert p == 1
    assert interval.value == 0
    assert -interval.low == interval.high == pytest.approx(0.0714, abs=0.001)
    few, _ = paired_difference(correct[:5], correct[:5], range(5))
    assert few.high > 0.4


def test_only_tracks_that_both_have_predicted_are_compared() -> None:
    def predictions(predicted: dict[int, int]) -> Predictions:
        tracks = np.array(sorted(predicted))
        probabilities = np.eye(2)[[predicted[track] for track in tracks.tolist()]]
        return Predictions(probabilities, np.zeros(len(tracks), np.int64), tracks, 0.0)

    first, other = predictions({1: 0, 2: 0, 3: 1, 9: 0}), predictions({2: 1, 3: 1, 9: 1, 11: 0})
    result = on_same_tracks(first, other, {track: "Ann" if track < 5 else "Bob" for track in range(12)})
    assert result is not None
    assert (result.tracks, result.clusters) == (3, 2)
    assert result.difference.value == pytest.approx(2 / 3)
    assert on_same_tracks(predictions({1: 0}), predictions({2: 0}), {1: "a", 2: "b"}) is None
