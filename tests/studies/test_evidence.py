"""Which samples are taken from the runs of a study, and how hypotheses are judged by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registered import CLASSICAL
from tiny_answers import answers

from genrekit.studies.confusion import pooled_confusion
from genrekit.studies.evidence import ConfigurationRuns, Evidence
from genrekit.studies.findings import Finding, judge_hypotheses
from genrekit.studies.schema import At, Configuration, Hypothesis
from genrekit.studies.verdict_text import judgement_line, verdict
from genrekit.training.validation_log import Answers


def runs(name: str, seeds: list[Answers], epochs: int = 4, planned: int = 4, **values: Any) -> ConfigurationRuns:
    configuration = Configuration(name, "", {"arch": "cel", **values}, "study")
    return of_folds(configuration, [(one,) for one in seeds], epochs, planned)


def of_folds(
    configuration: Configuration, seeds: Sequence[tuple[Answers, ...]], epochs: int = 4, planned: int = 4
) -> ConfigurationRuns:
    config = configuration.train_config(0, **({} if configuration.values["arch"] in CLASSICAL else {"epochs": epochs}))
    return ConfigurationRuns(configuration, config, tuple(range(len(seeds))), tuple(seeds), planned)


def evidence(**configurations: ConfigurationRuns) -> Evidence:
    answered = [one for item in configurations.values() for folds in item.answers for one in folds]
    return Evidence(
        configurations, {track_id: f"genre {track_id[-1]}" for one in answered for track_id in one.track_ids}
    )


def good(n: int = 5, **options: Any) -> list[Answers]:
    return [answers(0.85, seed=seed, **options) for seed in range(n)]


def poor(n: int = 5, **options: Any) -> list[Answers]:
    return [answers(0.4, seed=seed, **options) for seed in range(n)]


def judged(
    sampled: Evidence, *comparisons: dict[str, Any], at: At = "last", winner: dict[str, Any] | None = None
) -> Finding:
    hypothesis = Hypothesis.of({"text": "hypothesis", "comparisons": comparisons, "winner": winner})
    (finding,) = judge_hypotheses([hypothesis], sampled, at)
    return finding


MORE = {"statistic": "accuracy", "higher": "a", "lower": "b"}


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        pytest.param(good(), poor(), "upheld", id="claimed side"),
        pytest.param(poor(), good(), "refuted", id="other side"),
        pytest.param(good(2), poor(2), "not tested", id="two seeds"),
        pytest.param([answers(0.02, seed=s) for s in range(5)], poor(), "not trained", id="chance"),
    ],
)
def test_a_difference_is_judged(a: list[Answers], b: list[Answers], verdict: str) -> None:
    finding = judged(evidence(a=runs("a", a), b=runs("b", b)), MORE)
    assert finding.verdict == verdict
    assert (finding.note != "") == (verdict in ("not tested", "not trained"))


def test_a_verdict_at_fewer_epochs_than_planned_names_them() -> None:
    finding = judged(evidence(a=runs("a", good(), planned=9), b=runs("b", poor())), MORE)
    assert (finding.verdict, finding.epochs, finding.planned_epochs) == ("upheld", 4, 9)
    assert finding.note == "4 of 9 epochs: a"
    assert verdict(finding) == "✓ upheld at 4 of 9 epochs"
    both = judged(evidence(a=runs("a", good(), planned=9), b=runs("b", poor(), planned=9)), MORE)
    assert (both.verdict, both.note, verdict(both)) == ("upheld", "", "✓ upheld at 4 of 9 epochs")
    few = judged(evidence(a=runs("a", good(2), planned=9), b=runs("b", poor())), MORE)
    assert (few.verdict, verdict(few)) == ("not tested", "○ not tested")
    assert few.note == "2 of 3 seeds: a; 4 of 9 epochs: a"


def test_verdicts_at_the_planned_epochs_are_not_marked() -> None:
    finding = judged(evidence(a=runs("a", good()), b=runs("b", poor())), MORE)
    assert (finding.epochs, finding.planned_epochs, verdict(finding)) == (None, None, "✓ upheld")


def test_a_verdict_names_the_configurations_with_fewer_seeds_than_planned() -> None:
    sampled = evidence(a=runs("a", good()), b=replace(runs("b", poor(3)), planned_seeds=5))
    finding = judged(sampled, MORE)
    assert (finding.verdict, finding.note, finding.fewer_seeds) == ("upheld", "3 of 5 seeds: b", ("b",))


def test_a_hypothesis_about_a_configuration_without_runs_is_not_tested() -> None:
    finding = judged(evidence(a=runs("a", []), b=runs("b", poor())), MORE)
    assert (finding.verdict, finding.effect, finding.note) == ("not tested", None, "missing: a")


def test_all_comparisons_of_a_hypothesis_must_hold() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", poor()))
    less_loss = {"statistic": "loss", "higher": "b", "lower": "a"}
    assert judged(sampled, MORE, less_loss).verdict == "upheld"
    assert judged(sampled, MORE, {**less_loss, "higher": "a", "lower": "b"}).verdict == "refuted"


def test_the_effect_of_several_comparisons_has_the_statistic_of_the_one_that_it_belongs_to() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", poor()))
    more_loss = {"statistic": "loss", "higher": "a", "lower": "b"}
    finding = judged(sampled, MORE, more_loss)
    assert finding.verdict == "refuted"
    assert finding.statistic == "loss"
    assert {judgement.statistic for judgement in finding.judgements} == {"loss"}


def test_by_is_added_to_the_difference() -> None:
    same = evidence(a=runs("a", good()), b=runs("b", good()))
    assert judged(same, MORE).verdict in ("undecided", "equivalent")
    assert judged(same, {**MORE, "by": 0.3}).verdict == "upheld"
    assert judged(same, {**MORE, "by": -0.3}).verdict == "refuted"


def test_overfitting_is_training_minus_validation_accuracy() -> None:
    sampled = evidence(a=runs("a", good(training=1.0)))
    sample, accuracy = sampled.sample("a", "overfitting", "last"), sampled.interval("a", "accuracy", "last")
    assert sample is not None
    assert accuracy is not None
    np.testing.assert_allclose(sample.seed_means.mean(), 1.0 - accuracy.value)


def test_statistics_that_exist_at_the_last_epoch_only_are_not_tested_elsewhere() -> None:
    sampled = evidence(a=runs("a", good(dead=0.6)), b=runs("b", good(dead=0.1)))
    finding = judged(sampled, {"statistic": "dead_channels", "higher": "a", "lower": "b"})
    verdicts = {judgement.at: judgement.verdict for judgement in finding.judgements}
    assert verdicts["best"] == verdicts["equal steps"] == "not tested"


def test_at_equal_steps_each_run_is_evaluated_after_the_same_number_of_steps() -> None:
    """Four epochs of 10 steps are as many steps as one epoch of 40."""
    slow, fast = answers(0.9, steps=10), answers(0.5, steps=40)
    sampled = evidence(a=runs("a", [slow]), b=runs("b", [fast]))
    at_steps = sampled.sample("b", "accuracy", "equal steps")
    assert at_steps is not None
    np.testing.assert_array_equal(at_steps.values[0], fast.right[0])
    last = sampled.sample("a", "accuracy", "equal steps")
    assert last is not None
    np.testing.assert_array_equal(last.values[0], slow.right[3])


def test_classical_models_have_no_figure_at_equal_steps() -> None:
    """They do not limit the steps of networks either."""
    slow, fast = answers(0.9, steps=10), answers(0.5, steps=40)
    lda = runs("lda", [answers(0.8, epochs=1, steps=1)], epochs=1, arch="lda")
    sampled = evidence(lda=lda, a=runs("a", [slow]), b=runs("b", [fast]))
    assert sampled.sample("lda", "accuracy", "equal steps") is None
    assert sampled.sample("lda", "accuracy", "last") is not None
    at_steps = sampled.sample("a", "accuracy", "equal steps")
    assert at_steps is not None
    np.testing.assert_array_equal(at_steps.values[0], slow.right[3])
    assert judged(sampled, {**MORE, "lower": "lda"}).judgements[-1].effect is None


def test_each_seed_has_its_own_best_epoch() -> None:
    seeds = [answers(0.6, seed=0, best=2), answers(0.6, seed=1, best=3)]
    sample = evidence(a=runs("a", seeds)).sample("a", "accuracy", "best")
    assert sample is not None
    np.testing.assert_array_equal(sample.values, [seeds[0].right[1], seeds[1].right[2]])


def test_the_folds_of_a_seed_are_concatenated() -> None:
    configuration = Configuration("a", "", {"arch": "cel"}, "study")
    folds = tuple((answers(0.6, seed=s, prefix="x"), answers(0.6, seed=s + 9, prefix="y")) for s in range(3))
    sample = evidence(a=of_folds(configuration, folds)).sample("a", "accuracy", "last")
    assert sample is not None
    assert sample.values.shape == (3, 120)
    assert len(set(sample.clusters)) == 120


def test_a_track_in_several_folds_counts_once_with_its_mean() -> None:
    configuration = Configuration("a", "", {"arch": "cel"}, "study")
    folds = tuple((answers(0.6, seed=s), answers(0.6, seed=s + 9)) for s in range(3))
    sample = evidence(a=of_folds(configuration, folds)).sample("a", "accuracy", "last")
    assert sample is not None
    assert sample.values.shape == (3, 60)
    np.testing.assert_array_equal(sample.values[1], (folds[1][0].right[-1] + 1.0 * folds[1][1].right[-1]) / 2)


def test_configurations_with_the_same_tracks_are_compared_track_by_track() -> None:
    """If half of the tracks are easy for both, the difference is more certain than on different tracks."""
    configuration = Configuration("a", "", {"arch": "cel"}, "study")
    easy, hard = ([answers(share, seed=9, prefix=name)] * 3 for share, name in ((0.97, "x"), (0.3, "y")))
    a = of_folds(configuration, list(zip(easy, hard, strict=True)))
    better = [answers(0.5, seed=8, prefix="y")] * 3
    swapped = of_folds(configuration, list(zip(better, easy, strict=True)))
    elsewhere = ([answers(share, seed=seed, prefix=name)] * 3 for share, seed, name in ((0.5, 8, "v"), (0.97, 9, "w")))
    apart = of_folds(configuration, list(zip(*elsewhere, strict=True)))
    paired, independent = (judged(evidence(a=a, b=item), MORE) for item in (swapped, apart))
    assert paired.effect == independent.effect
    assert None not in (paired.low, paired.high, independent.low, independent.high)
    assert paired.high - paired.low < independent.high - independent.low  # type: ignore[operator]


def test_configurations_with_different_tracks_are_compared_as_independent() -> None:
    a = runs("a", good(prefix="x"))
    b = runs("b", poor(prefix="y"))
    assert judged(evidence(a=a, b=b), MORE).verdict == "upheld"


def test_configurations_that_share_most_of_their_tracks_are_compared_on_the_shared_ones() -> None:
    configuration = Configuration("a", "", {"arch": "cel"}, "study")
    shared = [[answers(share, seed=s, prefix="x") for s in range(3)] for share in (0.9, 0.5)]
    own = [[answers(0.5, seed=s, tracks=20, prefix=prefix) for s in range(3)] for prefix in ("y", "z")]
    part = {
        name: of_folds(configuration, list(zip(both, others, strict=True)))
        for name, both, others in zip("ab", shared, own, strict=True)
    }
    whole = {name: of_folds(configuration, [(one,) for one in both]) for name, both in zip("ab", shared, strict=True)}
    sampled, expected = judged(evidence(**part), MORE), judged(evidence(**whole), MORE)
    assert (sampled.effect, sampled.low, sampled.p) == (expected.effect, expected.low, expected.p)
    assert not evidence(**part).comparable("a", "b")


def test_pairs_with_partly_different_tracks_are_compared_on_the_shared_ones_only() -> None:
    configuration = Configuration("a", "", {"arch": "cel"}, "study")
    hypothesis = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}

    def of(share: float, *prefixes: str) -> ConfigurationRuns:
        seeds = [tuple(answers(share, seed=s, prefix=prefix) for prefix in prefixes) for s in range(3)]
        return of_folds(configuration, seeds)

    configurations = {"a-1": of(0.9, "x", "y"), "a-2": of(0.9, "x"), "b-1": of(0.4, "x", "y"), "b-2": of(0.4, "x")}
    assert judged(evidence(**configurations), hypothesis).verdict == "upheld"
    sampled = judged(evidence(**configurations | {"b-2": of(0.4, "z"), "a-2": of(0.9, "z")}), hypothesis)
    assert (sampled.verdict, sampled.effect, sampled.note) == ("not tested", None, "no figure")


def test_the_effect_of_an_axis_is_the_mean_over_matched_pairs_and_its_note_says_so() -> None:
    by_default = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*"}
    names = {"a-1": good(), "a-2": poor(), "b-1": poor(), "b-2": poor()}
    sampled = evidence(**{name: runs(name, answers) for name, answers in names.items()})
    paired, alone = judged(sampled, by_default), judged(sampled, {**by_default, "matched": False})
    assert paired.note == "mean over 2 matched pairs"
    assert replace(paired, note="") == judged(sampled, {**by_default, "matched": True})
    assert (alone.note, alone.effect) == ("", 0.0)
    assert paired.effect is not None
    assert paired.effect > 0.1


def test_configurations_that_share_their_runs_count_once_in_a_matched_hypothesis() -> None:
    hypothesis = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}
    a, b = (replace(runs(name, seeds), runs=(Path(name),)) for name, seeds in (("a", good(3)), ("b", poor(3))))
    twice, once = evidence(**{"a-1": a, "a-2": a, "b-1": b, "b-2": b}), evidence(**{"a-1": a, "b-1": b})
    assert judged(twice, hypothesis) == judged(once, hypothesis)
    assert (twice.first("a-2"), twice.first("b-2")) == ("a-1", "b-1")


def test_a_matched_hypothesis_with_half_of_its_pairs_shows_them_and_is_not_tested() -> None:
    hypothesis = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}
    configurations = {
        "a-1": runs("a", good()),
        "b-1": runs("b", poor()),
        "a-2": runs("c", good()),
        "b-2": runs("d", []),
    }
    sampled, alone = (
        judged(evidence(**configurations), hypothesis),
        judged(evidence(a=configurations["a-1"], b=configurations["b-1"]), MORE),
    )
    assert (sampled.verdict, sampled.note, sampled.p) == ("not tested", "1 of 2 pairs; missing: b-2", None)
    assert (sampled.effect, sampled.low, sampled.high) == (alone.effect, alone.low, alone.high)
    beside = evidence(**configurations, x=runs("x", poor()), y=runs("y", poor()))
    part = judged(beside, hypothesis, {"statistic": "accuracy", "higher": "x", "lower": "y"})
    assert (part.effect, part.note) == (sampled.effect, "1 of 2 pairs; missing: b-2")
    lone = judged(evidence(**configurations | {"b-2": runs("d", poor(1))}), hypothesis)
    assert (lone.note, lone.low, lone.high) == ("1 of 2 pairs", sampled.low, sampled.high)  # one seed shows no noise
    few = judged(evidence(**configurations | {"b-1": runs("b", poor(1), epochs=2)}), hypothesis)
    assert few.note == "1 of 2 pairs; missing: b-2; 1 of 3 seeds: b-1; 2 of 4 epochs: b-1"
    fitted = runs("b", poor(), planned=1, arch="lda")
    whole = judged(evidence(**configurations | {"b-1": fitted, "b-2": runs("d", poor())}), hypothesis)
    assert (whole.verdict, whole.note) == ("upheld", "")
    steps = next(judgement for judgement in whole.judgements if judgement.at == "equal steps")
    assert (steps.verdict, steps.note) == ("not tested", "1 of 2 pairs")
    assert judgement_line(steps).startswith("at equal steps: not tested (1 of 2 pairs), +")
    none = judged(evidence(**configurations | {"b-1": runs("b", [])}), hypothesis)
    assert (none.verdict, none.effect, none.note) == ("not tested", None, "missing: b-1, b-2")


def test_fewer_seeds_are_named_although_another_pair_is_missing() -> None:
    configurations = {f"{side}-{place}": runs(side, good(3)) for side in "abc" for place in (1, 2)}
    configurations |= {"a-2": runs("a", good(2)), "c-2": runs("c", [])}
    comparisons = [{"statistic": "accuracy", "higher": "a-*", "lower": f"{side}-*", "matched": True} for side in "bc"]
    assert judged(evidence(**configurations), *comparisons).note == "1 of 2 pairs; missing: c-2; 2 of 3 seeds: a-2"


def test_a_hypothesis_about_the_winner_is_not_tested_if_half_of_the_configurations_are_missing() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", []))
    hypothesis = Hypothesis.of({"text": "hypothesis", "winner": {"contains": 0.85}})
    (finding,) = judge_hypotheses([hypothesis], sampled, "last")
    assert (finding.verdict, finding.note) == ("not tested", "missing: b")


def test_a_hypothesis_about_the_winner_is_judged_by_most_of_the_configurations() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", poor(), planned=9), c=runs("c", []))
    finding = judged(sampled, winner={"contains": 0.85})
    assert (finding.verdict, finding.missing) == ("upheld", ("c",))
    assert (finding.note, verdict(finding)) == ("missing: c; 4 of 9 epochs: b", "✓ upheld at 4 of 9 epochs")


def test_a_matched_hypothesis_is_judged_by_most_of_its_pairs() -> None:
    hypothesis = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}
    sampled = {
        f"{side}-{pair}": runs(side, seeds) for pair in (1, 2, 3) for side, seeds in (("a", good()), ("b", poor()))
    }
    finding = judged(evidence(**sampled | {"b-3": runs("b", [])}), hypothesis)
    assert (finding.verdict, finding.note, finding.missing) == ("upheld", "2 of 3 pairs; missing: b-3", ("b-3",))


def test_ties_are_tested_among_configurations_with_the_same_tracks_only() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", good()), c=runs("c", good(prefix="y")))
    assert set(sampled.ties(["a", "b", "c"], "last")) <= {"a", "b"}
    assert "a" in sampled.ties(["a", "b", "c"], "last")


def test_hypotheses_about_the_winner_are_judged() -> None:
    sampled = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", poor(), opt="adam"))
    assert judged(sampled, winner={"has": {"opt": "sgd"}}).verdict == "upheld"
    assert judged(sampled, winner={"has": {"opt": "adam"}}).verdict == "refuted"
    assert judged(sampled, winner={"contains": 0.3}).verdict == "refuted"
    finding = judged(sampled, winner={"contains": 0.85})
    assert finding.verdict == "upheld"
    assert finding.low is not None
    assert finding.low < 0.85
    untested = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", poor(2), opt="adam"))
    assert judged(untested, winner={"contains": 0.85}).verdict == "not tested"


def test_a_tie_with_another_configuration_leaves_the_winner_undecided() -> None:
    sampled = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", good(), opt="adam"))
    assert judged(sampled, winner={"has": {"opt": "sgd"}}).verdict == "undecided"


def test_a_configuration_that_is_not_above_chance_cannot_be_tied_with_the_winner() -> None:
    lucky = runs("b", [answers(share, seed=s) for s, share in enumerate((0.02, 0.02, 0.03, 0.9, 0.95))], opt="adam")
    sampled = evidence(a=runs("a", [answers(0.4, seed=s) for s in range(5)], opt="sgd"), b=lucky)
    assert not sampled.trained("b")
    assert sampled.ties(["a", "b"], "last") == ("a",)
    assert judged(sampled, winner={"has": {"opt": "sgd"}}).verdict == "upheld"


def test_hypotheses_about_the_winner_use_the_settings_that_were_trained() -> None:
    configuration = runs("a", good())
    sampled = evidence(
        a=replace(configuration, config=configuration.config.model_copy(update={"split": "artist"})),
        b=runs("b", poor()),
    )
    assert judged(sampled, winner={"has": {"split": "artist"}}).verdict == "upheld"


def test_a_second_name_of_a_configuration_does_not_change_its_ties() -> None:
    untied = 0
    for seed in range(0, 400, 5):
        a, b = (
            replace(runs(name, [answers(share, seed=seed + s) for s in range(5)]), runs=(Path(name),))
            for name, share in (("a", 0.8), ("b", 0.7))
        )
        first, *others = evidence(a=a, b=b).ranking("last")
        once = evidence(a=a, b=b).ties([first, *others], "last")
        twice = evidence(a=a, b=b, a2=a, b2=b).ties([first, *others, f"{first}2", f"{others[0]}2"], "last")
        assert set(twice) == {*once, *(f"{name}2" for name in once)}
        untied += len(once) == 1
    assert 0 < untied < 80


def test_a_hypothesis_about_the_winner_is_not_tested_where_a_configuration_has_no_figure() -> None:
    sampled = evidence(a=runs("a", good()), b=runs("b", poor(), planned=1, arch="lda"))
    finding = judged(sampled, winner={"has": {"arch": "cel"}})
    verdicts = {judgement.at: judgement.verdict for judgement in finding.judgements}
    assert verdicts == {"last": "upheld", "best": "upheld", "equal steps": "not tested"}


def test_each_choice_of_the_epoch_has_its_own_winner() -> None:
    def changing(first: float, last: float) -> list[Answers]:
        seeds = [(answers(first, seed=s), answers(last, seed=s, best=1)) for s in range(5)]
        return [replace(then, right=np.concatenate([now.right[:1], then.right[1:]])) for now, then in seeds]

    sampled = evidence(a=runs("a", changing(0.3, 0.8), opt="sgd"), b=runs("b", changing(0.7, 0.5), opt="adam"))
    finding = judged(sampled, winner={"has": {"opt": "sgd"}})
    best = next(judgement for judgement in finding.judgements if judgement.at == "best")
    assert (finding.verdict, best.verdict) == ("upheld", "refuted")
    assert best.effect == pytest.approx(0.7, abs=0.1)


def test_configurations_without_figures_at_equal_steps_are_last_there() -> None:
    fitted = runs("b", good(), arch="lda")
    sampled = evidence(a=runs("a", poor()), b=fitted)
    assert (sampled.ranking("last"), sampled.ranking("equal steps")) == (["b", "a"], ["a", "b"])
    assert sampled.ties(["a", "b"], "equal steps") == ("a",)


@pytest.mark.parametrize("seeds", [1, 2])
def test_configurations_with_too_few_seeds_have_no_ties(seeds: int) -> None:
    sampled = evidence(a=runs("a", good(seeds)), b=runs("b", good()), c=runs("c", good()))
    assert sampled.ties(["a", "b", "c"], "last") == ()
    assert "a" not in sampled.ties(["b", "a", "c"], "last")


def test_chance_is_the_share_of_the_most_frequent_genre() -> None:
    configuration = runs("a", [answers(0.72, seed=s) for s in range(5)])
    even = evidence(a=configuration)
    (ids,) = {one.track_ids for (one,) in configuration.answers}
    uneven = Evidence(
        {"a": configuration}, {track_id: "rock" if place < 48 else "jazz" for place, track_id in enumerate(ids)}
    )
    assert (even.chance("a"), uneven.chance("a")) == (0.1, 0.8)
    assert (even.trained("a"), uneven.trained("a")) == (True, False)


def test_a_configuration_is_not_compared_with_its_own_runs_under_another_name() -> None:
    a, b = (replace(runs(name, seeds), runs=(Path(name),)) for name, seeds in (("a", good()), ("b", poor())))
    finding = judged(evidence(a=a, same=a, b=b), {"statistic": "accuracy", "higher": "a", "lower": "*"})
    assert (finding.verdict, finding.effect) == ("upheld", judged(evidence(a=a, b=b), MORE).effect)
    alone = judged(evidence(a=a, same=a), {"statistic": "accuracy", "higher": "a", "lower": "same"})
    assert (alone.verdict, alone.effect) == ("equivalent", 0.0)


def test_a_difference_is_not_tested_if_all_seeds_are_equal() -> None:
    a, b = (runs(name, [answers(0.8, seed=s, dead=dead) for s in range(3)]) for name, dead in (("a", 0.1), ("b", 0.0)))
    finding = judged(evidence(a=a, b=b), {"statistic": "dead_channels", "higher": "a", "lower": "b"})
    assert (finding.verdict, finding.p) == ("not tested", None)
    assert finding.effect == pytest.approx(0.1)
    assert finding.note == "all seeds are equal, so their noise is unknown"


def test_the_confusion_matrix_is_pooled_over_seeds_at_the_last_epoch() -> None:
    genres = ("blues", "jazz")
    both = [
        replace(
            answers(0.5, seed=seed, tracks=3),
            genres=("jazz", "blues"),
            predicted={"best": np.array([0, 0, 0]), "last": np.array(last)},
        )
        for seed, last in enumerate(([1, 0, 0], [1, 1, 0]))
    ]
    genre_of = {"track 000": "blues", "track 001": "blues", "track 002": "jazz"}
    assert pooled_confusion(runs("cel", both), genre_of, genres) == [[3, 1], [0, 2]]
    earlier = replace(both[0], genres=(), predicted={})
    assert pooled_confusion(runs("cel", [both[0], earlier]), genre_of, genres) is None
    assert pooled_confusion(runs("cel", []), genre_of, genres) is None
