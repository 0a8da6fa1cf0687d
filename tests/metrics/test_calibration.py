"""The calibration error follows its definition, and is close to 0 for a perfectly calibrated model."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.metrics.calibration import BINS, bins_of, calibration
from genrekit.metrics.intervals import Interval

Floats = npt.NDArray[np.float64]


def two_genres(confidence: Floats) -> Floats:
    """Return probabilities of two genres, of which the first is always predicted."""
    return np.stack([confidence, 1 - confidence], axis=1)


def by_hand(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Compute the definition of Naeini et al., bin by bin."""
    total = 0.0
    for number in range(BINS):
        inside = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def test_with_one_bin_the_error_is_its_distance() -> None:
    result = calibration(two_genres(np.full(10, 0.9)), np.array([0] * 6 + [1] * 4), range(10))
    assert result.error.value == pytest.approx(0.3)
    (one,) = result.bins
    assert one.count == 10
    assert (one.confidence, one.accuracy) == pytest.approx((0.9, 0.6))
    assert one.low < 0.9 <= one.high


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_the_error_is_that_of_the_definition(drawn: list[tuple[float, bool]]) -> None:
    confidence, correct = np.array([one for one, _ in drawn]), np.array([one for _, one in drawn])
    result = calibration(two_genres(confidence), np.where(correct, 0, 1), range(len(drawn)))
    # With 0.5 and 0.5 the first genre is predicted, as in the definition.
    assert result.error.value == pytest.approx(by_hand(confidence, correct))
    assert sum(one.count for one in result.bins) == len(drawn)
    assert 0 <= result.error.low <= result.error.value <= result.error.high <= 1
    weighted = sum(one.count * abs(one.accuracy - one.confidence) for one in result.bins) / len(drawn)
    assert result.error.value == pytest.approx(weighted)


def test_bins_are_of_equal_width_and_closed_above() -> None:
    edges = np.arange(1, BINS + 1) / BINS
    np.testing.assert_array_equal(bins_of(edges), np.arange(BINS))
    np.testing.assert_array_equal(bins_of(edges - 0.01), np.arange(BINS))


@pytest.mark.slow
def test_a_perfectly_calibrated_model_has_the_error_of_chance() -> None:
    """The error is large with few predictions and below 0.01 with many."""
    generator = np.random.default_rng(0)
    errors, chances = [], []
    for _ in range(30):
        confidence = generator.uniform(0.5, 1, 200)
        truth = (generator.random(200) >= confidence).astype(np.int64)
        result = calibration(two_genres(confidence), truth, range(200))
        errors.append(result.error.value)
        chances.append(result.chance)
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.1)
    assert np.mean(errors) > 0.05
    confidence = generator.uniform(0.5, 1, 40_000)
    truth = (generator.random(40_000) >= confidence).astype(np.int64)
    result = calibration(two_genres(confidence), truth, (np.arange(40_000) // 100).tolist())
    assert result.error.value < 0.01
    assert result.chance < 0.01


def test_the_same_predictions_always_have_the_same_calibration() -> None:
    generator = np.random.default_rng(1)
    probabilities, truth = two_genres(generator.uniform(0.5, 1, 50)), generator.integers(0, 2, 50)
    assert calibration(probabilities, truth, range(50)) == calibration(probabilities, truth, range(50))


def test_predictions_for_one_artist_are_resampled_together() -> None:
    generator = np.random.default_rng(2)
    probabilities, truth = two_genres(np.full(200, 0.75)), np.repeat(generator.integers(0, 2, 20), 10)
    apart = calibration(probabilities, truth, range(200)).error
    together = calibration(probabilities, truth, np.repeat(np.arange(20), 10).tolist()).error

    def width(interval: Interval) -> float:
        return interval.high - interval.low

    assert apart.value == together.value
    assert width(together) > 2 * width(apart)
