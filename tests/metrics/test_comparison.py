"""Differences are as unsure as seeds and tracks make them."""

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
    """A figure that belongs to the run alone."""
    return Sample(np.reshape(np.asarray(values, dtype=float), (-1, 1)), ("run",))


def of_tracks(values: Floats, size: int = 1) -> Sample:
    """Values [S, T]; each artist has `size` tracks."""
    return Sample(values, tuple(f"artist {track // size}" for track in range(values.shape[1])))


def drawn(
    generator: np.random.Generator, seeds: int, tracks: int = 60, run_sd: float = 0.3, rest_sd: float = 1.0
) -> Floats:
    """Values without lasting differences between tracks."""
    luck = run_sd * generator.standard_normal((seeds, 1))
    return luck + rest_sd * generator.standard_normal((seeds, tracks))


def figures(found: Difference) -> list[float]:
    """All figures of a difference; they must be there."""
    values = (found.effect, found.low, found.high, found.p, found.df, found.error)
    assert None not in values
    return [value for value in values if value is not None]


class TestDifference:
    """Two configurations."""

    @pytest.mark.parametrize(("first", "second"), [(5, 5), (3, 5), (2, 9), (3, 3)])
    def test_of_a_figure_of_the_run_it_is_welch_s_test(self, first: int, second: int) -> None:
        generator = np.random.default_rng(first * second)
        one, other = generator.normal(1, 1, first), generator.normal(0, 3, second)
        expected = stats.ttest_ind(one, other, equal_var=False)
        interval = expected.confidence_interval()
        found = difference(of_runs(one), of_runs(other))
        assert [found.effect, found.low, found.high, found.p, found.df] == pytest.approx(
            [one.mean() - other.mean(), interval.low, interval.high, expected.pvalue, expected.df]
        )

    def test_without_luck_of_seeds_it_is_the_paired_test_over_tracks(self) -> None:
        one, other = np.random.default_rng(0).normal(0, 1, (2, 40))
        expected = stats.ttest_rel(one, other)
        interval = expected.confidence_interval()
        found = difference(of_tracks(np.tile(one, (3, 1))), of_tracks(np.tile(other, (3, 1))))
        assert [found.low, found.high, found.p, found.df] == pytest.approx(
            [interval.low, interval.high, expected.pvalue, 39]
        )

    def test_without_luck_of_seeds_artists_with_as_many_tracks_are_the_units(self) -> None:
        one, other = np.random.default_rng(0).normal(0, 1, (2, 40))
        expected = stats.ttest_rel(one.reshape(10, 4).mean(axis=1), other.reshape(10, 4).mean(axis=1))
        found = difference(of_tracks(np.tile(one, (3, 1)), size=4), of_tracks(np.tile(other, (3, 1)), size=4))
        assert [found.p, found.df] == pytest.approx([expected.pvalue, 9])

    def test_the_squared_error_is_that_of_the_two_way_analysis_of_variance(self) -> None:
        """Mean squares of runs and tracks less that of the rest, over the number of values; one arm is constant."""
        generator = np.random.default_rng(0)
        seeds, tracks = 4, 30
        values = drawn(generator, seeds, tracks) + generator.standard_normal(tracks)
        by_track, by_seed = values.mean(axis=0), values.mean(axis=1)
        rest = values - by_track - by_seed[:, None] + values.mean()
        squares = (
            seeds * by_track.var(ddof=1) + tracks * by_seed.var(ddof=1) - (rest**2).sum() / (seeds - 1) / (tracks - 1)
        )
        found = difference(of_tracks(values), of_tracks(np.zeros((seeds, tracks))))
        assert found.error == pytest.approx(math.sqrt(squares / seeds / tracks))

    @pytest.mark.parametrize(("run_sd", "track_sd"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.5), (0.3, 0.5)])
    def test_the_squared_error_is_the_variance_of_the_effect(self, run_sd: float, track_sd: float) -> None:
        """Whichever of runs, tracks and the rest there is; where the rest is all, it must not count twice."""
        generator = np.random.default_rng(0)
        effects, squares = [], []
        for _ in range(600):
            lasting = track_sd * generator.standard_normal(60)
            one, other = (of_tracks(drawn(generator, 5, run_sd=run_sd) + sign * lasting / 2) for sign in (1, -1))
            found = difference(one, other)
            effects.append(found.effect)
            squares.append(figures(found)[5] ** 2)
        ratio = np.mean(squares) / np.var(effects)
        assert 0.85 < ratio < 1.5  # never less than either part, so a little too large; counted twice, the rest makes 2

    def test_the_error_is_no_less_than_that_of_runs_or_of_tracks_alone(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(200):
            values = generator.standard_normal((2, 3, 6))
            found = difference(of_tracks(values[0]), of_tracks(values[1]))
            runs = (values.mean(axis=2).var(axis=1, ddof=1) / 3).sum()
            tracks = (values[0] - values[1]).mean(axis=0).var(ddof=1) / 6
            assert figures(found)[5] ** 2 >= max(runs, tracks) - 1e-12

    @settings(deadline=None)
    @given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 5))
    @example(6_387, 2, 2)  # runs so alike that their few degrees of freedom give an interval of 1e10
    def test_the_other_way_round_it_is_the_opposite(self, seed: int, first: int, second: int) -> None:
        generator = np.random.default_rng(seed)
        one, other = (of_tracks(drawn(generator, seeds, 12), size=3) for seeds in (first, second))
        there, back = difference(one, other), difference(other, one)
        effect, low, high, *rest = figures(there)
        assert figures(back) == pytest.approx([-effect, -high, -low, *rest], rel=1e-9, abs=1e-12)

    @settings(deadline=None)
    @given(st.integers(0, 10_000), st.floats(-5, 5))
    def test_neither_order_nor_a_common_constant_matters(self, seed: int, constant: float) -> None:
        generator = np.random.default_rng(seed)
        values = [drawn(generator, seeds, 12) for seeds in (3, 5)]
        order, clusters = generator.permutation(12), [f"artist {track // 3}" for track in range(12)]
        plain = difference(*(Sample(value, tuple(clusters)) for value in values))  # type: ignore[arg-type]
        moved = [value[generator.permutation(len(value))][:, order] + constant for value in values]
        again = difference(*(Sample(value, tuple(clusters[place] for place in order)) for value in moved))  # type: ignore[arg-type]
        assert figures(again) == pytest.approx(figures(plain), rel=1e-6, abs=1e-9)

    @settings(deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_interval_is_on_one_side_of_zero_where_p_is_below_5_percent(self, seed: int) -> None:
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

    def test_artists_whose_tracks_agree_leave_a_wider_interval(self) -> None:
        generator = np.random.default_rng(0)
        lasting = np.repeat(generator.standard_normal(20), 4)
        values = [drawn(generator, 5, 80, 0.0, 0.1) + lasting * sign for sign in (1, -1)]
        together, apart = (difference(*(of_tracks(value, size) for value in values)) for size in (4, 1))  # type: ignore[arg-type]
        assert figures(together)[5] / figures(apart)[5] == pytest.approx(2, rel=0.1)

    def test_few_seeds_are_counted_with_few_degrees_of_freedom(self) -> None:
        """Fewer than Satterthwaite's formula gives with the variances as they are."""
        generator = np.random.default_rng(0)
        one, other = generator.standard_normal((2, 3, 40)) + np.array([-0.3, 0, 0.3])[:, None]
        found = difference(of_tracks(one), of_tracks(other))
        runs = [value.mean(axis=1).var(ddof=1) / 3 for value in (one, other)]
        tracks = (one - other).mean(axis=0).var(ddof=1) / 40
        plain = (tracks + sum(runs)) ** 2 / (tracks**2 / 39 + sum(run**2 for run in runs) / 2)
        assert 2 < figures(found)[4] < plain

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_two_that_are_always_right_or_wrong_may_differ_elsewhere(self, share: float) -> None:
        found = difference(*(of_tracks(np.full((3, 30), share)) for _ in range(2)))  # type: ignore[arg-type]
        effect, low, high, p, _, _ = figures(found)
        assert (effect, p) == (0, 1)
        assert -low == high
        assert 0.05 < high < 0.15

    def test_the_noise_of_figures_of_runs_that_never_change_is_not_known(self) -> None:
        assert figures(difference(of_runs([0, 0, 0]), of_runs([0, 0, 0])))[:4] == [0, 0, 0, 1]
        assert difference(of_runs([1, 1, 1]), of_runs([0, 0, 0])) == Difference(1.0)

    def test_of_one_seed_or_one_artist_only_the_effect_is_known(self) -> None:
        generator = np.random.default_rng(0)
        one, many = of_tracks(drawn(generator, 1)), of_tracks(drawn(generator, 5))
        assert difference(one, many) == Difference(one.seed_means.mean() - many.seed_means.mean())
        same = [of_tracks(drawn(generator, 5, 8), size=8) for _ in range(2)]
        assert difference(same[0], same[1]).p is None
        for first, second in ((same[0], many), (many, same[0])):
            found = independent_difference(first, second)
            assert found == Difference(found.effect)
            assert found.effect == pytest.approx(first.seed_means.mean() - second.seed_means.mean())

    def test_there_are_never_fewer_degrees_of_freedom_than_of_the_part_that_has_the_fewest(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(200):
            found = difference(of_tracks(drawn(generator, 2, 10)), of_tracks(drawn(generator, 2, 10)))
            assert found.df is not None
            assert found.df >= 1

    def test_other_tracks_are_refused(self) -> None:
        with pytest.raises(UsageError, match="60 and 59 tracks are not the same"):
            difference(of_tracks(np.ones((3, 60))), of_tracks(np.ones((3, 59))))
        with pytest.raises(UsageError, match="60 and 60 tracks are not the same"):
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
def test_a_sample_of_another_shape_or_without_numbers_is_refused(values: Floats, names: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sample(values, ("artist",) * names)


class TestMatchedDifference:
    """Several pairs of configurations."""

    def test_of_one_pair_it_is_the_difference(self) -> None:
        generator = np.random.default_rng(0)
        one, other = (of_tracks(drawn(generator, 3)) for _ in range(2))
        assert matched_difference([(one, other)], by=0.1) == difference(one, other, by=0.1)
        assert figures(matched_difference([(one, other)] * 3)) == pytest.approx(figures(difference(one, other)))

    def test_runs_of_all_pairs_add_up(self) -> None:
        arms = [of_runs(values) for values in np.random.default_rng(0).standard_normal((6, 5))]
        found = matched_difference(list(zip(arms[::2], arms[1::2], strict=True)))
        variances = [arm.seed_means.var(ddof=1) / 5 for arm in arms]
        assert found.error == pytest.approx(math.sqrt(sum(variances)) / 3)
        means = [arm.seed_means.mean() for arm in arms]
        assert found.effect == pytest.approx((sum(means[::2]) - sum(means[1::2])) / 3)

    def test_one_that_all_pairs_share_is_no_new_run_in_each(self) -> None:
        base, *arms = (of_runs(values) for values in np.random.default_rng(0).standard_normal((4, 5)))
        found = matched_difference([(arm, base) for arm in arms])
        variances = [arm.seed_means.var(ddof=1) / 5 for arm in arms]
        assert figures(found)[5] ** 2 == pytest.approx(sum(variances) / 9 + base.seed_means.var(ddof=1) / 5)

    def test_pairs_that_disagree_on_tracks_even_out(self) -> None:
        """What a track is to one pair it is, the other way, to the second: nothing lasting is left of it."""
        generator = np.random.default_rng(0)
        lasting = generator.standard_normal(60)
        arms = [of_tracks(drawn(generator, 5, run_sd=0, rest_sd=0.1) + sign * lasting) for sign in (1, -1, -1, 1)]
        alone = figures(difference(arms[0], arms[1]))[5]
        assert figures(matched_difference([(arms[0], arms[1]), (arms[2], arms[3])]))[5] < 0.1 * alone


class TestSeedMean:
    """One configuration."""

    def test_of_a_figure_of_the_run_it_is_student_s_interval(self) -> None:
        values = np.random.default_rng(0).standard_normal(5)
        low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
        interval = seed_mean(of_runs(values))
        assert [interval.value, interval.low, interval.high] == pytest.approx([values.mean(), low, high])

    def test_of_one_seed_it_is_student_s_interval_over_tracks(self) -> None:
        values = np.random.default_rng(0).standard_normal((1, 40))
        low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values[0]))
        interval = seed_mean(of_tracks(values))
        assert [interval.low, interval.high] == pytest.approx([low, high])

    def test_of_one_value_it_is_the_value(self) -> None:
        assert seed_mean(of_runs([0.4])) == Interval(0.4, 0.4, 0.4)

    @pytest.mark.parametrize("seeds", [1, 5])
    def test_tracks_of_one_artist_say_nothing_of_others(self, seeds: int) -> None:
        values = np.full((seeds, 8), 0.5)
        assert seed_mean(of_tracks(values, size=8), share=True) == Interval(0.5, 0, 1)
        assert seed_mean(of_tracks(values, size=8)) == Interval(0.5, -np.inf, np.inf)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_none_or_all_of_few_is_not_none_or_all_of_many(self, share: float) -> None:
        values = np.full((3, 20), share)
        assert seed_mean(of_tracks(values, size=2), share=True) == wilson(round(10 * share), 10)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_a_run_s_own_share_is_no_yes_or_no_of_a_seed(self, share: float) -> None:
        """All of 443 training tracks with each of three seeds are more than three successes of three."""
        assert seed_mean(of_runs([share] * 3), share=True) == Interval(share, share, share)

    def test_a_share_stays_between_0_and_1(self) -> None:
        values = np.zeros((3, 20))
        values[0, 0] = 1
        assert seed_mean(of_tracks(values), share=True).low == 0
        assert seed_mean(of_tracks(1 - values), share=True).high == 1
        assert seed_mean(of_tracks(values)).low < 0

    def test_it_holds_the_mean_over_all_seeds_and_tracks_about_95_times_of_100(self) -> None:
        generator = np.random.default_rng(0)
        holds = 0
        for _ in range(1_000):
            hard = np.repeat(generator.standard_normal(20), 3)
            interval = seed_mean(of_tracks(drawn(generator, 5, 60) + hard, size=3))
            holds += interval.low <= 0 <= interval.high
        assert 930 <= holds <= 970


class TestHolm:
    """Correction for several tests."""

    def test_it_is_the_step_down_of_bonferroni_s(self) -> None:
        assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])

    def test_order_does_not_matter_and_what_is_not_tested_does_not_count(self) -> None:
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
    """The set of those that may be the best."""

    def test_a_clear_best_stands_alone_and_a_clear_worst_leaves(self) -> None:
        generator = np.random.default_rng(0)
        arms = {name: of_tracks(drawn(generator, 5) + level) for name, level in zip("abc", (0, 5, 0), strict=True)}
        assert indistinguishable(arms) == ("b",)
        arms["d"] = of_tracks(drawn(generator, 5) + 5)
        assert indistinguishable(arms) == ("b", "d")

    def test_of_two_it_is_the_test_of_their_difference(self) -> None:
        generator = np.random.default_rng(0)
        agree = 0
        for _ in range(60):
            one, other = (of_tracks(drawn(generator, 5) + level) for level in (0.0, 0.5))
            p = figures(difference(one, other))[3]
            if not 0.045 < p < 0.055:  # the level is drawn
                assert (len(indistinguishable({"one": one, "other": other})) == 1) == (p < 0.05)
                agree += 1
        assert agree > 50

    @settings(deadline=None)
    @given(st.integers(0, 1_000))
    def test_the_highest_mean_is_always_in_it(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        arms = {name: of_tracks(drawn(generator, 3, 20) + generator.normal(0, 1)) for name in "abcde"}
        best = max(arms, key=lambda name: arms[name].seed_means.mean())
        assert best in indistinguishable(arms)

    def test_the_more_there_are_the_more_has_to_be_shown(self) -> None:
        """A difference that would count between two is luck among many."""
        generator = np.random.default_rng(7)
        arms = {str(number): of_tracks(drawn(generator, 5)) for number in range(12)}
        assert min(figures(difference(*pair))[3] for pair in combinations(arms.values(), 2)) < 0.05
        assert len(indistinguishable(arms)) == 12

    def test_the_same_samples_have_the_same_set_in_the_mapping_s_order(self) -> None:
        generator = np.random.default_rng(1)
        arms = {name: of_tracks(drawn(generator, 3) + level) for name, level in zip("dbca", (0, 3, 3, 0), strict=True)}
        assert indistinguishable(arms) == indistinguishable(dict(arms)) == ("b", "c")

    def test_of_one_seed_the_tracks_tell_what_they_can(self) -> None:
        generator = np.random.default_rng(0)
        arms = {name: of_tracks(drawn(generator, 1) + level) for name, level in zip("abc", (0, 0, 5), strict=True)}
        assert indistinguishable(arms) == ("c",)

    def test_of_one_value_each_nothing_can_be_told(self) -> None:
        assert indistinguishable({"a": of_runs([0.1]), "b": of_runs([0.9])}) == ("a", "b")

    def test_the_same_answers_are_indistinguishable(self) -> None:
        values = (np.random.default_rng(0).random((3, 40)) < 0.5).astype(float)
        assert indistinguishable({"a": of_tracks(values), "b": of_tracks(values.copy())}) == ("a", "b")

    def test_of_one_or_none_there_is_no_choice(self) -> None:
        assert indistinguishable({}) == ()
        assert indistinguishable({"a": of_runs([1, 2])}) == ("a",)


class TestDetectableDifference:
    """What a plan can find."""

    @pytest.mark.parametrize("seeds", [3, 5, 20])
    def test_a_test_with_these_degrees_of_freedom_finds_it_four_times_of_five(self, seeds: int) -> None:
        found = detectable_difference(seeds, 1, run_sd=1.0)
        df, noncentrality = 2 * (seeds - 1), found / math.sqrt(2 / seeds)
        assert stats.nct.sf(stats.t.ppf(0.975, df), df, noncentrality) == pytest.approx(0.8, abs=0.03)

    def test_difference_finds_it_four_times_of_five(self) -> None:
        generator = np.random.default_rng(0)
        gain = detectable_difference(5, 60, run_sd=0.2, track_sd=0.7)
        runs, hits = math.sqrt(0.2**2 - 0.5**2 / 60), 0
        for _ in range(1_000):
            lasting = gain + 0.7 * generator.standard_normal(60)
            one, other = (of_tracks(drawn(generator, 5, 60, runs, 0.5) + own) for own in (lasting, 0.0))
            hits += figures(difference(one, other))[1] > 0
        assert 0.74 < hits / 1_000 < 0.86

    def test_more_seeds_and_more_artists_find_less(self) -> None:
        few, more, most = (detectable_difference(seeds, 90) for seeds in (2, 3, 5))
        assert few > more > most > detectable_difference(5, 900) > 0
        assert detectable_difference(1, 90) == math.inf
        assert detectable_difference(5, 90, run_sd=0.0, track_sd=0.0) == 0

    def test_the_spread_of_samples_is_measured(self) -> None:
        generator = np.random.default_rng(0)
        arms = [of_tracks(drawn(generator, 40, 400, 0.3, 1.0) + 0.5 * generator.standard_normal(400)) for _ in range(4)]
        found = spread(arms)
        assert found.run_sd == pytest.approx(math.hypot(0.3, 1 / 20), rel=0.15)
        assert found.track_sd == pytest.approx(0.5 * math.sqrt(2), rel=0.1)

    def test_where_nothing_has_been_measured_it_is_what_is_usual(self) -> None:
        assert spread([]) == spread([of_tracks(np.ones((1, 4)))]) == Spread(RUN_SD, TRACK_SD)
