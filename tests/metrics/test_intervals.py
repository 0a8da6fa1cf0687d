"""Intervals contain the true value as often as they should."""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from genrekit.metrics.accuracy import accuracy, macro_f1
from genrekit.metrics.intervals import Interval, cluster_bootstrap, wilson

Ints = npt.NDArray[np.int64]


def width(interval: Interval) -> float:
    return interval.high - interval.low


def accuracy_interval(correct: npt.NDArray[np.bool_], clusters: Sequence[Hashable]) -> Interval:
    """Return the interval of the accuracy of predictions that are correct or wrong as given."""
    truth = np.arange(len(correct)) % 2
    (interval,) = cluster_bootstrap(truth, np.where(correct, truth, 1 - truth), clusters, 2, [accuracy])
    return interval


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 290])
def test_the_wilson_interval_follows_its_formula(n: int) -> None:
    """The bounds are the shares whose score test has p = 0.05 (Wilson 1927)."""
    z = norm.ppf(0.975)
    for successes in range(n + 1):
        share = successes / n
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        interval = wilson(successes, n)
        assert interval.value == share
        assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_the_wilson_interval_contains_its_share_and_stays_between_0_and_1() -> None:
    for n in range(1, 150):
        for interval in (wilson(successes, n) for successes in range(n + 1)):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_without_trials_the_wilson_interval_is_0_to_1() -> None:
    assert wilson(0, 0) == Interval(0.0, 0.0, 1.0)


class TestClusterBootstrap:
    """Resampling whole clusters."""

    @pytest.mark.parametrize("n_clusters", [1, 2, 4])
    def test_a_few_artists_give_no_interval_instead_of_a_narrow_one(self, n_clusters: int) -> None:
        correct = np.arange(60) % 10 != 0
        assert accuracy_interval(correct, [n % n_clusters for n in range(60)]) == Interval(0.9, 0.0, 1.0)

    def test_a_few_items_without_clusters_have_an_interval(self) -> None:
        assert accuracy_interval(np.ones(3, bool), range(3)) == wilson(3, 3)

    def test_five_artists_give_an_interval(self) -> None:
        interval = accuracy_interval(np.arange(60) % 10 != 0, [n % 5 for n in range(60)])
        assert 0 < interval.low < 0.9 < interval.high <= 1

    def test_the_same_predictions_always_have_the_same_intervals(self) -> None:
        correct = np.random.default_rng(0).random(60) < 0.6
        clusters = [n // 3 for n in range(60)]
        first = accuracy_interval(correct, clusters)
        np.random.default_rng().random()
        assert accuracy_interval(correct, clusters) == first
        assert accuracy_interval(correct, [f"artist {cluster}" for cluster in clusters]) == first

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
    def test_for_independent_predictions_it_is_the_normal_interval(self, share: float) -> None:
        n = 1_000
        interval = accuracy_interval(np.arange(n) < share * n, range(n))
        half = 1.96 * np.sqrt(share * (1 - share) / n)
        assert interval.value == share
        assert (interval.low, interval.high) == pytest.approx((share - half, share + half), abs=0.1 * half)

    def test_if_the_items_of_a_cluster_agree_it_widens_with_the_root_of_the_cluster_size(self) -> None:
        """Four predictions that always agree are no more evidence than one."""
        correct = np.repeat(np.random.default_rng(0).random(200) < 0.6, 4)
        together = accuracy_interval(correct, np.repeat(np.arange(200), 4).tolist())
        apart = accuracy_interval(correct, range(800))
        assert together.value == apart.value
        assert width(together) / width(apart) == pytest.approx(2, rel=0.1)

    def test_if_all_clusters_have_the_same_accuracy_the_interval_has_no_width(self) -> None:
        assert accuracy_interval(np.arange(80) % 4 == 0, [n // 4 for n in range(80)]) == Interval(0.25, 0.25, 0.25)

    def test_a_95_percent_interval_contains_the_true_value_in_about_95_percent_of_draws(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Accuracy differs between artists, so intervals over tracks are too narrow."""
        monkeypatch.setattr("genrekit.metrics.intervals.RESAMPLES", 400)
        generator = np.random.default_rng(0)
        covered = {"artists": 0, "tracks": 0}
        artists = np.repeat(np.arange(40), 5)
        for _ in range(200):
            correct = generator.random(200) < generator.choice([0.2, 1.0], 40)[artists]
            for name, clusters in (("artists", artists.tolist()), ("tracks", range(200))):
                interval = accuracy_interval(correct, clusters)
                covered[name] += interval.low <= 0.6 <= interval.high
        assert 180 <= covered["artists"] <= 198
        assert covered["tracks"] < 160

    def test_each_score_has_the_interval_that_it_has_alone(self) -> None:
        generator = np.random.default_rng(0)
        truth, predicted = generator.integers(0, 3, (2, 90))
        clusters = generator.integers(0, 20, 90).tolist()
        both = cluster_bootstrap(truth, predicted, clusters, 3, [accuracy, macro_f1])
        alone = [cluster_bootstrap(truth, predicted, clusters, 3, [figure])[0] for figure in (accuracy, macro_f1)]
        assert list(both) == alone
        assert both[0].value == pytest.approx(np.mean(truth == predicted))
        assert all(interval.low < interval.value < interval.high for interval in both)

    def test_a_large_cluster_has_the_weight_of_all_its_items(self) -> None:
        """One artist has 50 wrong predictions, ten others have one correct prediction each."""
        interval = accuracy_interval(np.arange(60) >= 50, [*[0] * 50, *range(1, 11)])
        assert interval.value == pytest.approx(10 / 60)
        assert interval.low < 0.06
        assert interval.high == 1

    @pytest.mark.parametrize("share", [0, 1])
    def test_if_all_predictions_are_correct_or_all_are_wrong_it_is_the_wilson_interval(self, share: int) -> None:
        """Resampling alone would give an interval without a width."""
        correct = np.full(30, share, dtype=bool)
        interval = accuracy_interval(correct, [n // 3 for n in range(30)])
        assert interval == wilson(10 * share, 10)
        assert interval.high - interval.low > 0.25
