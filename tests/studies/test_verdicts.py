"""Hypotheses are judged by their differences."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.metrics.comparison import Difference
from genrekit.metrics.intervals import Interval
from genrekit.studies.verdicts import MARGINS, ComparisonResult, Judgement, is_trained, judge

UP = Difference(0.10, 0.06, 0.14, 0.0001)
DOWN = Difference(-0.10, -0.14, -0.06, 0.0001)
BARELY_UP = Difference(0.04, 0.001, 0.079, 0.045)
BARELY_DOWN = Difference(-0.04, -0.079, -0.001, 0.045)
NOWHERE = Difference(0.01, -0.04, 0.06, 0.7)
SMALL = Difference(0.005, -0.01, 0.02, 0.5)
SMALL_BUT_SURE = Difference(0.01, 0.005, 0.015, 0.0002)
SMALL_AND_BARELY_UP = Difference(0.01, 0.0001, 0.0199, 0.048)
UNKNOWN = Difference(0.2)


def result(difference: Difference, **changes: Any) -> ComparisonResult:
    return ComparisonResult(difference, MARGINS["accuracy"], **changes)


def verdict(*differences: Difference) -> str:
    """Return the verdict on the only hypothesis of a study."""
    (judgement,) = judge([[result(difference) for difference in differences]])
    return judgement.verdict


@pytest.mark.parametrize(("by", "expected"), [(0.0, "equivalent"), (-0.03, "undecided"), (0.03, "undecided")])
def test_equivalence_is_between_configurations_and_ignores_the_bound(by: float, expected: str) -> None:
    """A difference near a bound of 0.03 is about 0.03, so the configurations are not equivalent."""
    (judgement,) = judge([[ComparisonResult(SMALL, MARGINS["accuracy"], by=by)]])
    assert judgement.verdict == expected


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        pytest.param([UP], "upheld", id="above zero"),
        pytest.param([BARELY_UP], "upheld", id="barely above zero"),
        pytest.param([DOWN], "refuted", id="below zero"),
        pytest.param([NOWHERE], "undecided", id="either side, far"),
        pytest.param([SMALL], "equivalent", id="either side, near"),
        pytest.param([SMALL_BUT_SURE], "upheld", id="above zero, near"),
        pytest.param([UP, BARELY_UP], "upheld", id="both above zero, without correction"),
        pytest.param([UP, DOWN], "refuted", id="one below zero"),
        pytest.param([NOWHERE, DOWN], "refuted", id="one below zero, one undecided"),
        pytest.param([UP, BARELY_DOWN], "undecided", id="one of two barely below zero: there were two chances"),
        pytest.param([UP, NOWHERE], "undecided", id="one undecided"),
        pytest.param([UP, SMALL], "equivalent", id="one equivalent"),
        pytest.param([SMALL, SMALL], "equivalent", id="both equivalent"),
        pytest.param([SMALL, NOWHERE], "undecided", id="one equivalent, one undecided"),
        pytest.param([UNKNOWN], "not tested", id="no interval"),
        pytest.param([UP, UNKNOWN], "not tested", id="one without interval"),
        pytest.param([DOWN, UNKNOWN], "not tested", id="one below zero, one without interval"),
    ],
)
def test_the_verdict_follows_from_the_intervals(differences: list[Difference], expected: str) -> None:
    assert verdict(*differences) == expected


def test_an_untested_or_untrained_comparison_prevents_a_verdict() -> None:
    hypotheses = [
        [result(UP, tested=False)],
        [result(UP, favoured_trained=False)],
        [result(DOWN, favoured_trained=False), result(UP)],
        [result(UP, favoured_trained=False), result(UP, tested=False)],
    ]
    judgements = judge(hypotheses)
    assert [judgement.verdict for judgement in judgements] == ["not tested", "not trained", "not trained", "not tested"]
    assert all(judgement.p is None for judgement in judgements)


def test_p_values_are_corrected_for_the_number_of_planned_hypotheses() -> None:
    """Untested hypotheses count; otherwise a verdict would change when more configurations are trained."""
    lone = judge([[result(BARELY_UP)], [result(UP, tested=False)], [result(UP, favoured_trained=False)]])
    assert lone[0].verdict == "undecided"
    assert [judgement.p for judgement in lone] == [pytest.approx(3 * 0.045), None, None]
    judgements = judge([[result(BARELY_UP)], [result(NOWHERE)], [result(UP)]])
    assert [judgement.verdict for judgement in judgements] == ["undecided", "undecided", "upheld"]
    assert [judgement.p for judgement in judgements] == pytest.approx([0.09, 0.7, 0.0003])


def test_a_difference_that_is_not_significant_after_correction_may_be_equivalent() -> None:
    judgements = judge([[result(SMALL_AND_BARELY_UP)], [result(NOWHERE)]])
    assert [judgement.verdict for judgement in judgements] == ["equivalent", "undecided"]


def test_the_effect_is_that_of_the_least_certain_difference() -> None:
    (judgement,) = judge([[result(UP), result(BARELY_UP), result(SMALL_BUT_SURE)]], at="best")
    assert judgement == Judgement("best", "upheld", BARELY_UP.effect, BARELY_UP.low, BARELY_UP.high, 0.045)
    (judgement,) = judge([[result(UP), result(NOWHERE), result(BARELY_DOWN), result(DOWN)]])
    assert (judgement.verdict, judgement.effect, judgement.low) == ("refuted", DOWN.effect, DOWN.low)
    (judgement,) = judge([[result(UP), result(UNKNOWN)]])
    assert judgement == Judgement("last", "not tested", 0.2, None, None, None)


def test_a_negative_difference_is_shown_rather_than_one_of_unknown_noise() -> None:
    (judgement,) = judge([[result(UNKNOWN), result(Difference(-0.025, -0.08, 0.03, 0.4))]])
    assert (judgement.verdict, judgement.effect) == ("not tested", -0.025)
    (judgement,) = judge([[result(Difference(float("nan"))), result(DOWN)]])
    assert math.isnan(judgement.effect or 0.0)  # a missing difference leaves the hypothesis without an effect
    (judgement,) = judge([[result(UNKNOWN), result(Difference(0.1))]])
    assert judgement.effect == 0.1


def test_p_is_multiplied_to_refute_and_not_to_uphold() -> None:
    up, down = judge([[result(UP), result(BARELY_UP)]]), judge([[result(UP), result(BARELY_DOWN)]])
    assert (up[0].p, down[0].p) == (0.045, 0.09)


def test_a_margin_has_the_unit_of_its_statistic() -> None:
    nats = Difference(0.02, -0.05, 0.09, 0.6)
    assert [
        judgement.verdict
        for judgement in judge(
            [[ComparisonResult(nats, MARGINS["loss"])], [ComparisonResult(nats, MARGINS["accuracy"])]]
        )
    ] == [
        "equivalent",
        "undecided",
    ]


def test_no_hypotheses_have_no_judgements() -> None:
    assert judge([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=4))
def test_a_hypothesis_and_its_opposite_have_opposite_verdicts(p_values: list[float]) -> None:
    """A hypothesis of one difference and its opposite have opposite verdicts and the same p."""
    opposite = {"upheld": "refuted", "refuted": "upheld"}
    signs = [1 if place % 2 else -1 for place in range(len(p_values))]

    def hypotheses(turn: int) -> list[list[ComparisonResult]]:
        differences = []
        for sign, p in zip(signs, p_values, strict=True):
            effect, half = sign * turn * 0.1, 0.09 if p < 0.05 else 0.11
            differences.append(Difference(effect, effect - half, effect + half, p))
        return [[result(difference)] for difference in differences]

    there, back = judge(hypotheses(1)), judge(hypotheses(-1))
    assert [opposite.get(judgement.verdict, judgement.verdict) for judgement in there] == [r.verdict for r in back]
    assert [judgement.p for judgement in there] == [judgement.p for judgement in back]


def test_a_hypothesis_of_several_zero_differences_is_decided_in_at_most_5_percent() -> None:
    generator = np.random.default_rng(0)
    decided = 0
    for _ in range(1_000):
        results = []
        for z in generator.standard_normal(3):
            p = 2 * NormalDist().cdf(-abs(z))
            results.append(result(Difference(float(z), float(z) - 1.96, float(z) + 1.96, p)))
        decided += judge([results])[0].verdict in ("upheld", "refuted")
    assert decided < 60


@pytest.mark.parametrize(
    ("interval", "trained"),
    [
        pytest.param(Interval(0.3, 0.2, 0.4), True, id="above"),
        pytest.param(Interval(0.15, 0.09, 0.21), False, id="chance within"),
        pytest.param(Interval(0.15, 0.1, 0.2), False, id="chance at its end"),
        pytest.param(Interval(0.05, 0.03, 0.07), False, id="below"),
    ],
)
def test_a_model_is_trained_if_its_interval_is_above_chance(interval: Interval, trained: bool) -> None:
    assert is_trained(interval, 0.1) is trained
