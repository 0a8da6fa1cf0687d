"""Pictures of a study: how its arms did, and how they got there."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.metrics.epochs import Epoch
from genrekit.metrics.formatting import percent, percent_with_interval
from genrekit.metrics.intervals import Interval
from genrekit.reports.plots import Axes, Figure, Patch
from genrekit.studies.results import StudyResult
from genrekit.studies.text import best_accuracy, first_of, in_order
from genrekit.workflows.compare import RankedRun

_BEST, _TIE, _OTHER, _MARK, _QUIET = "#0072B2", "#56B4E9", "#B9BEC5", "#D55E00", "#666666"
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; yellow is too faint on white."""

_MARKERS = ("", "o", "^", "s")
"""What tells two arms of one colour apart."""

_NAME_WIDTH, _NAME_LINES, _TITLE_WIDTH = 34, 2, 88
"""Characters and lines that a name may take beside its bar, and a title above a panel."""

_ROW, _PANEL, _LEGEND = 0.3, 0.9, 0.95
"""Inches that a line of a name takes, what is around a panel's rows, and what is below all panels."""

_BESIDE = ("axes fraction", "data")
"""Coordinates of a text beside its row."""

_Place = Callable[[RankedRun], Interval | None]

_PLACES: dict[str, tuple[str, _Place]] = {
    "last": ("last epoch", lambda run: run.last_accuracy),
    "best": ("best epoch, chosen on the same tracks", best_accuracy),
    "equal steps": ("equal steps", lambda run: run.equal_steps_accuracy),
}


@dataclass(frozen=True)
class _Panel:
    """The arms of one group, the best first."""

    group: str
    runs: tuple[RankedRun, ...]
    names: tuple[str, ...]

    @property
    def height(self) -> float:
        return _PANEL + _ROW * sum(0.35 + 0.75 * (1 + name.count("\n")) for name in self.names)


def accuracy_bars(result: StudyResult, at: str = "last") -> Figure:
    """Track accuracy of each arm with its 95 % interval, a panel for each group, beside chance.

    `at` is where it is read: "last", "best" or "equal steps". Arms are ordered by it; those that were not trained
    are hatched and come last.
    """
    title, place = _PLACES[at]
    panels = _panels(result, lambda run: _value(place(run)))
    figure, rows = _stacked(panels, 1)
    figure.suptitle(f"Track accuracy in %, {title}", x=0.01, ha="left", fontsize=12)
    top = _upper_limit([place(run) for run in result.runs] + [best_accuracy(run) for run in result.runs])
    for panel, (axes,) in zip(panels, rows, strict=True):
        _bars(axes, panel, result, place, marks=at != "best")
        axes.set_title(_extremes(panel, place), loc="left", fontsize=10, parse_math=False)
        axes.set_xlim(0, top)
    figure.legend(
        handles=_bar_legend(rows[0][0], result, marks=at != "best"),
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def overview(result: StudyResult) -> Figure:
    """Track accuracy, loss and overfitting of each arm at the last epoch, with 95 % intervals, beside each other."""
    panels = _panels(result, lambda run: _value(run.last_accuracy))
    figure, rows = _stacked(panels, 3)
    measures: tuple[tuple[str, float, _Place], ...] = (
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
        row[2].axvline(0, color=_QUIET, linewidth=0.8, linestyle=":")
    for axes in rows[0]:
        axes.margins(x=0.08)
    return figure


def curves(histories: Mapping[str, Sequence[Sequence[Epoch]]], groups: Mapping[str, str] | None = None) -> Figure:
    """Learning curves of arms, one history a seed: losses above, validation track accuracy below, a column for a group.

    The line is the mean over seeds as far as all of them go; each seed is a thin line. `groups` names each arm's.
    """
    group_of = groups or {}
    names = list(dict.fromkeys(group_of.get(arm, "") for arm in histories)) or [""]
    members = [[arm for arm in histories if group_of.get(arm, "") == name] for name in names]
    wide = 2 if len(names) == 1 else 1
    lines = max(sum(_label(arm, 52).count("\n") + 1 for arm in arms) for arms in members)
    legend = 0.4 + 0.2 * math.ceil(lines / wide)
    width = 9.0 if len(names) == 1 else 6.0 * len(names)
    figure = Figure(figsize=(width, 7.4 + legend), dpi=110, layout="constrained")
    grid = figure.subplots(3, len(names), squeeze=False, height_ratios=(3.7, 3.7, legend))
    for column, (name, arms) in enumerate(zip(names, members, strict=True)):
        loss, accuracy, below = grid[:, column]
        points = any(len(seed) == 1 for arm in arms for seed in histories[arm])
        kinds = ("validation solid or o", "training dashed or x") if points else ("validation solid", "training dashed")
        title = f"Cross-entropy loss: {', '.join(kinds)}"
        loss.set_title(f"{name}\n{title}" if name else title, loc="left", fontsize=10, parse_math=False)
        accuracy.set_title("Validation track accuracy in %", loc="left", fontsize=10)
        for index, arm in enumerate(arms):
            _curve(loss, accuracy, histories[arm], index, len(arms))
        _finish(loss, [epoch for arm in arms for seed in histories[arm] for epoch in seed])
        accuracy.set_xlabel("epoch")
        for axes in (loss, accuracy):
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#E3E5E8", linewidth=0.6)
        below.set_axis_off()
        handles = [below.plot([], [], **_look(index), linewidth=1.8)[0] for index in range(len(arms))]
        labels = [_label(arm, 52) for arm in arms]
        key = below.legend(handles, labels, loc="upper left", ncols=wide, frameon=False, fontsize=8.5)
        for text in key.get_texts():
            text.set_parse_math(False)
    return figure


def _panels(result: StudyResult, value: Callable[[RankedRun], float]) -> list[_Panel]:
    runs = sorted(in_order(result), key=lambda run: (not run.trained, -value(run)))
    groups = list(dict.fromkeys(run.group for run in result.runs)) or [""]
    members = [tuple(run for run in runs if run.group == group) for group in groups]
    best = first_of(result)
    return [
        _Panel(group, own, tuple(_row_name(run, result, best) for run in own))
        for group, own in zip(groups, members, strict=True)
    ]


def _row_name(run: RankedRun, result: StudyResult, best: str) -> str:
    sign = "★ " if run.name == best else "≈ " if run.name in result.ties else ""
    return (sign if run.trained else "") + _label(run.name, _NAME_WIDTH)


def _label(name: str, width: int, lines: int = _NAME_LINES) -> str:
    """A name on as few lines as it needs, shortened where it needs more than there are."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …") or [""])


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
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="x", color="#E3E5E8", linewidth=0.6)
            axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def _bars(axes: Axes, panel: _Panel, result: StudyResult, place: _Place, *, marks: bool) -> None:
    for row, run in enumerate(panel.runs):
        figure = place(run)
        if figure is not None and math.isfinite(figure.value):
            axes.barh(row, 100 * figure.value, 0.66, **_bar_look(run, result))
            _whisker(axes, row, figure, 100)
        best = best_accuracy(run) if marks else None
        if best is not None:
            axes.plot(100 * best.value, row, "D", color="white", markeredgecolor=_MARK, markersize=5)
        note = _figures(figure) + ("" if run.trained else "  not trained")
        axes.annotate(note, (1.01, row), xycoords=_BESIDE, va="center", fontsize=9, color="#333333")
    axes.axvline(_chance(result), color="black", linewidth=1, linestyle="--")


def _dots(axes: Axes, panel: _Panel, result: StudyResult, measure: _Place, scale: float) -> None:
    for row, run in enumerate(panel.runs):
        figure = measure(run)
        if figure is None or not math.isfinite(figure.value):
            axes.annotate("no figure", (0.02, row), xycoords=_BESIDE, va="center", fontsize=8, color=_QUIET)
            continue
        colour = _bar_look(run, result)["color"] if run.trained else "white"
        _whisker(axes, row, figure, scale)
        axes.plot(scale * figure.value, row, "o", color=colour, markeredgecolor="#333333", markersize=6.5, zorder=3)


def _whisker(axes: Axes, row: int, figure: Interval, scale: float) -> None:
    if math.isfinite(figure.low) and math.isfinite(figure.high):
        axes.plot([scale * figure.low, scale * figure.high], [row, row], color="#333333", linewidth=1.3)


def _bar_look(run: RankedRun, result: StudyResult) -> dict[str, Any]:
    if not run.trained:
        return {"color": "#F1F2F4", "edgecolor": "#8A9099", "hatch": "////"}
    if run.name == first_of(result):
        return {"color": _BEST}
    return {"color": _TIE if run.name in result.ties else _OTHER}


def _bar_legend(axes: Axes, result: StudyResult, *, marks: bool) -> list[object]:
    colours = [_bar_look(run, result)["color"] for run in result.runs]
    handles: list[object] = [Patch(color=_BEST, label="★ first of the ranking")] if _BEST in colours else []
    if _TIE in colours:
        handles.append(Patch(color=_TIE, label="≈ cannot be told from it"))
    if _OTHER in colours:
        handles.append(Patch(color=_OTHER, label="others"))
    if not all(run.trained for run in result.runs):
        handles.append(Patch(facecolor="#F1F2F4", edgecolor="#8A9099", hatch="////", label="not trained"))
    handles += axes.plot([], [], color="#333333", linewidth=1.3, label="95 % interval")
    if marks:
        look: dict[str, Any] = {"color": "white", "markeredgecolor": _MARK, "markersize": 5, "linestyle": ""}
        handles += axes.plot([], [], marker="D", label="best epoch (optimistic: chosen on the same tracks)", **look)
    chance = f"chance ({_chance(result):.0f} %)"
    return handles + axes.plot([], [], color="black", linewidth=1, linestyle="--", label=chance)


def _extremes(panel: _Panel, place: _Place) -> str:
    """The best and the worst of a panel's trained arms, by name."""
    judged = [run for run in panel.runs if run.trained and math.isfinite(_value(place(run)))]
    prefix = f"{panel.group}: " if panel.group else ""
    if not judged:
        return f"{prefix}no trained arm has a figure"
    best, worst = (
        f"{_label(run.name, 2 * _NAME_WIDTH, 1)} ({percent(_value(place(run)))})" for run in (judged[0], judged[-1])
    )
    begin = f"{panel.group}, best" if panel.group else "best"
    lines = [f"{begin}: {best}", f"worst: {worst}"] if len(judged) > 1 else [f"{prefix}{best}"]
    if len(judged) > 1 and _value(place(judged[0])) == _value(place(judged[-1])):
        lines = [f"{prefix}all {percent(_value(place(judged[0])))}"]
    return "\n".join(textwrap.fill(line, _TITLE_WIDTH) for line in lines)


def _figures(figure: Interval | None) -> str:
    if figure is None or not math.isfinite(figure.value):
        return "no figure"
    return percent_with_interval(figure)


def _value(figure: Interval | None) -> float:
    return -math.inf if figure is None or not math.isfinite(figure.value) else figure.value


def _upper_limit(figures: Sequence[Interval | None]) -> float:
    """The next ten per cent above all that is drawn."""
    ends = [
        end for figure in figures if figure is not None for end in (figure.value, figure.high) if math.isfinite(end)
    ]
    return min(100.0, 10 * math.ceil(10 * max(ends, default=1.0) + 0.2))


def _chance(result: StudyResult) -> float:
    return 100 * result.head.chance if result.head is not None and result.head.chance else math.nan


def _look(index: int) -> dict[str, Any]:
    marker = _MARKERS[index // len(_LINES) % len(_MARKERS)]
    return {"color": _LINES[index % len(_LINES)], "marker": marker, "markersize": 4, "markerfacecolor": "white"}


def _curve(loss: Axes, accuracy: Axes, seeds: Sequence[Sequence[Epoch]], index: int, arms: int) -> None:
    look, faint = _look(index), 0.35 if arms <= 4 else 0.18
    panes: tuple[tuple[Axes, Callable[[Epoch], float], str], ...] = (
        (loss, lambda epoch: epoch.train_loss, "--"),
        (loss, lambda epoch: epoch.validation_loss, "-"),
        (accuracy, lambda epoch: 100 * epoch.validation_track_accuracy, "-"),
    )
    for axes, value, style in panes:
        mean = _mean([[value(epoch) for epoch in seed] for seed in seeds])
        epochs = [epoch.epoch for epoch in max(seeds, key=len, default=[])][: len(mean)]
        dots = (
            {"marker": "o" if style == "-" else "x"}
            if len(epochs) == 1
            else {"markevery": (index % 3, max(1, len(epochs) // 6))}
        )
        thick = 1.8 if style == "-" else 0.9
        axes.plot(epochs, mean, linestyle=style, linewidth=thick, **{**look, **dots})
        if len(seeds) > 1 and style == "-":
            for seed in seeds:
                axes.plot([e.epoch for e in seed], [value(e) for e in seed], color=look["color"], lw=0.6, alpha=faint)


def _mean(seeds: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The mean over seeds at each epoch that all of them have."""
    return np.array([np.mean(values) for values in zip(*seeds, strict=False)])


def _finish(axes: Axes, epochs: Sequence[Epoch]) -> None:
    """End the axis of losses where nearly all of them are, so that one that diverged does not flatten the others."""
    losses = np.array([value for epoch in epochs for value in (epoch.train_loss, epoch.validation_loss)])
    losses = losses[np.isfinite(losses)]
    if losses.any():  # of nothing but zeros no axis has an end
        end = min(losses.max(), 2 * np.quantile(losses, 0.9) or math.inf)
        axes.set_ylim(0, 1.05 * end)
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
        if (highest := drawn.max(initial=0, where=np.isfinite(drawn))) > 1.05 * end:
            text = f"losses up to {highest:.3g} are above this axis"
            axes.annotate(text, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=8, color=_QUIET)
