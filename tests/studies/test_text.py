"""What a study found is said in words and units that a reader knows."""

import math
from dataclasses import replace
from typing import get_args

import pytest
from tiny_study import FINDINGS, bare, claim, study

from genrekit.metrics.intervals import Interval
from genrekit.studies import text as words
from genrekit.studies.evidence import Finding
from genrekit.studies.results import StudyResult
from genrekit.studies.verdicts import Reading, Verdict

MINUS = "\N{MINUS SIGN}"


def judged(effect: float | None, low: float | None, high: float | None, statistic: str) -> Reading:
    """A reading with these figures."""
    return Reading("last", "undecided", effect, low, high, None, statistic)


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
    assert words.effect(judged(-0.047, -0.077, 0.003, statistic)) == text


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_where_there_is_no_figure_there_is_a_dash(nothing: float | None) -> None:
    assert words.effect(judged(nothing, 0.1, 0.2, "accuracy")) == words.NONE
    assert words.p_value(nothing) == words.NONE
    assert words.percent(None if nothing is None else Interval(nothing, 0.1, 0.2)) == words.NONE
    assert words.effect(judged(0.1, nothing, 0.2, "loss")) == "+0.100 nats"


def test_what_is_claimed_above_more_than_zero_says_so() -> None:
    more = replace(judged(0.032, 0.005, 0.059, "training_accuracy"), bound=0.03)
    assert words.effect(more) == "+3.2 points (+0.5 to +5.9), claimed above +3.0"
    less = replace(judged(-0.007, None, None, "accuracy"), bound=-0.03)
    assert words.effect(less) == f"{MINUS}0.7 points, claimed above {MINUS}3.0"


def test_what_is_rounded_to_zero_has_no_sign_of_its_own() -> None:
    assert words.points(Interval(-1e-9, -0.1, 0.1)) == "+0.0 (\N{MINUS SIGN}10.0 to +10.0)"


def test_a_winner_has_an_accuracy_and_no_difference() -> None:
    found = replace(FINDINGS[0], statistic="winner", effect=0.35, low=0.3, high=0.4)
    assert words.declared(found) == "35.0 % (30.0 to 40.0): the winner's accuracy at the last epoch"


def test_a_ranking_has_the_figures_of_the_place_that_is_declared() -> None:
    run = replace(study().runs[0], track_accuracy={"mean": 0.3, "low": 0.2, "high": 0.4})
    last, steps = Interval(0.1, 0.0, 0.2), Interval(0.2, 0.1, 0.3)
    run = replace(run, last_accuracy=last, equal_steps_accuracy=steps)
    assert [words.accuracy_at(run, at) for at in ("last", "best", "equal steps")] == [
        last,
        Interval(0.3, 0.2, 0.4),
        steps,
    ]


def test_what_is_not_there_is_not_tested_only_where_something_is_claimed() -> None:
    assert "what is claimed" in words.in_short(replace(study(), absent=("gone",)))
    assert words.in_short(replace(study(), absent=("gone",), findings=())).endswith("No whole seed is there of gone.")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1.0 min"), (3_600, "1.0 h"), (math.nan, words.NONE)]
)
def test_times_are_rounded_to_what_a_reader_can_judge(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_each_verdict_has_words_and_a_symbol_of_its_own() -> None:
    assert set(words.VERDICTS) == set(get_args(Verdict))
    assert len({look.symbol for look in words.VERDICTS.values()}) == len(words.VERDICTS)


def test_a_finding_is_read_where_the_study_declares_it_and_the_others_stand_beside_it() -> None:
    row = words.findings(study()).rows[0]
    assert row == (
        "cel3 with momentum and cosine is above cel2 with Adam on spectrograms",
        "✓ upheld",
        "+5.2 points (+2.2 to +8.2) of accuracy at the last epoch",
        "0.031",
        "at the best epoch: undecided, +1.3 points (+2.2 to +8.2), p = 0.031; "
        "at equal steps: upheld, +5.2 points (+2.2 to +8.2), p < 0.001",
        words.NONE,
    )
    declared = replace(claim("x", "upheld", 0.1, "training_accuracy"), at="equal steps")
    assert words.declared(declared).endswith("of training accuracy at equal steps")
    assert [reading.at for reading in words.others(declared)] == ["last", "best"]


def test_a_claim_without_figures_says_where_it_would_have_been_read() -> None:
    assert words.findings(study()).rows[-1][2:] == (f"{words.NONE} (accuracy at the last epoch)", *[words.NONE] * 3)


def test_arms_have_no_columns_for_what_none_of_them_has() -> None:
    assert words.arms(bare()).head == ("arm", "seeds", "parameters", "accuracy, best epoch (optimistic)")
    full = words.arms(study())
    assert full.head == (
        "arm",
        "panel",
        "remarks",
        "seeds",
        "epochs",
        "parameters",
        "accuracy, last epoch",
        "accuracy, best epoch (optimistic)",
        "accuracy, equal steps",
        "loss, last epoch",
        "training accuracy",
        "overfitting in points",
        "dead channels",
        "time",
    )
    assert full.numeric == frozenset(range(4, 14))
    assert full.rows[0][3:] == (
        "0 to 4",
        "30",
        "660,000",
        "66.0 % (59.0 to 72.0)",
        "68.5 % (61.0 to 75.0)",
        "65.0 % (58.0 to 71.0)",
        "1.410 (1.310 to 1.510)",
        "98.0 % (96.0 to 99.0)",
        "+32.0 (+24.0 to +39.0)",
        "8.0 % (5.0 to 12.0)",
        "30.6 min",
    )


def test_an_arm_s_remarks_say_what_is_less_later_or_not_trained() -> None:
    said = {row[0]: row[2] for row in words.arms(study()).rows}
    assert sorted(filter(None, said.values())) == [
        "less than declared: 3 of 5 seeds; added later: seed 2",
        "not trained: not above chance",
    ]
    assert words.remarks(replace(study().runs[0], later_seeds=(5, 6, 9))) == "added later: seeds 5 to 6, 9"


def test_arms_are_in_the_order_of_the_ranking_and_unranked_ones_last() -> None:
    result = study()
    names = tuple(run.name for run in words.in_order(replace(result, runs=result.runs[::-1])))
    assert names[: len(result.ranking)] == result.ranking
    assert len(names) == 12


def test_settings_are_those_that_differ_besides_the_seed() -> None:
    table = words.settings(study())
    assert table.head == ("arm", "arch", "input", "opt", "sched")
    assert table.rows[0] == ("cel3, sgd, cosine (spectrogram)", "cel3", "mel", "sgd", "cosine")
    assert words.settings(study(1)).rows == ()
    first, second = bare().runs
    changed = replace(second, config={**first.config, "seed": 7, "hidden": (64, 32), "lr": None})
    told = words.settings(replace(bare(), runs=(replace(first, config={**first.config, "lr": 0.1}), changed)))
    assert told.head == ("arm", "hidden", "lr")
    assert told.rows == (("cel", "64", "0.1"), ("mlp", "64, 32", words.NONE))


def test_the_ranking_tells_ties_from_those_that_are_worse() -> None:
    rows = words.ranking(study()).rows
    assert [row[3] for row in rows[:4]] == ["first", *["a tie: cannot be told from it"] * 2, "worse"]
    assert rows[0][:3] == ("1", "cel3, sgd, cosine (spectrogram)", "66.0 % (59.0 to 72.0)")
    assert words.ranking(bare()).rows[1][2] == "40.0 %"
    assert words.ranking(replace(study(), ranking=("gone",))).rows == (("1", "gone", words.NONE, words.NONE),)


def test_an_arm_on_other_tracks_is_not_called_worse() -> None:
    result = study()
    name = result.ranking[3]
    runs = tuple(replace(run, comparable=run.name != name) for run in result.runs)
    rows = words.ranking(replace(result, runs=runs)).rows
    assert [row[3] for row in rows[3:5]] == ["partly on other tracks: not ranked against it", "worse"]


@pytest.mark.parametrize(
    ("ranking", "ties", "text"),
    [
        ((), (), "No arm is ranked."),
        (("a",), (), "a is first."),
        (("a", "b"), ("a",), "a is first."),
        (("a", "b"), ("a", "b"), "a is first, but b cannot be told from it."),
        (("a", "b", "c", "d"), ("b", "c", "d"), "a is first, but b, c and d cannot be told from it."),
        (("a", "b"), ("a", "b", "c", "d"), "a is first, but b and 2 more that are not shown cannot be told from it."),
        (("a",), ("a", "c"), "a is first, but 1 that is not shown cannot be told from it."),
    ],
)
def test_the_first_and_its_ties_are_named(ranking: tuple[str, ...], ties: tuple[str, ...], text: str) -> None:
    assert words.tied(StudyResult((), ranking, ties)) == text


def test_of_arms_that_are_not_above_chance_none_is_first() -> None:
    result = study()
    result = replace(result, runs=tuple(replace(run, trained=False) for run in result.runs))
    assert words.tied(result) == "No arm is above chance, so none is first."
    assert {row[3] for row in words.ranking(result).rows} == {"not above chance"}


@pytest.mark.parametrize(
    ("findings", "text"),
    [
        ((), "The study makes no claims."),
        (FINDINGS[:1], "Of 1 claim: 1 upheld."),
        ((*FINDINGS[:2], FINDINGS[0]), "Of 3 claims: 2 upheld, 1 refuted."),
    ],
)
def test_verdicts_are_counted(findings: tuple[Finding, ...], text: str) -> None:
    assert words.summary(replace(study(), findings=findings)) == text


def test_arms_on_other_tracks_are_not_ranked_and_so_none_is_first() -> None:
    found = study(3, ("",))
    elsewhere = tuple(replace(run, comparable=run.name == found.ranking[0]) for run in found.runs)
    alone = replace(found, runs=elsewhere, ties=())
    assert words.tied(alone).startswith(f"{found.ranking[0]} has the highest accuracy; no other arm answered the same")
    assert words.first_of(alone) == ""
    partly = replace(found, runs=(*found.runs[:2], elsewhere[2]), ties=())
    assert words.tied(partly) == (
        f"{found.ranking[0]} is first; not ranked against it, on partly other tracks: {found.ranking[2]}."
    )
    assert words.first_of(partly) == found.ranking[0]


def test_few_seeds_tell_no_arms_apart() -> None:
    found = study(3, ("",))
    first, *others = found.runs
    few = replace(found, runs=(replace(first, seeds=(0, 1)), *others), ties=())
    assert words.tied(few).endswith("has the highest accuracy so far: fewer than three seeds tell no arms apart.")
    assert {row[3] for row in words.ranking(few).rows} == {"not tested: 2 seeds"}
    later = replace(found, runs=(first, replace(others[0], seeds=(0,)), others[1]), ties=())
    assert [row[3] for row in words.ranking(later).rows] == ["first", "not tested: 1 seed", "worse"]


def test_an_arm_that_did_not_train_is_said_to_have_no_place() -> None:
    found = study(3, ("",))
    runs = (*found.runs[:2], replace(found.runs[2], trained=False))
    assert words.ranking(replace(found, runs=runs)).rows[2][3] == "not above chance"


def test_what_makes_no_steps_has_no_place_at_equal_steps() -> None:
    found = study(2, ("",))
    assert found.head is not None
    fitted = replace(found.runs[1], equal_steps_accuracy=None)
    rows = words.ranking(replace(found, head=replace(found.head, at="equal steps"), runs=(found.runs[0], fitted))).rows
    assert rows[1][2:] == (words.NONE, words.NONE)
    assert words.accuracy_at(fitted, "last") == fitted.last_accuracy
