"""Figures and verdicts of a study as text."""

import math
from dataclasses import replace
from typing import get_args

import pytest
from tiny_study import FINDINGS, hypothesis

from genrekit.metrics.intervals import Interval
from genrekit.studies.formatting import NONE, duration, effect, p_value, percent, points
from genrekit.studies.verdict_text import VERDICTS, effect_of_statistic, other_judgements, verdict
from genrekit.studies.verdicts import Judgement, Verdict

MINUS = "\N{MINUS SIGN}"


def judged(effect: float | None, low: float | None, high: float | None, statistic: str) -> Judgement:
    """Return a judgement with these figures."""
    return Judgement("last", "undecided", effect, low, high, None, statistic)


@pytest.mark.parametrize(
    ("statistic", "text"),
    [
        ("accuracy", f"{MINUS}4.7 points ({MINUS}7.7 to +0.3)"),
        ("training_accuracy", f"{MINUS}4.7 points ({MINUS}7.7 to +0.3)"),
        ("overfitting", f"{MINUS}4.7 points ({MINUS}7.7 to +0.3)"),
        ("loss", f"{MINUS}0.047 nats ({MINUS}0.077 to +0.003)"),
    ],
)
def test_effects_are_in_points_and_those_of_losses_in_nats(statistic: str, text: str) -> None:
    assert effect(judged(-0.047, -0.077, 0.003, statistic)) == text


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_a_missing_figure_is_a_dash(nothing: float | None) -> None:
    assert effect(judged(nothing, 0.1, 0.2, "accuracy")) == NONE
    assert p_value(nothing) == NONE
    assert percent(None if nothing is None else Interval(nothing, 0.1, 0.2)) == NONE
    assert effect(judged(0.1, nothing, 0.2, "loss")) == "+0.100 nats"


def test_an_effect_shows_the_bound_of_its_hypothesis_unless_it_is_zero() -> None:
    more = replace(judged(0.032, 0.005, 0.059, "training_accuracy"), bound=0.03)
    assert effect(more) == "+3.2 points (+0.5 to +5.9); hypothesis: above +3.0"
    less = replace(judged(-0.007, None, None, "accuracy"), bound=-0.03)
    assert effect(less) == f"{MINUS}0.7 points; hypothesis: above {MINUS}3.0"


def test_a_value_that_rounds_to_zero_has_no_minus_sign() -> None:
    assert points(Interval(-1e-9, -0.1, 0.1)) == "+0.0 (\N{MINUS SIGN}10.0 to +10.0)"


def test_the_effect_of_a_hypothesis_about_the_winner_is_an_accuracy() -> None:
    finding = replace(FINDINGS[0], statistic="winner", effect=0.35, low=0.3, high=0.4)
    assert effect_of_statistic(finding) == "35.0 % (30.0 to 40.0): the winner's accuracy at the last epoch"


def test_an_effect_names_its_statistic_and_epoch() -> None:
    finding = replace(hypothesis("x", "upheld", 0.1, "training_accuracy"), at="equal steps")
    assert effect_of_statistic(finding).endswith("of training accuracy at equal steps")
    assert [judgement.at for judgement in other_judgements(finding)] == ["last", "best"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1.0 min"), (3_600, "1.0 h"), (math.nan, NONE)]
)
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_each_verdict_has_its_own_symbol() -> None:
    assert set(VERDICTS) == set(get_args(Verdict))
    assert len({style.symbol for style in VERDICTS.values()}) == len(VERDICTS)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("refuted", "✗ refuted at 30 of 100 epochs"),
        ("undecided", "? undecided at 30 of 100 epochs"),
        ("not trained", "∅ not trained at 30 of 100 epochs"),
        ("not tested", "○ not tested"),
    ],
)
def test_a_verdict_on_shortened_runs_names_their_epochs(word: Verdict, text: str) -> None:
    assert verdict(replace(FINDINGS[0], verdict=word, epochs=30, planned_epochs=100)) == text
    assert verdict(replace(FINDINGS[0], verdict=word)) == text.partition(" at ")[0]
