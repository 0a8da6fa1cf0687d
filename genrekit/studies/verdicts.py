"""What becomes of the claims of a study.

A claim is one difference above zero, or several that all have to be. All are above zero where the least sure one is, so
no correction is needed to uphold them together (Berger's intersection-union test, 1982); one below zero is enough to
refute, so the smallest p of those counts as often as there are differences. Either way a claim has one two-sided p,
and the p of a study's claims are corrected for the number that was declared (Holm 1979), so that no verdict depends on
which of the others could be judged. A p below 0.05 and a 95 % interval on one
side of zero are the same statement. A difference that is not found is not yet an absence: that takes an interval that
lies within a margin on both sides of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genrekit.metrics.comparison import LEVEL, Difference, holm
from genrekit.metrics.intervals import Interval

Verdict = Literal["upheld", "refuted", "equivalent", "undecided", "not trained", "not tested"]


@dataclass(frozen=True)
class Reading:
    """A claim judged at one place: the "last" epoch, the "best" one, or at "equal steps".

    `effect` is the difference that the claim says is above `bound`, with its 95 % interval, in the statistic's unit; of
    several differences the one that is least sure, of which `statistic` is, "winner" for a claim about the winner.
    `p` is corrected for the study's claims (Holm 1979). `note` says of how many pairs a mean is where some are missing.
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


MARGINS = {"accuracy": 0.03, "loss": 0.1, "overfitting": 0.03, "training_accuracy": 0.03, "dead_channels": 0.03}
"""Differences of each statistic that are too small to matter: shares, and nats for the loss."""

MOST_SEEDS_UNTESTED = 2
"""With so few seeds nothing is tested: three are the least that show how far seeds are apart."""


@dataclass(frozen=True)
class Part:
    """A difference that a claim says is above zero.

    `favoured_trained`: what the claim credits has learned something. `tested`: there are the seeds and epochs that a
    verdict needs. `by`: what the claim adds to the difference of its arms, which may be equivalent without it.
    `statistic`: what the difference is of. `note`: of how many pairs it is the mean, where some are missing.
    """

    difference: Difference
    margin: float
    favoured_trained: bool = True
    tested: bool = True
    by: float = 0.0
    statistic: str = ""
    note: str = ""


def is_trained(accuracy: Interval, chance: float) -> bool:
    """Whether an accuracy is above chance: its interval lies above it."""
    return accuracy.low > chance


def judge(claims: Sequence[Sequence[Part]], at: str = "last") -> list[Reading]:
    """Judge the claims of a study together, each a conjunction of one or more parts.

    The verdicts, the first that holds: "not tested" and "not trained" if one part is; "upheld" if all parts are above
    zero, and "refuted" if one is below, with a corrected p under 0.05; "equivalent" if all intervals that do not lie
    above zero lie within their margin; else "undecided". Claims that are not tested or not trained have no p,
    and count for the correction as if theirs were 1. The figures are those of the part that is least sure to be above
    zero, without what the claim adds to the difference of its arms.
    """
    corrected = holm([1.0 if _obstacle(parts) else _p(parts) for parts in claims])
    return [_reading(parts, p, at) for parts, p in zip(claims, corrected, strict=True)]


def _reading(parts: Sequence[Part], p: float, at: str) -> Reading:
    least = max(parts, key=lambda part: (_doubt(part), -part.difference.effect))
    its, bound, obstacle = least.difference, 0.0 - least.by, _obstacle(parts)
    low, high = (None if limit is None else limit + bound for limit in (its.low, its.high))
    return Reading(
        at,
        obstacle or _verdict(parts, p),
        its.effect + bound,
        low,
        high,
        None if obstacle else p,
        least.statistic,
        least.note,
        bound,
    )


def _obstacle(parts: Sequence[Part]) -> Verdict | None:
    if any(not part.tested or part.difference.p is None for part in parts):
        return "not tested"
    return None if all(part.favoured_trained for part in parts) else "not trained"


def _verdict(parts: Sequence[Part], p: float) -> Verdict:
    if p < LEVEL:
        return "refuted" if any(part.difference.effect < 0 for part in parts) else "upheld"
    within = [_is_within(part) for part in parts]
    settled = all(small or (part.difference.low or 0.0) > 0 for small, part in zip(within, parts, strict=True))
    return "equivalent" if settled and any(within) else "undecided"


def _is_within(part: Part) -> bool:
    low, high = part.difference.low, part.difference.high
    return low is not None and high is not None and -part.margin < low - part.by and high - part.by < part.margin


def _doubt(part: Part) -> float:
    """Sort by one-sided p of being above zero, a half where noise is not known; what is missing is in most doubt."""
    p, effect = part.difference.p, part.difference.effect
    if math.isnan(effect):
        return 2.0
    doubt = 0.5 if p is None else p / 2 if effect > 0 else 1 - p / 2
    return 1 + doubt if part.note else doubt


def _p(parts: Sequence[Part]) -> float:
    """Two-sided p of a claim: of its least sure part, or, where parts are below zero, of the surest of these."""
    known = [(part.difference.effect, part.difference.p) for part in parts if part.difference.p is not None]
    below = [p for effect, p in known if effect < 0]
    return min(1.0, len(parts) * min(below)) if below else max(p for _, p in known)
