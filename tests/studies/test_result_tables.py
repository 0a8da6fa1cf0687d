"""The tables of a study's report."""

from dataclasses import replace

import pytest
from tiny_study import bare, study

from genrekit.metrics.intervals import Interval
from genrekit.studies.formatting import NONE
from genrekit.studies.ranking_text import accuracy_at, in_order
from genrekit.studies.result_tables import (
    configurations_table,
    findings_table,
    ranking_table,
    remarks,
    settings_table,
)


def test_a_finding_has_its_verdict_and_the_judgements_at_other_epochs() -> None:
    assert findings_table(study()).rows[0] == (
        "cel3 with momentum and cosine is above cel2 with Adam on spectrograms",
        "✓ upheld",
        "+5.2 points (+2.2 to +8.2) of accuracy at the last epoch",
        "0.031",
        "at the best epoch: undecided, +1.3 points (+2.2 to +8.2), p = 0.031; "
        "at equal steps: upheld, +5.2 points (+2.2 to +8.2), p < 0.001",
        NONE,
    )


def test_a_finding_without_figures_names_its_statistic_and_epoch() -> None:
    assert findings_table(study()).rows[-1][2:] == (f"{NONE} (accuracy at the last epoch)", *[NONE] * 3)


def test_columns_without_any_figure_are_left_out() -> None:
    expected = ("configuration", "seeds", "parameters", "accuracy, best epoch (optimistic)")
    assert configurations_table(bare()).head == expected
    full = configurations_table(study())
    assert full.head == (
        "configuration",
        "group",
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


def test_remarks_name_reduced_added_and_untrained_runs() -> None:
    texts = {row[0]: row[2] for row in configurations_table(study()).rows}
    assert sorted(filter(None, texts.values())) == [
        "not trained (not above chance)",
        "reduced: 3 of 5 seeds; seed 2 added after the plan",
    ]
    assert remarks(replace(study().runs[0], later_seeds=(5, 6, 9))) == "seeds 5 to 6, 9 added after the plan"


def test_configurations_are_in_the_order_of_the_ranking_and_unranked_ones_last() -> None:
    result = study()
    names = tuple(run.name for run in in_order(replace(result, runs=result.runs[::-1])))
    assert names[: len(result.ranking)] == result.ranking
    assert len(names) == 12


def test_settings_are_those_that_differ_besides_the_seed() -> None:
    table = settings_table(study())
    assert table.head == ("configuration", "arch", "input", "opt", "sched")
    assert table.rows[0] == ("cel3, sgd, cosine (spectrogram)", "cel3", "mel", "sgd", "cosine")
    assert settings_table(study(1)).rows == ()
    first, second = bare().runs
    changed = replace(second, config={**first.config, "seed": 7, "hidden": (64, 32), "lr": None})
    differing = settings_table(replace(bare(), runs=(replace(first, config={**first.config, "lr": 0.1}), changed)))
    assert differing.head == ("configuration", "hidden", "lr")
    assert differing.rows == (("cel", "64", "0.1"), ("mlp", "64, 32", NONE))


def test_the_ranking_distinguishes_ties_from_worse_configurations() -> None:
    rows = ranking_table(study()).rows
    assert [row[3] for row in rows[:4]] == ["first", "tied", "tied", "worse"]
    assert rows[0][:3] == ("1", "cel3, sgd, cosine (spectrogram)", "66.0 % (59.0 to 72.0)")
    assert ranking_table(bare()).rows[1][2] == "40.0 %"
    assert ranking_table(replace(study(), ranking=("gone",))).rows == (("1", "gone", NONE, NONE),)


def test_the_accuracy_in_a_ranking_is_that_at_the_tested_epoch() -> None:
    run = replace(study().runs[0], track_accuracy=Interval(0.3, 0.2, 0.4))
    last, steps = Interval(0.1, 0.0, 0.2), Interval(0.2, 0.1, 0.3)
    run = replace(run, last_accuracy=last, equal_steps_accuracy=steps)
    assert [accuracy_at(run, at) for at in ("last", "best", "equal steps")] == [last, Interval(0.3, 0.2, 0.4), steps]


def test_a_configuration_with_other_tracks_is_not_called_worse() -> None:
    result = study()
    name = result.ranking[3]
    runs = tuple(replace(run, comparable=run.name != name) for run in result.runs)
    rows = ranking_table(replace(result, runs=runs)).rows
    assert [row[3] for row in rows[3:5]] == ["not compared: other validation tracks", "worse"]


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        ((0, 1), (0, 1, 2, 3, 4), ["not tested: 2 seeds"] * 3),
        ((0, 1, 2), (0,), ["first", "not tested: 1 seed", "worse"]),
    ],
)
def test_configurations_with_few_seeds_are_not_compared(
    first: tuple[int, ...], second: tuple[int, ...], texts: list[str]
) -> None:
    result = study(3, ("",))
    runs = (replace(result.runs[0], seeds=first), replace(result.runs[1], seeds=second), result.runs[2])
    assert [row[3] for row in ranking_table(replace(result, runs=runs, ties=())).rows] == texts


def test_an_untrained_configuration_is_not_compared() -> None:
    result = study(3, ("",))
    runs = (*result.runs[:2], replace(result.runs[2], trained=False))
    assert ranking_table(replace(result, runs=runs)).rows[2][3] == "not above chance"


def test_a_classical_model_is_not_compared_at_equal_steps() -> None:
    result = study(2, ("",))
    assert result.head is not None
    classical = replace(result.runs[1], equal_steps_accuracy=None)
    result = replace(result, head=replace(result.head, at="equal steps"), runs=(result.runs[0], classical))
    assert ranking_table(result).rows[1][2:] == (NONE, NONE)
    assert accuracy_at(classical, "last") == classical.last_accuracy
