"""The uncertainty of a difference contains that of seeds and that of tracks."""

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from genrekit.errors import UsageError
from genrekit.metrics.comparison import (
    RUN_SD,
    TRACK_SD,
    Difference,
    Sample,
    Spread,
    detectable_difference,
    difference,
    holm,
    independent_difference,
    indistinguishable,
    matched_difference,
    seed_mean,
    spread,
)
from genrekit.metrics.intervals import Interval, wilson

Floats = npt.NDArray[np.float64]


def of_runs(values: list[float] | Floats) -> Sample:
    """A statistic of whole runs."""
    return Sample(np.reshape(np.asarray(values, dtype=float), (-1, 1)), ("run",))


def of_tracks(values: Floats, size: int = 1) -> Sample:
    """Values [S, T]; each artist has `size` tracks."""
    return Sample(values, tuple(f"artist {track // size}" for track in range(values.shape[1])))


def drawn(
    generator: np.random.Generator, seeds: int, tracks: int = 60, run_sd: float = 0.3, rest_sd: float = 1.0
) -> Floats:
    """Values without effects of tracks."""
    of_seeds = run_sd * generator.standard_normal((seeds, 1))
    return of_seeds + rest_sd * generator.standard_normal((seeds, tracks))


def figures(result: Difference) -> list[float]:
    """All fields of a difference; none may be None."""
    values = (result.effect, result.low, result.high, result.p, result.df, result.error)
    assert None not in values
    return [value for value in values if value is not None]


class TestDifference:
    """Two configurations."""

    @pytest.mark.parametrize(("first", "second"), [(5, 5), (3, 5), (2, 9), (3, 3)])
    def test_for_a_statistic_of_whole_runs_it_is_welch_s_test(self, first: int, second: int) -> None:
        generator = np.random.default_rng(first * second)
        one, other = generator.normal(1, 1, first), generator.normal(0, 3, second)
        expected = stats.ttest_ind(one, other, equal_var=False)
        interval = expected.confidence_interval()
        result = difference(of_runs(one), of_runs(other))
        assert [result.effect, result.low, result.high, result.p, result.df] == pytest.approx(
            [one.mean() - other.mean(), interval.low, interval.high, expected.pvalue, expected.df]
        )

    def test_without_variation_over_seeds_it_is_the_paired_test_over_tracks(self) -> None:
        one, other = np.random.default_rng(0).normal(0, 1, (2, 40))
        expected = stats.ttest_rel(one, other)
        interval = expected.confidence_interval()
        result = difference(of_tracks(np.tile(one, (3, 1))), of_tracks(np.tile(other, (3, 1))))
        assert [result.low, result.high, result.p, result.df] == pytest.approx(
            [interval.low, interval.high, expected.pvalue, 39]
        )

    def test_without_variation_over_seeds_artists_with_equally_many_tracks_are_the_units(self) -> None:
        one, other = np.random.default_rng(0).normal(0, 1, (2, 40))
        expected = stats.ttest_rel(one.reshape(10, 4).mean(axis=1), other.reshape(10, 4).mean(axis=1))
        result = difference(of_tracks(np.tile(one, (3, 1)), size=4), of_tracks(np.tile(other, (3, 1)), size=4))
        assert [result.p, result.df] == pytest.approx([expected.pvalue, 9])

    def test_the_squared_error_is_that_of_the_two_way_analysis_of_variance(self) -> None:
        """(Mean squares of runs + tracks - residuals) / number of values; one configuration is constant."""
        generator = np.random.default_rng(0)
        seeds, tracks = 4, 30
        values = drawn(generator, seeds, tracks) + generator.standard_normal(tracks)
        by_track, by_seed = values.mean(axis=0), values.mean(axis=1)
        rest = values - by_track - by_seed[:, None] + values.mean()
        squares = (
            seeds * by_track.var(ddof=1) + tracks * by_seed.var(ddof=1) - (rest**2).sum() / (seeds - 1) / (tracks - 1)
        )
        result = difference(of_tracks(values), of_tracks(np.zeros((seeds, tracks))))
        assert result.error == pytest.approx(math.sqrt(squares / seeds / tracks))

    @pytest.mark.parametrize(("run_sd", "track_sd"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.5), (0.3, 0.5)])
    def test_the_squared_error_is_the_variance_of_the_effect(self, run_sd: float, track_sd: float) -> None:
        """For each combination of effects; residuals alone must not count twice."""
        generator = np.random.default_rng(0)
        effects, squares = [], []
        for _ in range(600):
            track_effect = track_sd * generator.standard_normal(60)
            one, other = (of_tracks(drawn(generator, 5, run_sd=run_sd) + sign * track_effect / 2) for sign in (1, -1))
            result = difference(one, other)
            effects.append(result.effect)
            squares.append(figures(result)[5] ** 2)
        ratio = np.mean(squares) / np.var(effects)
        assert (
            0.85 < ratio < 1.5
        )  # at least as large as each term, so slightly too large; residuals that count twice make 2

    def test_the_error_is_at_least_that_of_runs_and_that_of_tracks(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(200):
            values = generator.standard_normal((2, 3, 6))
            result = difference(of_tracks(values[0]), of_tracks(values[1]))
            runs = (values.mean(axis=2).var(axis=1, ddof=1) / 3).sum()
            tracks = (values[0] - values[1]).mean(axis=0).var(ddof=1) / 6
            assert figures(result)[5] ** 2 >= max(runs, tracks) - 1e-12

    @settings(deadline=None)
    @given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 5))
    @example(6_387, 2, 2)  # runs are almost equal, and few degrees of freedom give an interval of 1e10
    def test_swapping_the_samples_negates_the_effect_and_its_interval(self, seed: int, first: int, second: int) -> None:
        generator = np.random.default_rng(seed)
        one, other = (of_tracks(drawn(generator, seeds, 12), size=3) for seeds in (first, second))
        effect, low, high, *rest = figures(difference(one, other))
        assert figures(difference(other, one)) == pytest.approx([-effect, -high, -low, *rest], rel=1e-9, abs=1e-12)

    @settings(deadline=None)
    @given(st.integers(0, 10_000), st.floats(-5, 5))
    def test_the_order_and_a_common_constant_do_not_matter(self, seed: int, constant: float) -> None:
        generator = np.random.default_rng(seed)
        values = [drawn(generator, seeds, 12) for seeds in (3, 5)]
        order, clusters = generator.permutation(12), [f"artist {track // 3}" for track in range(12)]
        plain = difference(*(Sample(value, tuple(clusters)) for value in values))  # type: ignore[arg-type]
        moved = [value[generator.permutation(len(value))][:, order] + constant for value in values]
        again = difference(*(Sample(value, tuple(clusters[track] for track in order)) for value in moved))  # type: ignore[arg-type]
        assert figures(again) == pytest.approx(figures(plain), rel=1e-6, abs=1e-9)

    @settings(deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_interval_excludes_zero_if_and_only_if_p_is_below_5_percent(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        values = drawn(generator, 3, 20)
        _, low, high, p, *_ = figures(difference(of_tracks(values + 0.5), of_tracks(drawn(generator, 4, 20))))
        assert (p < 0.05) == (low > 0 or high < 0)

    def test_a_shift_moves_effect_and_interval(self) -> None:
        generator = np.random.default_rng(0)
        one, other = (of_tracks(drawn(generator, 3)) for _ in range(2))
        effect, low, high, _, df, error = figures(difference(one, other))
        shifted = figures(difference(one, other, by=0.03))
        assert shifted[:3] == pytest.approx([effect + 0.03, low + 0.03, high + 0.03])
        assert shifted[4:] == [df, error]

    def test_if_the_tracks_of_an_artist_agree_the_interval_is_wider(self) -> None:
        generator = np.random.default_rng(0)
        artist_effect = np.repeat(generator.standard_normal(20), 4)
        values = [drawn(generator, 5, 80, 0.0, 0.1) + artist_effect * sign for sign in (1, -1)]
        together, apart = (difference(*(of_tracks(value, size) for value in values)) for size in (4, 1))  # type: ignore[arg-type]
        assert figures(together)[5] / figures(apart)[5] == pytest.approx(2, rel=0.1)

    def test_few_seeds_give_few_degrees_of_freedom(self) -> None:
        """Fewer than Satterthwaite's formula gives without the correction for few seeds."""
        generator = np.random.default_rng(0)
        one, other = generator.standard_normal((2, 3, 40)) + np.array([-0.3, 0, 0.3])[:, None]
        result = difference(of_tracks(one), of_tracks(other))
        runs = [value.mean(axis=1).var(ddof=1) / 3 for value in (one, other)]
        tracks = (one - other).mean(axis=0).var(ddof=1) / 40
        plain = (tracks + sum(runs)) ** 2 / (tracks**2 / 39 + sum(run**2 for run in runs) / 2)
        assert 2 < figures(result)[4] < plain

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_two_that_are_always_correct_or_always_wrong_may_differ_on_other_tracks(self, share: float) -> None:
        result = difference(*(of_tracks(np.full((3, 30), share)) for _ in range(2)))  # type: ignore[arg-type]
        effect, low, high, p, _, _ = figures(result)
        assert (effect, p) == (0, 1)
        assert -low == high
        assert 0.05 < high < 0.15

    def test_if_runs_never_vary_the_error_is_unknown(self) -> None:
        assert figures(difference(of_runs([0, 0, 0]), of_runs([0, 0, 0])))[:4] == [0, 0, 0, 1]
        assert difference(of_runs([1, 1, 1]), of_runs([0, 0, 0])) == Difference(1.0)

    def test_with_one_seed_or_one_artist_only_the_effect_is_known(self) -> None:
        generator = np.random.default_rng(0)
        one, many = of_tracks(drawn(generator, 1)), of_tracks(drawn(generator, 5))
        assert difference(one, many) == Difference(one.seed_means.mean() - many.seed_means.mean())
        same = [of_tracks(drawn(generator, 5, 8), size=8) for _ in range(2)]
        assert difference(same[0], same[1]).p is None
        for first, second in ((same[0], many), (many, same[0])):
            result = independent_difference(first, second)
            assert result == Difference(result.effect)
            assert result.effect == pytest.approx(first.seed_means.mean() - second.seed_means.mean())

    def test_there_are_at_least_as_many_degrees_of_freedom_as_the_smallest_term_has(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(200):
            result = difference(of_tracks(drawn(generator, 2, 10)), of_tracks(drawn(generator, 2, 10)))
            assert result.df is not None
            assert result.df >= 1

    def test_different_tracks_are_an_error(self) -> None:
        with pytest.raises(UsageError, match=r"same tracks .* got 60 and 59 tracks"):
            difference(of_tracks(np.ones((3, 60))), of_tracks(np.ones((3, 59))))
        with pytest.raises(UsageError, match=r"same tracks .* got 60 and 60 tracks"):
            difference(of_tracks(np.ones((3, 60))), of_tracks(np.ones((3, 60)), size=2))


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        pytest.param(np.ones((3, 4)), 3, r"seeds x 3 tracks, got \(3, 4\)", id="tracks"),
        pytest.param(np.ones(3), 3, r"seeds x 3 tracks, got \(3,\)", id="one dimension"),
        pytest.param(np.ones((0, 3)), 3, r"seeds x 3 tracks, got \(0, 3\)", id="no seeds"),
        pytest.param(np.array([[1.0, np.nan]]), 2, "must be finite, got nan", id="nan"),
        pytest.param(np.array([[1.0, np.inf]]), 2, "must be finite, got inf", id="infinite"),
    ],
)
def test_a_sample_with_a_wrong_shape_or_without_finite_values_is_an_error(
    values: Floats, names: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Sample(values, ("artist",) * names)


class TestMatchedDifference:
    """Several pairs of configurations."""

    def test_for_one_pair_it_is_the_difference(self) -> None:
        generator = np.random.default_rng(0)
        one, other = (of_tracks(drawn(generator, 3)) for _ in range(2))
        assert matched_difference([(one, other)], by=0.1) == difference(one, other, by=0.1)
        assert figures(matched_difference([(one, other)] * 3)) == pytest.approx(figures(difference(one, other)))

    def test_the_variances_of_all_runs_add_up(self) -> None:
        samples = [of_runs(values) for values in np.random.default_rng(0).standard_normal((6, 5))]
        result = matched_difference(list(zip(samples[::2], samples[1::2], strict=True)))
        variances = [sample.seed_means.var(ddof=1) / 5 for sample in samples]
        assert result.error == pytest.approx(math.sqrt(sum(variances)) / 3)
        means = [sample.seed_means.mean() for sample in samples]
        assert result.effect == pytest.approx((sum(means[::2]) - sum(means[1::2])) / 3)

    def test_a_sample_that_all_pairs_share_counts_as_one(self) -> None:
        base, *samples = (of_runs(values) for values in np.random.default_rng(0).standard_normal((4, 5)))
        result = matched_difference([(sample, base) for sample in samples])
        variances = [sample.seed_means.var(ddof=1) / 5 for sample in samples]
        assert figures(result)[5] ** 2 == pytest.approx(sum(variances) / 9 + base.seed_means.var(ddof=1) / 5)

    def test_opposite_effects_of_tracks_cancel_out(self) -> None:
        """Each track has one effect in the first pair and the opposite effect in the second."""
        generator = np.random.default_rng(0)
        track_effect = generator.standard_normal(60)
        samples = [
            of_tracks(drawn(generator, 5, run_sd=0, rest_sd=0.1) + sign * track_effect) for sign in (1, -1, -1, 1)
        ]
        alone = figures(difference(samples[0], samples[1]))[5]
        assert figures(matched_difference([(samples[0], samples[1]), (samples[2], samples[3])]))[5] < 0.1 * alone


class TestSeedMean:
    """One configuration."""

    def test_for_a_statistic_of_whole_runs_it_is_student_s_interval(self) -> None:
        values = np.random.default_rng(0).standard_normal(5)
        low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
        interval = seed_mean(of_runs(values))
        assert [interval.value, interval.low, interval.high] == pytest.approx([values.mean(), low, high])

    def test_for_one_seed_it_is_student_s_interval_over_tracks(self) -> None:
        values = np.random.default_rng(0).standard_normal((1, 40))
        low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values[0]))
        interval = seed_mean(of_tracks(values))
        assert [interval.low, interval.high] == pytest.approx([low, high])

    def test_for_one_value_it_is_the_value(self) -> None:
        assert seed_mean(of_runs([0.4])) == Interval(0.4, 0.4, 0.4)

    @pytest.mark.parametrize("seeds", [1, 5])
    def test_with_one_artist_the_interval_contains_all_values(self, seeds: int) -> None:
        values = np.full((seeds, 8), 0.5)
        assert seed_mean(of_tracks(values, size=8), share=True) == Interval(0.5, 0, 1)
        assert seed_mean(of_tracks(values, size=8)) == Interval(0.5, -np.inf, np.inf)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_a_share_of_0_or_1_has_the_wilson_interval_of_the_number_of_artists(self, share: float) -> None:
        values = np.full((3, 20), share)
        assert seed_mean(of_tracks(values, size=2), share=True) == wilson(round(10 * share), 10)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_a_share_of_whole_runs_is_not_a_success_or_failure_of_a_seed(self, share: float) -> None:
        """A share of 1 over 443 training tracks for three seeds is more than three successes in three trials."""
        assert seed_mean(of_runs([share] * 3), share=True) == Interval(share, share, share)

    def test_a_share_stays_between_0_and_1(self) -> None:
        values = np.zeros((3, 20))
        values[0, 0] = 1
        assert seed_mean(of_tracks(values), share=True).low == 0
        assert seed_mean(of_tracks(1 - values), share=True).high == 1
        assert seed_mean(of_tracks(values)).low < 0

    def test_it_contains_the_true_mean_in_about_95_percent_of_draws(self) -> None:
        generator = np.random.default_rng(0)
        covered = 0
        for _ in range(1_000):
            difficulty = np.repeat(generator.standard_normal(20), 3)
            interval = seed_mean(of_tracks(drawn(generator, 5, 60) + difficulty, size=3))
            covered += interval.low <= 0 <= interval.high
        assert 930 <= covered <= 970


class TestHolm:
    """Correction for several tests."""

    def test_it_is_the_step_down_version_of_bonferroni_s(self) -> None:
        assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])

    def test_the_order_does_not_matter_and_none_does_not_count(self) -> None:
        assert holm([None, 0.03, None, 0.01, 0.5]) == [None, pytest.approx(0.06), None, pytest.approx(0.03), 0.5]
        assert holm([0.2]) == [0.2]
        assert holm([None]) == [None]
        assert holm([]) == []

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_it_lies_between_p_and_bonferroni_s_and_keeps_the_order(self, p_values: list[float]) -> None:
        adjusted = [value for value in holm(p_values) if value is not None]
        for p, value in zip(p_values, adjusted, strict=True):
            assert p <= value <= min(1.0, len(p_values) * p) + 1e-12
        order = np.argsort(p_values, kind="stable")
        assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


class TestIndistinguishable:
    """The model confidence set."""

    def test_a_clearly_best_sample_is_alone_in_the_set(self) -> None:
        generator = np.random.default_rng(0)
        samples = {name: of_tracks(drawn(generator, 5) + level) for name, level in zip("abc", (0, 5, 0), strict=True)}
        assert indistinguishable(samples) == ("b",)
        samples["d"] = of_tracks(drawn(generator, 5) + 5)
        assert indistinguishable(samples) == ("b", "d")

    def test_for_two_samples_it_is_the_test_of_their_difference(self) -> None:
        generator = np.random.default_rng(0)
        agree = 0
        for _ in range(60):
            one, other = (of_tracks(drawn(generator, 5) + level) for level in (0.0, 0.5))
            p = figures(difference(one, other))[3]
            if not 0.045 < p < 0.055:  # the level is estimated from draws
                assert (len(indistinguishable({"one": one, "other": other})) == 1) == (p < 0.05)
                agree += 1
        assert agree > 50

    @settings(deadline=None)
    @given(st.integers(0, 1_000))
    def test_the_highest_mean_is_always_in_it(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        samples = {name: of_tracks(drawn(generator, 3, 20) + generator.normal(0, 1)) for name in "abcde"}
        best = max(samples, key=lambda name: samples[name].seed_means.mean())
        assert best in indistinguishable(samples)

    def test_more_samples_need_a_larger_difference(self) -> None:
        """A difference that is significant between two samples is not significant among twelve."""
        generator = np.random.default_rng(7)
        samples = {str(number): of_tracks(drawn(generator, 5)) for number in range(12)}
        assert min(figures(difference(*pair))[3] for pair in combinations(samples.values(), 2)) < 0.05
        assert len(indistinguishable(samples)) == 12

    def test_the_same_samples_have_the_same_set_in_the_mapping_s_order(self) -> None:
        generator = np.random.default_rng(1)
        samples = {
            name: of_tracks(drawn(generator, 3) + level) for name, level in zip("dbca", (0, 3, 3, 0), strict=True)
        }
        assert indistinguishable(samples) == indistinguishable(dict(samples)) == ("b", "c")

    def test_with_one_seed_tracks_alone_decide(self) -> None:
        generator = np.random.default_rng(0)
        samples = {name: of_tracks(drawn(generator, 1) + level) for name, level in zip("abc", (0, 0, 5), strict=True)}
        assert indistinguishable(samples) == ("c",)

    def test_with_one_value_each_nothing_is_significant(self) -> None:
        assert indistinguishable({"a": of_runs([0.1]), "b": of_runs([0.9])}) == ("a", "b")

    def test_equal_values_are_indistinguishable(self) -> None:
        values = (np.random.default_rng(0).random((3, 40)) < 0.5).astype(float)
        assert indistinguishable({"a": of_tracks(values), "b": of_tracks(values.copy())}) == ("a", "b")

    def test_one_sample_is_the_set_and_none_is_the_empty_set(self) -> None:
        assert indistinguishable({}) == ()
        assert indistinguishable({"a": of_runs([1, 2])}) == ("a",)


class TestDetectableDifference:
    """The power of a plan."""

    @pytest.mark.parametrize("seeds", [3, 5, 20])
    def test_a_test_with_these_degrees_of_freedom_has_a_power_of_0_8(self, seeds: int) -> None:
        result = detectable_difference(seeds, 1, run_sd=1.0)
        df, noncentrality = 2 * (seeds - 1), result / math.sqrt(2 / seeds)
        assert stats.nct.sf(stats.t.ppf(0.975, df), df, noncentrality) == pytest.approx(0.8, abs=0.03)

    def test_difference_has_a_power_of_0_8(self) -> None:
        generator = np.random.default_rng(0)
        gain = detectable_difference(5, 60, run_sd=0.2, track_sd=0.7)
        seed_sd, hits = math.sqrt(0.2**2 - 0.5**2 / 60), 0
        for _ in range(1_000):
            track_effect = gain + 0.7 * generator.standard_normal(60)
            one, other = (of_tracks(drawn(generator, 5, 60, seed_sd, 0.5) + effect) for effect in (track_effect, 0.0))
            hits += figures(difference(one, other))[1] > 0
        assert 0.74 < hits / 1_000 < 0.86

    def test_more_seeds_and_more_artists_detect_smaller_differences(self) -> None:
        few, more, most = (detectable_difference(seeds, 90) for seeds in (2, 3, 5))
        assert few > more > most > detectable_difference(5, 900) > 0
        assert detectable_difference(1, 90) == math.inf
        assert detectable_difference(5, 90, run_sd=0.0, track_sd=0.0) == 0

    def test_the_spread_of_samples_is_measured(self) -> None:
        generator = np.random.default_rng(0)
        samples = [
            of_tracks(drawn(generator, 40, 400, 0.3, 1.0) + 0.5 * generator.standard_normal(400)) for _ in range(4)
        ]
        result = spread(samples)
        assert result.run_sd == pytest.approx(math.hypot(0.3, 1 / 20), rel=0.15)
        assert result.track_sd == pytest.approx(0.5 * math.sqrt(2), rel=0.1)

    def test_without_measurements_the_spread_has_its_defaults(self) -> None:
        assert spread([]) == spread([of_tracks(np.ones((1, 4)))]) == Spread(RUN_SD, TRACK_SD)
