"""From answers to verdicts: which samples are read, and what is said of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registered import CLASSICAL
from tiny_answers import answers

from genrekit.studies import text as words
from genrekit.studies.evidence import ArmRuns, Evidence, Finding, judge_claims
from genrekit.studies.schema import Arm, At, Claim
from genrekit.training.validation_log import Answers


def runs(name: str, seeds: list[Answers], epochs: int = 4, declared: int = 4, **values: Any) -> ArmRuns:
    arm = Arm(name, "", {"arch": "cel", **values}, "study")
    return of_folds(arm, [(one,) for one in seeds], epochs, declared)


def of_folds(arm: Arm, seeds: Sequence[tuple[Answers, ...]], epochs: int = 4, declared: int = 4) -> ArmRuns:
    config = arm.config(0, **({} if arm.values["arch"] in CLASSICAL else {"epochs": epochs}))
    return ArmRuns(arm, config, tuple(range(len(seeds))), tuple(seeds), declared)


def evidence(**arms: ArmRuns) -> Evidence:
    answered = [one for its in arms.values() for folds in its.answers for one in folds]
    return Evidence(arms, {track_id: f"genre {track_id[-1]}" for one in answered for track_id in one.track_ids})


def good(n: int = 5, **options: Any) -> list[Answers]:
    return [answers(0.85, seed=seed, **options) for seed in range(n)]


def poor(n: int = 5, **options: Any) -> list[Answers]:
    return [answers(0.4, seed=seed, **options) for seed in range(n)]


def judged(found: Evidence, *parts: dict[str, Any], at: At = "last", winner: dict[str, Any] | None = None) -> Finding:
    claim = Claim.of({"text": "claim", "parts": parts, "winner": winner})
    (finding,) = judge_claims([claim], found, at)
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


def test_fewer_epochs_than_declared_test_nothing_but_show_what_was_seen() -> None:
    finding = judged(evidence(a=runs("a", good(), declared=9), b=runs("b", poor())), MORE)
    assert (finding.verdict, finding.note) == ("not tested", "4 of 9 epochs")
    assert finding.effect is not None
    assert finding.effect > 0.3


def test_an_arm_without_a_finished_run_leaves_the_claim_untested() -> None:
    finding = judged(evidence(a=runs("a", []), b=runs("b", poor())), MORE)
    assert (finding.verdict, finding.effect, finding.note) == ("not tested", None, "no whole seed of a")


def test_a_claim_of_several_parts_needs_all() -> None:
    found = evidence(a=runs("a", good()), b=runs("b", poor()))
    less_loss = {"statistic": "loss", "higher": "b", "lower": "a"}
    assert judged(found, MORE, less_loss).verdict == "upheld"
    assert judged(found, MORE, {**less_loss, "higher": "a", "lower": "b"}).verdict == "refuted"


def test_the_effect_of_several_parts_has_the_unit_of_the_one_it_is_of() -> None:
    """A loss was once told as points of accuracy, because the claim's first part is of accuracy."""
    found = evidence(a=runs("a", good()), b=runs("b", poor()))
    more_loss = {"statistic": "loss", "higher": "a", "lower": "b"}
    finding = judged(found, MORE, more_loss)
    assert finding.verdict == "refuted"
    assert finding.statistic == "loss"
    assert {reading.statistic for reading in finding.readings} == {"loss"}


def test_what_the_higher_may_lack_counts() -> None:
    same = evidence(a=runs("a", good()), b=runs("b", good()))
    assert judged(same, MORE).verdict in ("undecided", "equivalent")
    assert judged(same, {**MORE, "by": 0.3}).verdict == "upheld"
    assert judged(same, {**MORE, "by": -0.3}).verdict == "refuted"


def test_overfitting_is_training_minus_validation_accuracy() -> None:
    found = evidence(a=runs("a", good(training=1.0)))
    sample, accuracy = found.sample("a", "overfitting", "last"), found.interval("a", "accuracy", "last")
    assert sample is not None
    assert accuracy is not None
    np.testing.assert_allclose(sample.seed_means.mean(), 1.0 - accuracy.value)


def test_figures_that_exist_at_the_last_epoch_alone_are_not_tested_elsewhere() -> None:
    found = evidence(a=runs("a", good(dead=0.6)), b=runs("b", good(dead=0.1)))
    finding = judged(found, {"statistic": "dead_channels", "higher": "a", "lower": "b"})
    verdicts = {reading.at: reading.verdict for reading in finding.readings}
    assert verdicts["best"] == verdicts["equal steps"] == "not tested"


def test_equal_steps_reads_each_arm_where_it_has_made_as_many() -> None:
    """With 10 and 40 steps an epoch, four epochs of the one are one of the other."""
    slow, fast = answers(0.9, steps=10), answers(0.5, steps=40)
    found = evidence(a=runs("a", [slow]), b=runs("b", [fast]))
    at_steps = found.sample("b", "accuracy", "equal steps")
    assert at_steps is not None
    np.testing.assert_array_equal(at_steps.values[0], fast.right[0])
    last = found.sample("a", "accuracy", "equal steps")
    assert last is not None
    np.testing.assert_array_equal(last.values[0], slow.right[3])


def test_what_is_fitted_at_once_makes_no_steps() -> None:
    """It is compared at no equal steps, and networks beside it are not read after their first."""
    slow, fast = answers(0.9, steps=10), answers(0.5, steps=40)
    lda = runs("lda", [answers(0.8, epochs=1, steps=1)], epochs=1, arch="lda")
    found = evidence(lda=lda, a=runs("a", [slow]), b=runs("b", [fast]))
    assert found.sample("lda", "accuracy", "equal steps") is None
    assert found.sample("lda", "accuracy", "last") is not None
    at_steps = found.sample("a", "accuracy", "equal steps")
    assert at_steps is not None
    np.testing.assert_array_equal(at_steps.values[0], slow.right[3])
    assert judged(found, {**MORE, "lower": "lda"}).readings[-1].effect is None


def test_the_best_epoch_is_each_seeds_own() -> None:
    seeds = [answers(0.6, seed=0, best=2), answers(0.6, seed=1, best=3)]
    sample = evidence(a=runs("a", seeds)).sample("a", "accuracy", "best")
    assert sample is not None
    np.testing.assert_array_equal(sample.values, [seeds[0].right[1], seeds[1].right[2]])


def test_folds_of_a_seed_stand_side_by_side() -> None:
    arm = Arm("a", "", {"arch": "cel"}, "study")
    folds = tuple((answers(0.6, seed=s, prefix="x"), answers(0.6, seed=s + 9, prefix="y")) for s in range(3))
    sample = evidence(a=of_folds(arm, folds)).sample("a", "accuracy", "last")
    assert sample is not None
    assert sample.values.shape == (3, 120)
    assert len(set(sample.clusters)) == 120


def test_a_track_that_several_folds_answered_counts_once_with_their_mean() -> None:
    arm = Arm("a", "", {"arch": "cel"}, "study")
    folds = tuple((answers(0.6, seed=s), answers(0.6, seed=s + 9)) for s in range(3))
    sample = evidence(a=of_folds(arm, folds)).sample("a", "accuracy", "last")
    assert sample is not None
    assert sample.values.shape == (3, 60)
    np.testing.assert_array_equal(sample.values[1], (folds[1][0].right[-1] + 1.0 * folds[1][1].right[-1]) / 2)


def test_arms_whose_folds_answer_the_same_tracks_are_compared_track_by_track() -> None:
    """Of tracks of which half are easy for both, the difference is surer than of as many other tracks."""
    arm = Arm("a", "", {"arch": "cel"}, "study")
    easy, hard = ([answers(share, seed=9, prefix=name)] * 3 for share, name in ((0.97, "x"), (0.3, "y")))
    a = of_folds(arm, list(zip(easy, hard, strict=True)))
    better = [answers(0.5, seed=8, prefix="y")] * 3
    swapped = of_folds(arm, list(zip(better, easy, strict=True)))
    elsewhere = ([answers(share, seed=seed, prefix=name)] * 3 for share, seed, name in ((0.5, 8, "v"), (0.97, 9, "w")))
    apart = of_folds(arm, list(zip(*elsewhere, strict=True)))
    paired, independent = (judged(evidence(a=a, b=its), MORE) for its in (swapped, apart))
    assert paired.effect == independent.effect
    assert None not in (paired.low, paired.high, independent.low, independent.high)
    assert paired.high - paired.low < independent.high - independent.low  # type: ignore[operator]


def test_arms_that_validate_other_tracks_are_compared_as_independent() -> None:
    a = runs("a", good(prefix="x"))
    b = runs("b", poor(prefix="y"))
    assert judged(evidence(a=a, b=b), MORE).verdict == "upheld"


def test_arms_that_share_most_of_their_tracks_are_compared_on_these() -> None:
    arm = Arm("a", "", {"arch": "cel"}, "study")
    shared = [[answers(share, seed=s, prefix="x") for s in range(3)] for share in (0.9, 0.5)]
    own = [[answers(0.5, seed=s, tracks=20, prefix=prefix) for s in range(3)] for prefix in ("y", "z")]
    part = {
        name: of_folds(arm, list(zip(both, others, strict=True)))
        for name, both, others in zip("ab", shared, own, strict=True)
    }
    whole = {name: of_folds(arm, [(one,) for one in both]) for name, both in zip("ab", shared, strict=True)}
    found, expected = judged(evidence(**part), MORE), judged(evidence(**whole), MORE)
    assert (found.effect, found.low, found.p) == (expected.effect, expected.low, expected.p)
    assert not evidence(**part).comparable("a", "b")


def test_pairs_on_partly_other_tracks_are_matched_on_those_that_all_have_and_on_none_not_at_all() -> None:
    arm = Arm("a", "", {"arch": "cel"}, "study")
    claim = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}

    def of(share: float, *prefixes: str) -> ArmRuns:
        seeds = [tuple(answers(share, seed=s, prefix=prefix) for prefix in prefixes) for s in range(3)]
        return of_folds(arm, seeds)

    arms = {"a-1": of(0.9, "x", "y"), "a-2": of(0.9, "x"), "b-1": of(0.4, "x", "y"), "b-2": of(0.4, "x")}
    assert judged(evidence(**arms), claim).verdict == "upheld"
    found = judged(evidence(**arms | {"b-2": of(0.4, "z"), "a-2": of(0.9, "z")}), claim)
    assert (found.verdict, found.effect, found.note) == ("not tested", None, "the figure is not known there")


def test_two_arms_with_the_same_runs_are_one_in_a_matched_claim() -> None:
    claim = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}
    a, b = (replace(runs(name, seeds), runs=(Path(name),)) for name, seeds in (("a", good(3)), ("b", poor(3))))
    twice, once = evidence(**{"a-1": a, "a-2": a, "b-1": b, "b-2": b}), evidence(**{"a-1": a, "b-1": b})
    assert judged(twice, claim) == judged(once, claim)
    assert (twice.first("a-2"), twice.first("b-2")) == ("a-1", "b-1")


def test_a_matched_claim_shows_the_pairs_that_are_there_and_says_how_many_they_are() -> None:
    claim = {"statistic": "accuracy", "higher": "a-*", "lower": "b-*", "matched": True}
    arms = {"a-1": runs("a", good()), "b-1": runs("b", poor()), "a-2": runs("c", good()), "b-2": runs("d", [])}
    found, alone = judged(evidence(**arms), claim), judged(evidence(a=arms["a-1"], b=arms["b-1"]), MORE)
    assert (found.verdict, found.note, found.p) == ("not tested", "1 of 2 pairs", None)
    assert (found.effect, found.low, found.high) == (alone.effect, alone.low, alone.high)
    beside = evidence(**arms, x=runs("x", poor()), y=runs("y", poor()))
    part = judged(beside, claim, {"statistic": "accuracy", "higher": "x", "lower": "y"})
    assert (part.effect, part.note) == (found.effect, "1 of 2 pairs")
    lone = judged(evidence(**arms | {"b-2": runs("d", poor(1))}), claim)
    assert (lone.note, lone.low, lone.high) == ("1 of 2 pairs", found.low, found.high)  # one seed tells no noise
    few = judged(evidence(**arms | {"b-1": runs("b", poor(1), epochs=2)}), claim)
    assert few.note == "1 of 2 pairs, 1 seed, 2 of 4 epochs"
    fitted = runs("b", poor(), declared=1, arch="lda")
    whole = judged(evidence(**arms | {"b-1": fitted, "b-2": runs("d", poor())}), claim)
    assert (whole.verdict, whole.note) == ("upheld", "")
    steps = next(reading for reading in whole.readings if reading.at == "equal steps")
    assert (steps.verdict, steps.note) == ("not tested", "1 of 2 pairs")
    assert words.reading(steps).startswith("at equal steps: not tested (1 of 2 pairs), +")
    none = judged(evidence(**arms | {"b-1": runs("b", [])}), claim)
    assert (none.verdict, none.effect, none.note) == ("not tested", None, "no whole seed of b-1, b-2")


def test_an_arm_of_a_pair_that_is_there_is_named_short_of_seeds_although_another_of_its_pairs_is_missing() -> None:
    arms = {f"{side}-{place}": runs(side, good(3)) for side in "abc" for place in (1, 2)}
    arms |= {"a-2": runs("a", good(2)), "c-2": runs("c", [])}
    parts = [{"statistic": "accuracy", "higher": "a-*", "lower": f"{side}-*", "matched": True} for side in "bc"]
    assert judged(evidence(**arms), *parts).note == "1 of 2 pairs, 2 seeds"


def test_a_winner_is_not_told_while_an_arm_is_missing() -> None:
    found = evidence(a=runs("a", good()), b=runs("b", []))
    claim = Claim.of({"text": "claim", "winner": {"contains": 0.85}})
    (finding,) = judge_claims([claim], found, "last")
    assert (finding.verdict, finding.note) == ("not tested", "no whole seed of b")


def test_ties_are_sought_among_arms_with_the_same_tracks_alone() -> None:
    found = evidence(a=runs("a", good()), b=runs("b", good()), c=runs("c", good(prefix="y")))
    assert set(found.ties(["a", "b", "c"], "last")) <= {"a", "b"}
    assert "a" in found.ties(["a", "b", "c"], "last")


def test_what_is_claimed_of_the_winner() -> None:
    found = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", poor(), opt="adam"))
    assert judged(found, winner={"has": {"opt": "sgd"}}).verdict == "upheld"
    assert judged(found, winner={"has": {"opt": "adam"}}).verdict == "refuted"
    assert judged(found, winner={"contains": 0.3}).verdict == "refuted"
    finding = judged(found, winner={"contains": 0.85})
    assert finding.verdict == "upheld"
    assert finding.low is not None
    assert finding.low < 0.85
    untested = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", poor(2), opt="adam"))
    assert judged(untested, winner={"contains": 0.85}).verdict == "not tested"


def test_a_tie_with_another_configuration_leaves_the_winner_undecided() -> None:
    found = evidence(a=runs("a", good(), opt="sgd"), b=runs("b", good(), opt="adam"))
    assert judged(found, winner={"has": {"opt": "sgd"}}).verdict == "undecided"


def test_an_arm_that_is_not_above_chance_cannot_be_the_winner_however_far_its_seeds_are_apart() -> None:
    lucky = runs("b", [answers(share, seed=s) for s, share in enumerate((0.02, 0.02, 0.03, 0.9, 0.95))], opt="adam")
    found = evidence(a=runs("a", [answers(0.4, seed=s) for s in range(5)], opt="sgd"), b=lucky)
    assert not found.trained("b")
    assert found.ties(["a", "b"], "last") == ("a",)
    assert judged(found, winner={"has": {"opt": "sgd"}}).verdict == "upheld"


def test_what_is_claimed_of_the_winner_is_read_in_what_was_trained() -> None:
    arm = runs("a", good())
    found = evidence(a=replace(arm, config=arm.config.model_copy(update={"split": "artist"})), b=runs("b", poor()))
    assert judged(found, winner={"has": {"split": "artist"}}).verdict == "upheld"


def test_an_arm_that_stands_under_two_names_has_the_ties_that_it_has_under_one() -> None:
    told = 0
    for seed in range(0, 400, 5):
        a, b = (
            replace(runs(name, [answers(share, seed=seed + s) for s in range(5)]), runs=(Path(name),))
            for name, share in (("a", 0.8), ("b", 0.7))
        )
        first, *others = evidence(a=a, b=b).ranking("last")
        once = evidence(a=a, b=b).ties([first, *others], "last")
        twice = evidence(a=a, b=b, a2=a, b2=b).ties([first, *others, f"{first}2", f"{others[0]}2"], "last")
        assert set(twice) == {*once, *(f"{name}2" for name in once)}
        told += len(once) == 1
    assert 0 < told < 80


def test_no_winner_is_told_where_an_arm_has_no_figure() -> None:
    found = evidence(a=runs("a", good()), b=runs("b", poor(), declared=1, arch="lda"))
    finding = judged(found, winner={"has": {"arch": "cel"}})
    verdicts = {reading.at: reading.verdict for reading in finding.readings}
    assert verdicts == {"last": "upheld", "best": "upheld", "equal steps": "not tested"}


def test_each_reading_has_its_own_winner() -> None:
    def changing(first: float, last: float) -> list[Answers]:
        seeds = [(answers(first, seed=s), answers(last, seed=s, best=1)) for s in range(5)]
        return [replace(then, right=np.concatenate([now.right[:1], then.right[1:]])) for now, then in seeds]

    found = evidence(a=runs("a", changing(0.3, 0.8), opt="sgd"), b=runs("b", changing(0.7, 0.5), opt="adam"))
    finding = judged(found, winner={"has": {"opt": "sgd"}})
    best = next(reading for reading in finding.readings if reading.at == "best")
    assert (finding.verdict, best.verdict) == ("upheld", "refuted")
    assert best.effect == pytest.approx(0.7, abs=0.1)


def test_arms_without_figures_at_a_reading_are_last_there() -> None:
    fitted = runs("b", good(), arch="lda")
    found = evidence(a=runs("a", poor()), b=fitted)
    assert (found.ranking("last"), found.ranking("equal steps")) == (["b", "a"], ["a", "b"])
    assert found.ties(["a", "b"], "equal steps") == ("a",)


@pytest.mark.parametrize("seeds", [1, 2])
def test_arms_with_so_few_seeds_are_told_from_none(seeds: int) -> None:
    found = evidence(a=runs("a", good(seeds)), b=runs("b", good()), c=runs("c", good()))
    assert found.ties(["a", "b", "c"], "last") == ()
    assert "a" not in found.ties(["b", "a", "c"], "last")


def test_chance_is_the_share_of_the_most_frequent_genre() -> None:
    arm = runs("a", [answers(0.72, seed=s) for s in range(5)])
    even = evidence(a=arm)
    (ids,) = {one.track_ids for (one,) in arm.answers}
    uneven = Evidence({"a": arm}, {track_id: "rock" if place < 48 else "jazz" for place, track_id in enumerate(ids)})
    assert (even.chance("a"), uneven.chance("a")) == (0.1, 0.8)
    assert (even.trained("a"), uneven.trained("a")) == (True, False)


def test_an_arm_is_not_compared_with_its_own_runs_under_another_name() -> None:
    a, b = (replace(runs(name, seeds), runs=(Path(name),)) for name, seeds in (("a", good()), ("b", poor())))
    finding = judged(evidence(a=a, same=a, b=b), {"statistic": "accuracy", "higher": "a", "lower": "*"})
    assert (finding.verdict, finding.effect) == ("upheld", judged(evidence(a=a, b=b), MORE).effect)
    alone = judged(evidence(a=a, same=a), {"statistic": "accuracy", "higher": "a", "lower": "same"})
    assert (alone.verdict, alone.effect) == ("equivalent", 0.0)


def test_seeds_that_do_not_differ_show_no_noise_and_prove_nothing() -> None:
    a, b = (runs(name, [answers(0.8, seed=s, dead=dead) for s in range(3)]) for name, dead in (("a", 0.1), ("b", 0.0)))
    finding = judged(evidence(a=a, b=b), {"statistic": "dead_channels", "higher": "a", "lower": "b"})
    assert (finding.verdict, finding.p) == ("not tested", None)
    assert finding.effect == pytest.approx(0.1)
    assert finding.note == "the noise of seeds that are all equal is not known there"
