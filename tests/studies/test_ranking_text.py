"""The outcome of a study in sentences."""

from dataclasses import replace

import pytest
from tiny_study import FINDINGS, study

from genrekit.studies.findings import Finding
from genrekit.studies.ranking_text import first_of, in_short, leader, summary
from genrekit.studies.result_tables import ranking_table
from genrekit.studies.results import StudyResult


@pytest.mark.parametrize(
    ("ranking", "ties", "text"),
    [
        ((), (), "No configuration is ranked."),
        (("a",), (), "a is first."),
        (("a", "b"), ("a",), "a is first."),
        (("a", "b"), ("a", "b"), "a is first, tied with b."),
        (("a", "b", "c", "d"), ("b", "c", "d"), "a is first, tied with b, c and d."),
        (("a", "b"), ("a", "b", "c", "d"), "a is first, tied with b and 2 others not shown."),
        (("a",), ("a", "c"), "a is first, tied with 1 other not shown."),
    ],
)
def test_the_first_and_its_ties_are_named(ranking: tuple[str, ...], ties: tuple[str, ...], text: str) -> None:
    assert leader(StudyResult((), ranking, ties)) == text


def test_none_is_first_if_no_configuration_is_above_chance() -> None:
    result = study()
    result = replace(result, runs=tuple(replace(run, trained=False) for run in result.runs))
    assert leader(result) == "No configuration is above chance, so none is first."
    assert {row[3] for row in ranking_table(result).rows} == {"not above chance"}


SHORTENED = replace(FINDINGS[0], epochs=30, planned_epochs=100)


@pytest.mark.parametrize(
    ("findings", "text"),
    [
        ((), "The study has no hypotheses."),
        (FINDINGS[:1], "1 hypothesis: 1 upheld."),
        ((*FINDINGS[:2], FINDINGS[0]), "3 hypotheses: 2 upheld, 1 refuted."),
        (
            (SHORTENED, FINDINGS[-1]),
            "2 hypotheses: 1 upheld, 1 not tested. All verdicts are at 30 of 100 epochs.",
        ),
        (
            (SHORTENED, FINDINGS[0]),
            "2 hypotheses: 2 upheld. 1 of the verdicts is at fewer epochs than planned.",
        ),
    ],
)
def test_verdicts_are_counted(findings: tuple[Finding, ...], text: str) -> None:
    assert summary(replace(study(), findings=findings)) == text


def test_configurations_without_a_complete_seed_are_named() -> None:
    assert in_short(replace(study(), absent=("b", "c"))).endswith(" Without a complete seed: b and c.")


def test_no_configuration_is_first_if_all_others_have_other_tracks() -> None:
    result = study(3, ("",))
    others = tuple(replace(run, comparable=run.name == result.ranking[0]) for run in result.runs)
    alone = replace(result, runs=others, ties=())
    assert leader(alone) == (
        f"{result.ranking[0]} has the highest accuracy, but no other configuration has the same validation tracks."
    )
    assert first_of(alone) == ""
    partly = replace(result, runs=(*result.runs[:2], others[2]), ties=())
    assert leader(partly) == (
        f"{result.ranking[0]} is first; not compared, because of other validation tracks: {result.ranking[2]}."
    )
    assert first_of(partly) == result.ranking[0]


def test_no_ties_are_tested_with_few_seeds() -> None:
    result = study(3, ("",))
    first, *others = result.runs
    few = replace(result, runs=(replace(first, seeds=(0, 1)), *others), ties=())
    assert leader(few).endswith("has the highest accuracy so far; with fewer than three seeds, no ties are tested.")
