"""Figures of the configurations of a study: accuracy as bars, and accuracy, loss and overfitting side by side."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genrekit.metrics.formatting import percent, percent_with_interval
from genrekit.metrics.intervals import Interval
from genrekit.reports.plots import Axes, Figure, Patch
from genrekit.studies.plot_style import BLUE, GREY, GRID, LIGHT_BLUE, LIGHT_GREY, ORANGE, hide_frame, wrapped
from genrekit.studies.ranking_text import first_of, in_order
from genrekit.studies.results import StudyResult
from genrekit.workflows.compare import RankedRun

_NAME_WIDTH, _TITLE_WIDTH = 34, 88
"""Characters of a name next to its bar, and of a title above a panel."""

_ROW, _PANEL, _LEGEND = 0.3, 0.9, 0.95
"""Heights in inches: of a line of a name, of a panel without its rows, and of the legend."""

_DARK = "#333333"

_RIGHT_OF_ROW = ("axes fraction", "data")
"""Coordinates of a text to the right of its row."""

_Measure = Callable[[RankedRun], Interval | None]

_ACCURACIES: dict[str, tuple[str, _Measure]] = {
    "last": ("last epoch", lambda run: run.last_accuracy),
    "best": ("best epoch, selected on the same tracks", lambda run: run.track_accuracy),
    "equal steps": ("equal steps", lambda run: run.equal_steps_accuracy),
}


@dataclass(frozen=True)
class _Panel:
    """The configurations of one group, the best first, and their names as shown."""

    group: str
    runs: tuple[RankedRun, ...]
    names: tuple[str, ...]

    @property
    def height(self) -> float:
        return _PANEL + _ROW * sum(0.35 + 0.75 * (1 + name.count("\n")) for name in self.names)


def accuracy_bars(result: StudyResult, at: str = "last") -> Figure:
    """Draw the track accuracy of each configuration with its 95 % interval and chance, one panel per group.

    `at` is "last", "best" or "equal steps". Configurations are ordered by this accuracy; those that are not trained are
    hatched and come last.
    """
    title, accuracy = _ACCURACIES[at]
    panels = _panels(result, accuracy)
    figure, rows = _stacked(panels, 1)
    figure.suptitle(f"Track accuracy in %, {title}", x=0.01, ha="left", fontsize=12)
    top = _upper_limit([accuracy(run) for run in result.runs] + [run.track_accuracy for run in result.runs])
    for panel, (axes,) in zip(panels, rows, strict=True):
        _bars(axes, panel, result, accuracy, marks=at != "best")
        axes.set_title(_best_and_worst(panel, accuracy), loc="left", fontsize=10, parse_math=False)
        axes.set_xlim(0, top)
    figure.legend(
        handles=_legend(rows[0][0], result, marks=at != "best"),
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def overview(result: StudyResult) -> Figure:
    """Draw the track accuracy, loss and overfitting of each configuration at the last epoch, with 95 % intervals."""
    panels = _panels(result, lambda run: run.last_accuracy)
    figure, rows = _stacked(panels, 3)
    measures: tuple[tuple[str, float, _Measure], ...] = (
        ("track accuracy in %", 100, lambda run: run.last_accuracy),
        ("loss in nats", 1, lambda run: run.last_loss),
        ("overfitting in points", 100, lambda run: run.overfitting),
    )
    for panel, row in zip(panels, rows, strict=True):
        for axes, (title, scale, measure) in zip(row, measures, strict=True):
            name = f"{panel.group}: {title}" if panel.group and axes is row[0] else title
            axes.set_title(name, loc="left", fontsize=10, parse_math=False)
            _dots(axes, panel, result, measure, scale)
        for axes in row[1:]:
            axes.tick_params(labelleft=False)
        row[2].axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    for axes in rows[0]:
        axes.margins(x=0.08)
    return figure


def _panels(result: StudyResult, measure: _Measure) -> list[_Panel]:
    runs = sorted(in_order(result), key=lambda run: (not run.trained, -_value(measure(run))))
    groups = list(dict.fromkeys(run.group for run in result.runs)) or [""]
    members = [tuple(run for run in runs if run.group == group) for group in groups]
    first = first_of(result)
    return [
        _Panel(group, group_runs, tuple(_row_name(run, result, first) for run in group_runs))
        for group, group_runs in zip(groups, members, strict=True)
    ]


def _row_name(run: RankedRun, result: StudyResult, first: str) -> str:
    sign = "★ " if run.name == first else "≈ " if run.name in result.ties else ""
    return (sign if run.trained else "") + wrapped(run.name, _NAME_WIDTH)


def _stacked(panels: Sequence[_Panel], columns: int) -> tuple[Figure, list[list[Axes]]]:
    heights = [panel.height for panel in panels]
    figure = Figure(figsize=(10 if columns == 1 else 12, sum(heights) + _LEGEND), dpi=110, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, sharex="col", height_ratios=heights)
    for panel, row in zip(panels, grid, strict=True):
        for axes in row:
            axes.set_ylim(len(panel.runs) - 0.5, -0.5)
            axes.set_yticks(range(len(panel.runs)), panel.names, fontsize=9, parse_math=False)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(axis="x", labelbottom=True)
            hide_frame(axes, "left")
            axes.grid(axis="x", **GRID)
            axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def _bars(axes: Axes, panel: _Panel, result: StudyResult, accuracy: _Measure, *, marks: bool) -> None:
    for row, run in enumerate(panel.runs):
        figure = accuracy(run)
        if figure is not None and math.isfinite(figure.value):
            axes.barh(row, 100 * figure.value, 0.66, **_bar_style(run, result))
            _whisker(axes, row, figure, 100)
        if marks:
            axes.plot(100 * run.track_accuracy.value, row, "D", color="white", markeredgecolor=ORANGE, markersize=5)
        note = _figure_text(figure) + ("" if run.trained else "  not trained")
        axes.annotate(note, (1.01, row), xycoords=_RIGHT_OF_ROW, va="center", fontsize=9, color=_DARK)
    axes.axvline(_chance(result), color="black", linewidth=1, linestyle="--")


def _dots(axes: Axes, panel: _Panel, result: StudyResult, measure: _Measure, scale: float) -> None:
    for row, run in enumerate(panel.runs):
        figure = measure(run)
        if figure is None or not math.isfinite(figure.value):
            axes.annotate("no figure", (0.02, row), xycoords=_RIGHT_OF_ROW, va="center", fontsize=8, color=GREY)
            continue
        colour = _bar_style(run, result)["color"] if run.trained else "white"
        _whisker(axes, row, figure, scale)
        axes.plot(scale * figure.value, row, "o", color=colour, markeredgecolor=_DARK, markersize=6.5, zorder=3)


def _whisker(axes: Axes, row: int, figure: Interval, scale: float) -> None:
    if math.isfinite(figure.low) and math.isfinite(figure.high):
        axes.plot([scale * figure.low, scale * figure.high], [row, row], color=_DARK, linewidth=1.3)


def _bar_style(run: RankedRun, result: StudyResult) -> dict[str, Any]:
    if not run.trained:
        return {"color": "#F1F2F4", "edgecolor": "#8A9099", "hatch": "////"}
    if run.name == first_of(result):
        return {"color": BLUE}
    return {"color": LIGHT_BLUE if run.name in result.ties else LIGHT_GREY}


def _legend(axes: Axes, result: StudyResult, *, marks: bool) -> list[object]:
    colours = [_bar_style(run, result)["color"] for run in result.runs]
    handles: list[object] = [Patch(color=BLUE, label="★ first in the ranking")] if BLUE in colours else []
    if LIGHT_BLUE in colours:
        handles.append(Patch(color=LIGHT_BLUE, label="≈ tied with the first"))
    if LIGHT_GREY in colours:
        handles.append(Patch(color=LIGHT_GREY, label="others"))
    if not all(run.trained for run in result.runs):
        handles.append(Patch(facecolor="#F1F2F4", edgecolor="#8A9099", hatch="////", label="not trained"))
    handles += axes.plot([], [], color=_DARK, linewidth=1.3, label="95 % interval")
    if marks:
        style: dict[str, Any] = {"color": "white", "markeredgecolor": ORANGE, "markersize": 5, "linestyle": ""}
        handles += axes.plot([], [], marker="D", label="best epoch (optimistic: selected on the same tracks)", **style)
    chance = f"chance ({_chance(result):.0f} %)"
    return handles + axes.plot([], [], color="black", linewidth=1, linestyle="--", label=chance)


def _best_and_worst(panel: _Panel, measure: _Measure) -> str:
    """The title of a panel: its best and its worst trained configuration."""
    runs = [run for run in panel.runs if run.trained and math.isfinite(_value(measure(run)))]
    prefix = f"{panel.group}: " if panel.group else ""
    if not runs:
        return f"{prefix}no trained configuration has a figure"
    best, worst = (
        f"{wrapped(run.name, 2 * _NAME_WIDTH, 1)} ({percent(_value(measure(run)))})" for run in (runs[0], runs[-1])
    )
    start = f"{panel.group}, best" if panel.group else "best"
    lines = [f"{start}: {best}", f"worst: {worst}"] if len(runs) > 1 else [f"{prefix}{best}"]
    if len(runs) > 1 and _value(measure(runs[0])) == _value(measure(runs[-1])):
        lines = [f"{prefix}all {percent(_value(measure(runs[0])))}"]
    return "\n".join(textwrap.fill(line, _TITLE_WIDTH) for line in lines)


def _figure_text(figure: Interval | None) -> str:
    if figure is None or not math.isfinite(figure.value):
        return "no figure"
    return percent_with_interval(figure)


def _value(figure: Interval | None) -> float:
    return -math.inf if figure is None or not math.isfinite(figure.value) else figure.value


def _upper_limit(figures: Sequence[Interval | None]) -> float:
    """The next ten per cent above all figures and their intervals."""
    ends = [
        end for figure in figures if figure is not None for end in (figure.value, figure.high) if math.isfinite(end)
    ]
    return min(100.0, 10 * math.ceil(10 * max(ends, default=1.0) + 0.2))


def _chance(result: StudyResult) -> float:
    return 100 * result.head.chance if result.head is not None and result.head.chance else math.nan
