"""Figures of a study as text: shares, losses, effects, p values, durations and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from genrekit.metrics.formatting import format_number, with_interval
from genrekit.metrics.intervals import Interval
from genrekit.studies.findings import Finding
from genrekit.studies.verdicts import Judgement

NONE = "\N{EN DASH}"
"""The text of a figure that does not exist."""

AT_TEXT = {"last": "at the last epoch", "best": "at the best epoch", "equal steps": "at equal steps"}
"""The epoch at which runs are compared, as text."""

_MINUS = "\N{MINUS SIGN}"


def percent(figure: Interval | None) -> str:
    """Format a share with its 95 % interval.

    >>> percent(Interval(0.5, 0.412, 0.59))
    '50.0 % (41.2 to 59.0)'
    """
    return _with_interval(figure, ".1f", factor=100, unit=" %")


def nats(figure: Interval | None) -> str:
    """Format a loss with its 95 % interval.

    >>> nats(Interval(1.234, 1.1, 1.4))
    '1.234 (1.100 to 1.400)'
    """
    return _with_interval(figure, ".3f")


def points(figure: Interval | None) -> str:
    """Format a difference of shares in percentage points, with its 95 % interval.

    >>> points(Interval(0.125, 0.1, 0.15))
    '+12.5 (+10.0 to +15.0)'
    """
    return _with_interval(figure, "+.1f", factor=100)


def effect(judged: Finding | Judgement) -> str:
    """Format an effect with its 95 % interval.

    Losses are in nats, and shares in percentage points. A winner has its accuracy in per cent. If the bound of the
    hypothesis is not 0, it is added.
    """
    figure = None if judged.effect is None else Interval(judged.effect, or_nan(judged.low), or_nan(judged.high))
    if judged.statistic == "winner":
        return percent(figure)
    factor, form, unit = (1, "+.3f", " nats") if "loss" in judged.statistic else (100, "+.1f", " points")
    text = _with_interval(figure, form, factor=factor, unit=unit)
    if text == NONE or not judged.bound:
        return text
    return f"{text}; hypothesis: above {format_number(factor * judged.bound, form, minus=_MINUS)}"


def p_value(p: float | None) -> str:
    """Format a probability.

    >>> p_value(0.00002), p_value(0.0312), p_value(1.0)
    ('< 0.001', '0.031', '1.000')
    """
    if p is None or not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equation(p: float | None) -> str:
    """Format a probability as an equation or an inequality.

    >>> p_equation(0.00002), p_equation(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    text = p_value(p)
    return f"p {text}" if text[:1] == "<" or text == NONE else f"p = {text}"


def duration(seconds: float) -> str:
    """Format a duration, rounded.

    >>> duration(42), duration(750), duration(9_000)
    ('42 s', '12.5 min', '2.5 h')
    """
    if not math.isfinite(seconds):
        return NONE
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def seeds(numbers: Iterable[int]) -> str:
    """Format seeds, with ranges for consecutive ones.

    >>> seeds([0, 1, 2, 3, 7])
    '0 to 3, 7'
    """
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in spans) or NONE


def setting(value: object) -> str:
    """Format the value of a setting."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)


def listed(names: Sequence[str]) -> str:
    """Join names to an enumeration.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def or_nan(value: float | None) -> float:
    """Replace None by NaN."""
    return math.nan if value is None else value


def _with_interval(figure: Interval | None, form: str, *, factor: float = 1, unit: str = "") -> str:
    if figure is None or not math.isfinite(figure.value):
        return NONE
    return with_interval(figure, form, factor=factor, unit=unit, minus=_MINUS)
