"""Intervals are as wide as the truth is uncertain."""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from genrekit.metrics.accuracy import accuracy, macro_f1
from genrekit.metrics.intervals import Interval, cluster_bootstrap, wilson

Ints = npt.NDArray[np.int64]


def width(interval: Interval) -> float:
    return interval.high - interval.low


def accuracy_interval(right: npt.NDArray[np.bool_], clusters: Sequence[Hashable]) -> Interval:
    """Return the interval of the accuracy of answers that are right or wrong as told."""
    truth = np.arange(len(right)) % 2
    (interval,) = cluster_bootstrap(truth, np.where(right, truth, 1 - truth), clusters, 2, [accuracy])
    return interval


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 290])
def test_wilson_s_interval_is_scipy_s(n: int) -> None:
    for successes in range(n + 1):
        expected = binomtest(successes, n).proportion_ci(method="wilson")
        interval = wilson(successes, n)
        assert interval.value == successes / n
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_s_interval_holds_its_share_and_nothing_impossible() -> None:
    for n in range(1, 150):
        for interval in (wilson(successes, n) for successes in range(n + 1)):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_of_nothing_all_is_possible() -> None:
    assert wilson(0, 0) == Interval(0.0, 0.0, 1.0)


class TestClusterBootstrap:
    """Resampling whole clusters."""

    def test_the_same_answers_always_have_the_same_intervals(self) -> None:
        right = np.random.default_rng(0).random(60) < 0.6
        clusters = [n // 3 for n in range(60)]
        first = accuracy_interval(right, clusters)
        np.random.default_rng().random()
        assert accuracy_interval(right, clusters) == first
        assert accuracy_interval(right, [f"artist {cluster}" for cluster in clusters]) == first

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
    def test_of_independent_answers_it_is_the_normal_interval(self, share: float) -> None:
        n = 1_000
        interval = accuracy_interval(np.arange(n) < share * n, range(n))
        half = 1.96 * np.sqrt(share * (1 - share) / n)
        assert interval.value == share
        assert (interval.low, interval.high) == pytest.approx((share - half, share + half), abs=0.1 * half)

    def test_it_widens_with_the_root_of_the_clusters_size_where_their_items_agree(self) -> None:
        """Four answers that always agree say no more than one."""
        right = np.repeat(np.random.default_rng(0).random(200) < 0.6, 4)
        together = accuracy_interval(right, np.repeat(np.arange(200), 4).tolist())
        apart = accuracy_interval(right, range(800))
        assert together.value == apart.value
        assert width(together) / width(apart) == pytest.approx(2, rel=0.1)

    def test_clusters_whose_items_disagree_alike_leave_nothing_to_chance(self) -> None:
        assert accuracy_interval(np.arange(80) % 4 == 0, [n // 4 for n in range(80)]) == Interval(0.25, 0.25, 0.25)

    def test_a_95_percent_interval_holds_the_true_figure_about_95_times_of_100(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Artists differ in how well they are recognized: intervals over tracks would hold it far less often."""
        monkeypatch.setattr("genrekit.metrics.intervals.RESAMPLES", 400)
        generator = np.random.default_rng(0)
        holds = {"artists": 0, "tracks": 0}
        artists = np.repeat(np.arange(40), 5)
        for _ in range(200):
            right = generator.random(200) < generator.choice([0.2, 1.0], 40)[artists]
            for name, clusters in (("artists", artists.tolist()), ("tracks", range(200))):
                interval = accuracy_interval(right, clusters)
                holds[name] += interval.low <= 0.6 <= interval.high
        assert 180 <= holds["artists"] <= 198
        assert holds["tracks"] < 160

    def test_each_figure_has_the_interval_that_it_has_alone(self) -> None:
        generator = np.random.default_rng(0)
        truth, predicted = generator.integers(0, 3, (2, 90))
        clusters = generator.integers(0, 20, 90).tolist()
        both = cluster_bootstrap(truth, predicted, clusters, 3, [accuracy, macro_f1])
        alone = [cluster_bootstrap(truth, predicted, clusters, 3, [figure])[0] for figure in (accuracy, macro_f1)]
        assert list(both) == alone
        assert both[0].value == pytest.approx(np.mean(truth == predicted))
        assert all(interval.low < interval.value < interval.high for interval in both)

    def test_a_large_cluster_counts_with_all_its_items(self) -> None:
        """One artist has 50 wrong answers, ten others one right answer each: which artists come decides."""
        interval = accuracy_interval(np.arange(60) >= 50, [*[0] * 50, *range(1, 11)])
        assert interval.value == pytest.approx(10 / 60)
        assert interval.low < 0.06
        assert interval.high == 1

    @pytest.mark.parametrize("share", [0, 1])
    def test_ten_artists_all_right_or_all_wrong_are_not_every_artist(self, share: int) -> None:
        """Resampling would say that nothing else is possible."""
        right = np.full(30, share, dtype=bool)
        interval = accuracy_interval(right, [n // 3 for n in range(30)])
        assert interval == wilson(10 * share, 10)
        assert interval.high - interval.low > 0.25

    def test_one_cluster_has_no_spread(self) -> None:
        assert accuracy_interval(np.arange(4) > 0, ["the only one"] * 4) == Interval(0.75, 0.75, 0.75)
