"""Charts as SVG within a page, in the page's colours; each has a table or a sentence that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from genrekit.metrics.calibration import Calibration
from genrekit.metrics.intervals import Interval
from genrekit.reports.page import Html

_LEFT, _TOP, _WIDTH, _HEIGHT = 46, 12, 340, 190
_BOTTOM = 38
_MOST_MARKS = 6


@dataclass(frozen=True)
class Curve:
    """A curve of a chart; `style` names one of the page's lines: first, second or third."""

    name: str
    style: str
    values: Sequence[float]


def line_chart(
    label: str, epochs: Sequence[int], curves: Sequence[Curve], *, best_epoch: int, top: float | None = None
) -> Html:
    """Curves over epochs from 0 up to `top`, or to the largest value, with the best epoch marked and a legend below.

    `label` says what the chart shows to those who do not see it.
    """
    highest = max((value for curve in curves for value in curve.values), default=1.0) if top is None else top
    marks = _marks(highest)
    high = marks[-1]
    first, last = epochs[0], epochs[-1]

    def x(epoch: float) -> float:
        return _LEFT + (_WIDTH * (epoch - first) / (last - first) if last > first else _WIDTH / 2)

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (1 - min(value, high) / high)

    parts = [_rule(_LEFT, y(mark), _LEFT + _WIDTH, y(mark)) for mark in marks]
    parts += [_text(_LEFT - 6, y(mark) + 4, f"{mark:g}", "end") for mark in marks]
    parts += [_text(x(epoch), _TOP + _HEIGHT + 16, str(epoch), "middle") for epoch in _whole_marks(first, last)]
    parts.append(_text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 31, "epoch", "middle"))
    parts.append(f'<path class="best" d="M{x(best_epoch):.1f} {_TOP}V{_TOP + _HEIGHT}"/>')
    for curve in curves:
        points = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in zip(epochs, curve.values, strict=True))
        parts.append(f'<polyline class="line {curve.style}" points="{points}"/>')
        if len(epochs) == 1:
            parts.append(f'<circle class="dot {curve.style}" cx="{x(first):.1f}" cy="{y(curve.values[0]):.1f}" r="3"/>')
    legend = "".join(f"<li>{_key(curve.style)} {escape(curve.name)}</li>" for curve in curves)
    best = f"<li>{_key('best')} best epoch ({best_epoch})</li>"
    svg = _svg(label, _LEFT + _WIDTH + 14, _TOP + _HEIGHT + _BOTTOM, parts)
    return Html(f'{svg}<ul class="legend">{legend}{best}</ul>')


def reliability_chart(label: str, found: Calibration) -> Html:
    """Share of right answers against confidence: a bar a bin, and a dot where it would be without fault."""
    side = 220

    def x(value: float) -> float:
        return _LEFT + side * value

    def y(value: float) -> float:
        return _TOP + side * (1 - value)

    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    parts = [_rule(x(0), y(tick), x(1), y(tick)) for tick in ticks]
    parts += [_text(x(0) - 6, y(tick) + 4, f"{tick:g}", "end") for tick in ticks]
    parts += [_text(x(tick), y(0) + 16, f"{tick:g}", "middle") for tick in ticks]
    parts.append(_text(x(0.5), y(0) + 31, "confidence", "middle"))
    for one in found.bins:
        width, height = max(1.0, x(one.high) - x(one.low) - 1), y(0) - y(one.accuracy)
        parts.append(
            f'<rect class="bar" x="{x(one.low):.1f}" y="{y(one.accuracy):.1f}" width="{width:.1f}" '
            f'height="{height:.1f}"/>'
        )
    parts.append(f'<path class="best" d="M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}"/>')
    parts += [
        f'<circle class="dot second" cx="{x(b.confidence):.1f}" cy="{y(b.confidence):.1f}" r="3"/>' for b in found.bins
    ]
    return _svg(label, _LEFT + side + 14, _TOP + side + _BOTTOM, parts)


def whisker(figure: Interval) -> Html:
    """A share and its interval on a line from 0 to 1; the numbers stand beside it."""
    width, middle = 110, 8
    low, value, high = (4 + (width - 8) * share for share in (figure.low, figure.value, figure.high))
    return Html(
        f'<svg class="whisker" width="{width}" height="16" viewBox="0 0 {width} 16" aria-hidden="true">'
        f"{_rule(4, middle, width - 4, middle)}"
        f'<path class="line first" d="M{low:.1f} {middle}H{high:.1f}"/>'
        f'<circle class="dot first" cx="{value:.1f}" cy="{middle}" r="4"/></svg>'
    )


def _marks(highest: float) -> list[float]:
    """Round numbers from 0 to the first that is not below the highest value."""
    if not highest > 0:
        return [0.0, 1.0]
    raw = highest / (_MOST_MARKS - 1)
    unit = 10 ** np.floor(np.log10(raw))
    step = float(unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9)))
    return [round(step * place, 12) for place in range(int(np.ceil(highest / step - 1e-9)) + 1)]


def _whole_marks(first: int, last: int) -> list[int]:
    """Some whole numbers between two, these two among them."""
    step = -(-(last - first) // (_MOST_MARKS - 1)) or 1
    between = [epoch for epoch in range(first, last, step) if last - epoch >= step / 2 or epoch == first]
    return list(dict.fromkeys([*between, last]))


def _svg(label: str, width: float, height: float, parts: Sequence[str]) -> Html:
    return Html(
        f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}">'
        f"{''.join(parts)}</svg>"
    )


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path class="rule" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _key(style: str) -> str:
    line = "best" if style == "best" else f"line {style}"
    return f'<svg width="26" height="8" aria-hidden="true"><path class="{line}" d="M1 4H25"/></svg>'
