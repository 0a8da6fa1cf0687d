"""The verdicts on the hypotheses of a study.

A hypothesis says that one difference is above zero, or that each of several is. All of them are above zero if the least
certain one is, so upholding a hypothesis needs no correction (the intersection-union test of Berger, 1982). One
difference below zero refutes it, so the smallest p of those is multiplied by the number of differences. Either way a
hypothesis has one two-sided p. The p values of a study are corrected for the number of planned hypotheses (Holm, 1979),
so that a verdict does not depend on which of the others could be tested. Before this correction, p < 0.05 and a 95 %
interval on one side of zero mean the same. A difference that was not detected may still exist: "equivalent" requires
an interval that lies within a margin on both sides of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genrekit.metrics.comparison import LEVEL, Difference, holm
from genrekit.metrics.intervals import Interval

Verdict = Literal["upheld", "refuted", "equivalent", "undecided", "not trained", "not tested"]

MARGINS = {"accuracy": 0.03, "loss": 0.1, "overfitting": 0.03, "training_accuracy": 0.03, "dead_channels": 0.03}
"""Differences of each statistic that are too small to matter: shares, and nats for the loss."""

MIN_SEEDS = 3
"""A configuration with fewer seeds is not tested: three are needed to estimate how much seeds differ."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on a hypothesis at the "last" epoch, at the "best" epoch or after "equal steps".

    `effect` is the tested difference with its 95 % interval, in the unit of `statistic`. The hypothesis says that it is
    above `bound`. Of several differences it is the least certain one. For a hypothesis about the winner, `statistic` is
    "winner" and `effect` the winner's accuracy. `p` is corrected for the number of hypotheses (Holm, 1979). `note`
    says how many pairs a mean is over if some are missing.
    """

    at: str
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    statistic: str = ""
    note: str = ""
    bound: float = 0.0


@dataclass(frozen=True)
class ComparisonResult:
    """A measured difference that a hypothesis says is above zero.

    `favoured_trained`: whether the favoured configurations beat the majority-class baseline. `tested`: whether there
    are enough seeds and pairs for a verdict. `by`: what the hypothesis adds to the difference; equivalence is judged
    without it. `note`: how many pairs the difference is a mean over, if some are missing.
    """

    difference: Difference
    margin: float
    favoured_trained: bool = True
    tested: bool = True
    by: float = 0.0
    statistic: str = ""
    note: str = ""


def is_trained(accuracy: Interval, chance: float) -> bool:
    """Return whether the whole confidence interval of an accuracy is above chance."""
    return accuracy.low > chance


def judge(hypotheses: Sequence[Sequence[ComparisonResult]], at: str = "last") -> list[Judgement]:
    """Judge the hypotheses of a study together; each is a conjunction of one or more comparisons.

    The first verdict that applies:

    - "not tested" or "not trained", if this is true of one comparison. Such a hypothesis has no p, and counts as p = 1
      in the correction.
    - "upheld" if all differences are above zero, "refuted" if one is below, with a corrected p < 0.05.
    - "equivalent" if all intervals that are not above zero lie within their margin.
    - "undecided".

    The effect is that of the difference that is least certain to be above zero, without `by`.
    """
    corrected = holm([1.0 if _obstacle(results) else _p(results) for results in hypotheses])
    return [_judgement(results, p, at) for results, p in zip(hypotheses, corrected, strict=True)]


def _judgement(results: Sequence[ComparisonResult], p: float, at: str) -> Judgement:
    least = max(results, key=lambda result: (_doubt(result), -result.difference.effect))
    difference, bound, obstacle = least.difference, 0.0 - least.by, _obstacle(results)
    low, high = (None if limit is None else limit + bound for limit in (difference.low, difference.high))
    return Judgement(
        at,
        obstacle or _verdict(results, p),
        difference.effect + bound,
        low,
        high,
        None if obstacle else p,
        least.statistic,
        least.note,
        bound,
    )


def _obstacle(results: Sequence[ComparisonResult]) -> Verdict | None:
    if any(not result.tested or result.difference.p is None for result in results):
        return "not tested"
    return None if all(result.favoured_trained for result in results) else "not trained"


def _verdict(results: Sequence[ComparisonResult], p: float) -> Verdict:
    if p < LEVEL:
        return "refuted" if any(result.difference.effect < 0 for result in results) else "upheld"
    within = [_is_within_margin(result) for result in results]
    settled = all(small or (result.difference.low or 0.0) > 0 for small, result in zip(within, results, strict=True))
    return "equivalent" if settled and any(within) else "undecided"


def _is_within_margin(result: ComparisonResult) -> bool:
    low, high = result.difference.low, result.difference.high
    if low is None or high is None:
        return False
    return -result.margin < low - result.by and high - result.by < result.margin


def _doubt(result: ComparisonResult) -> float:
    """The one-sided p of being above zero, 0.5 if the noise is unknown; above 1 for partial and missing differences."""
    p, effect = result.difference.p, result.difference.effect
    if math.isnan(effect):
        return 2.0
    doubt = 0.5 if p is None else p / 2 if effect > 0 else 1 - p / 2
    return 1 + doubt if result.note and not result.tested else doubt


def _p(results: Sequence[ComparisonResult]) -> float:
    """Combine the two-sided p of several differences that must all hold.

    If no difference is negative, it is the largest p. Otherwise it is the smallest p of the negative ones, times the
    number of differences (Bonferroni).
    """
    known = [(result.difference.effect, result.difference.p) for result in results if result.difference.p is not None]
    below = [p for effect, p in known if effect < 0]
    return min(1.0, len(results) * min(below)) if below else max(p for _, p in known)
