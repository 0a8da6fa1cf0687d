"""Two models on the same tracks: p is exact, and the interval as wide as the truth is uncertain."""

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
def test_p_is_that_of_all_exchanges_counted_one_by_one(differences: list[int]) -> None:
    sums = [
        sum(sign * one for sign, one in zip(signs, differences, strict=True))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    as_far = np.mean([abs(one) >= abs(sum(differences)) for one in sums])
    assert sign_flip_p(differences) == pytest.approx(as_far)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 2), (30, 12), (200, 150)])
def test_of_single_tracks_it_is_the_exact_sign_test(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_flip_p([1] * better + [-1] * worse + [0] * 40) == pytest.approx(expected)


def test_p_is_uniform_where_neither_model_is_better() -> None:
    """At most one in twenty is below 0.05, and artists whose tracks go together do not change that."""
    generator = np.random.default_rng(0)
    low = 0
    for _ in range(400):
        sizes = generator.integers(1, 6, 30)
        low += sign_flip_p((sizes * generator.choice([-1, 0, 1], 30)).tolist()) < 0.05
    assert low / 400 < 0.08


def test_the_difference_is_that_of_the_shares_and_its_interval_holds_it() -> None:
    generator = np.random.default_rng(0)
    first, other = generator.random(200) < 0.8, generator.random(200) < 0.5
    interval, p = paired_difference(first, other, range(200))
    assert interval.value == pytest.approx(first.mean() - other.mean())
    deviation = np.std(first.astype(int) - other) / np.sqrt(200)
    assert (interval.low, interval.high) == pytest.approx(
        (interval.value - 1.96 * deviation, interval.value + 1.96 * deviation), abs=0.2 * deviation
    )
    assert p < 0.001


def test_swapping_the_models_turns_the_sign() -> None:
    generator = np.random.default_rng(3)
    first, other = generator.random(40) < 0.7, generator.random(40) < 0.5
    clusters = (np.arange(40) // 3).tolist()
    (one, p), (two, q) = paired_difference(first, other, clusters), paired_difference(other, first, clusters)
    assert (two.value, two.low, two.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert p == q


def test_tracks_of_one_artist_are_no_more_evidence_than_one() -> None:
    first, other = np.ones(24, bool), np.zeros(24, bool)
    first[18:], other[18:] = other[18:].copy(), first[18:].copy()
    _, apart = paired_difference(first, other, range(24))
    _, together = paired_difference(first, other, (np.arange(24) // 6).tolist())
    assert apart < 0.05
    assert together == pytest.approx(10 / 16)


def test_equal_answers_are_a_tie_whose_width_says_how_many_there_were() -> None:
    right = np.arange(50) % 2 == 0
    interval, p = paired_difference(right, right, range(50))
    assert p == 1
    assert interval.value == 0
    assert -interval.low == interval.high == pytest.approx(0.0714, abs=0.001)
    few, _ = paired_difference(right[:5], right[:5], range(5))
    assert few.high > 0.4


def test_only_tracks_that_both_have_answered_are_compared() -> None:
    def answers(called: dict[int, int]) -> Predictions:
        tracks = np.array(sorted(called))
        probabilities = np.eye(2)[[called[track] for track in tracks.tolist()]]
        return Predictions(probabilities, np.zeros(len(tracks), np.int64), tracks, 0.0)

    first, other = answers({1: 0, 2: 0, 3: 1, 9: 0}), answers({2: 1, 3: 1, 9: 1, 11: 0})
    found = on_same_tracks(first, other, {track: "Ann" if track < 5 else "Bob" for track in range(12)})
    assert found is not None
    assert (found.tracks, found.clusters) == (3, 2)
    assert found.difference.value == pytest.approx(2 / 3)
    assert on_same_tracks(answers({1: 0}), answers({2: 0}), {1: "a", 2: "b"}) is None
