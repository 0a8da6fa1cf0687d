"""Shares, losses and differences as text, with their 95 % intervals."""

from __future__ import annotations

import math

from genrekit.metrics.intervals import Interval


def percent(share: float) -> str:
    """Format a share as a percentage with one decimal.

    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{100 * share:.1f} %"


def loss_text(loss: float) -> str:
    """Format a loss with three decimals, or with three digits if it is very large.

    >>> loss_text(2.3072), loss_text(571_999_165_979_033.6)
    ('2.307', '5.72e+14')
    """
    return f"{loss:.3f}" if abs(loss) < 10_000 else f"{loss:.3g}"


def percent_bounds(figure: Interval, digits: int = 0) -> str:
    """Format the bounds of a share's interval in per cent, without the sign.

    >>> percent_bounds(Interval(0.5, 0.41, 0.59)), percent_bounds(Interval(0.5, 0.412, 0.59), digits=1)
    ('41 to 59', '41.2 to 59.0')
    """
    return f"{100 * figure.low:.{digits}f} to {100 * figure.high:.{digits}f}"


def percent_with_interval(figure: Interval, digits: int = 0) -> str:
    """Format a share and its interval in per cent, without the sign; `digits` are the decimals of the bounds.

    The interval is left out if it is not finite.

    >>> percent_with_interval(Interval(0.5, 0.41, 0.59)), percent_with_interval(Interval(0.5, math.nan, math.nan))
    ('50.0 (41 to 59)', '50.0')
    """
    return with_interval(figure, ".1f", factor=100, bounds=f".{digits}f")


def with_interval(
    figure: Interval, form: str, *, factor: float = 1, bounds: str | None = None, unit: str = "", minus: str = "-"
) -> str:
    """Format a figure and its interval, each multiplied by a factor; the interval is left out if it is not finite.

    `form` is the format of the value, and of the bounds if `bounds` is not given. `minus` is the sign of numbers below
    zero. A value that rounds to zero has no minus sign.

    >>> with_interval(Interval(-0.125, -0.15, 0.0), "+.1f", factor=100, unit=" points")
    '-12.5 points (-15.0 to +0.0)'
    """
    value = f"{format_number(factor * figure.value, form, minus=minus)}{unit}"
    if not (math.isfinite(figure.low) and math.isfinite(figure.high)):
        return value
    low, high = (format_number(factor * bound, bounds or form, minus=minus) for bound in (figure.low, figure.high))
    return f"{value} ({low} to {high})"


def format_number(value: float, form: str, *, minus: str = "-") -> str:
    """Format a number; one that rounds to zero has no minus sign.

    >>> format_number(-0.04, ".1f"), format_number(-0.06, ".1f", minus="~")
    ('0.0', '~0.1')
    """
    text = format(value, form)
    return (text if float(text) else format(0.0, form)).replace("-", minus)


def signed_points(points: float) -> str:
    """Format a difference in whole percentage points, with its sign unless it rounds to zero.

    >>> signed_points(2.6), signed_points(-0.2), signed_points(-30.0)
    ('+3', '0', '-30')
    """
    return f"{points:+.0f}" if round(points) else "0"
