"""Claims are judged by what their differences show, and no more."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.metrics.comparison import Difference
from genrekit.metrics.intervals import Interval
from genrekit.studies.verdicts import MARGINS, Part, Reading, is_trained, judge

UP = Difference(0.10, 0.06, 0.14, 0.0001)
DOWN = Difference(-0.10, -0.14, -0.06, 0.0001)
BARELY_UP = Difference(0.04, 0.001, 0.079, 0.045)
BARELY_DOWN = Difference(-0.04, -0.079, -0.001, 0.045)
NOWHERE = Difference(0.01, -0.04, 0.06, 0.7)
SMALL = Difference(0.005, -0.01, 0.02, 0.5)
SMALL_BUT_SURE = Difference(0.01, 0.005, 0.015, 0.0002)
SMALL_AND_BARELY_UP = Difference(0.01, 0.0001, 0.0199, 0.048)
UNKNOWN = Difference(0.2)


def part(difference: Difference, **changes: Any) -> Part:
    return Part(difference, MARGINS["accuracy"], **changes)


def verdict(*differences: Difference) -> str:
    """The verdict on one claim that is alone in its study."""
    (reading,) = judge([[part(difference) for difference in differences]])
    return reading.verdict


@pytest.mark.parametrize(("by", "expected"), [(0.0, "equivalent"), (-0.03, "undecided"), (0.03, "undecided")])
def test_equivalent_are_arms_and_not_an_arm_and_a_bound(by: float, expected: str) -> None:
    """Near "by more than 0.03" is a difference of about 0.03, which is none of arms that are the same."""
    (reading,) = judge([[Part(SMALL, MARGINS["accuracy"], by=by)]])
    assert reading.verdict == expected


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


def test_what_is_not_tested_or_not_trained_is_not_judged() -> None:
    claims = [
        [part(UP, tested=False)],
        [part(UP, favoured_trained=False)],
        [part(DOWN, favoured_trained=False), part(UP)],
        [part(UP, favoured_trained=False), part(UP, tested=False)],
    ]
    readings = judge(claims)
    assert [reading.verdict for reading in readings] == ["not tested", "not trained", "not trained", "not tested"]
    assert all(reading.p is None for reading in readings)


def test_claims_are_corrected_for_the_number_that_was_declared() -> None:
    """What could not be judged counts: else a verdict would change with the arms that are trained later."""
    lone = judge([[part(BARELY_UP)], [part(UP, tested=False)], [part(UP, favoured_trained=False)]])
    assert lone[0].verdict == "undecided"
    assert [reading.p for reading in lone] == [pytest.approx(3 * 0.045), None, None]
    readings = judge([[part(BARELY_UP)], [part(NOWHERE)], [part(UP)]])
    assert [reading.verdict for reading in readings] == ["undecided", "undecided", "upheld"]
    assert [reading.p for reading in readings] == pytest.approx([0.09, 0.7, 0.0003])


def test_a_difference_that_the_correction_takes_away_may_still_be_small() -> None:
    readings = judge([[part(SMALL_AND_BARELY_UP)], [part(NOWHERE)]])
    assert [reading.verdict for reading in readings] == ["equivalent", "undecided"]


def test_the_figures_are_those_of_the_least_sure_difference() -> None:
    (reading,) = judge([[part(UP), part(BARELY_UP), part(SMALL_BUT_SURE)]], at="best")
    assert reading == Reading("best", "upheld", BARELY_UP.effect, BARELY_UP.low, BARELY_UP.high, 0.045)
    (reading,) = judge([[part(UP), part(NOWHERE), part(BARELY_DOWN), part(DOWN)]])
    assert (reading.verdict, reading.effect, reading.low) == ("refuted", DOWN.effect, DOWN.low)
    (reading,) = judge([[part(UP), part(UNKNOWN)]])
    assert reading == Reading("last", "not tested", 0.2, None, None, None)


def test_a_difference_below_zero_is_not_hidden_by_one_whose_noise_is_not_known() -> None:
    (reading,) = judge([[part(UNKNOWN), part(Difference(-0.025, -0.08, 0.03, 0.4))]])
    assert (reading.verdict, reading.effect) == ("not tested", -0.025)
    (reading,) = judge([[part(Difference(float("nan"))), part(DOWN)]])
    assert math.isnan(reading.effect or 0.0)  # what is missing leaves the claim without a figure
    (reading,) = judge([[part(UNKNOWN), part(Difference(0.1))]])
    assert reading.effect == 0.1


def test_the_chances_to_refute_are_counted_and_those_to_uphold_are_not() -> None:
    up, down = judge([[part(UP), part(BARELY_UP)]]), judge([[part(UP), part(BARELY_DOWN)]])
    assert (up[0].p, down[0].p) == (0.045, 0.09)


def test_a_margin_has_the_statistic_s_unit() -> None:
    nats = Difference(0.02, -0.05, 0.09, 0.6)
    assert [
        reading.verdict for reading in judge([[Part(nats, MARGINS["loss"])], [Part(nats, MARGINS["accuracy"])]])
    ] == [
        "equivalent",
        "undecided",
    ]


def test_no_claims_have_no_readings() -> None:
    assert judge([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=4))
def test_upholding_and_refuting_mirror_each_other(p_values: list[float]) -> None:
    """A claim of one difference and its opposite have opposite verdicts and the same p."""
    opposite = {"upheld": "refuted", "refuted": "upheld"}
    signs = [1 if place % 2 else -1 for place in range(len(p_values))]

    def claims(turn: int) -> list[list[Part]]:
        differences = []
        for sign, p in zip(signs, p_values, strict=True):
            effect, half = sign * turn * 0.1, 0.09 if p < 0.05 else 0.11
            differences.append(Difference(effect, effect - half, effect + half, p))
        return [[part(difference)] for difference in differences]

    there, back = judge(claims(1)), judge(claims(-1))
    assert [opposite.get(reading.verdict, reading.verdict) for reading in there] == [r.verdict for r in back]
    assert [reading.p for reading in there] == [reading.p for reading in back]


def test_a_claim_of_several_zero_differences_is_decided_in_5_percent_at_most() -> None:
    generator = np.random.default_rng(0)
    decided = 0
    for _ in range(1_000):
        parts = []
        for z in generator.standard_normal(3):
            p = 2 * NormalDist().cdf(-abs(z))
            parts.append(part(Difference(float(z), float(z) - 1.96, float(z) + 1.96, p)))
        decided += judge([parts])[0].verdict in ("upheld", "refuted")
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
def test_a_model_is_trained_where_it_is_above_chance(interval: Interval, trained: bool) -> None:
    assert is_trained(interval, 0.1) is trained
