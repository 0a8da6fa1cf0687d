"""Figures of a search: its trials, the importance of hyperparameters, and the objective against their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from genrekit.reports.plots import Axes, Figure
from genrekit.studies.optuna_trials import Trial
from genrekit.studies.plot_style import BLUE, GREY, GRID, LIGHT_GREY, ORANGE, hide_frame
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text

_FINISHED, _FINALIST, _PRUNED = BLUE, ORANGE, LIGHT_GREY

_COLUMNS = 3


def search_figures(search: SearchResult) -> dict[str, Figure]:
    """Return the figures of a search by name, without empty ones."""
    figures = {"trials": trials_figure(search)}
    if search.importances:
        figures["importances"] = importances_figure(search)
    if any(trial.value is not None for trial in search.trials):
        figures["slices"] = slices_figure(search)
    return figures


def trials_figure(search: SearchResult) -> Figure:
    """Draw the objective of each trial in the order in which they were drawn, and the best so far."""
    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    finished = _finished(search)
    better = min if search.objective == "loss" else max
    best = list(accumulate((_value(search, trial) for trial in finished), better))
    axes.step([trial.number for trial in finished], best, where="post", color=GREY, lw=1, label="best so far")
    for label, colour, marker, members in (
        ("finished", _FINISHED, "o", [trial for trial in finished if trial.name not in search.finalists]),
        ("finalist", _FINALIST, "D", [trial for trial in finished if trial.name in search.finalists]),
        ("pruned, at its best epoch", _PRUNED, "x", [t for t in search.trials if t.state == "pruned" and t.curve]),
    ):
        if members:
            values = [_value(search, trial) for trial in members]
            axes.plot([trial.number for trial in members], values, marker, color=colour, markersize=5, label=label)
    failed = [trial.number for trial in search.trials if trial.state == "failed"]
    if failed:
        heights = [0.02] * len(failed)
        axes.plot(failed, heights, "|", color="black", transform=axes.get_xaxis_transform(), label="failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(_unit(search))
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.legend(frameon=False, fontsize=8.5)
    _style(axes)
    return figure


def importances_figure(search: SearchResult) -> Figure:
    """Draw the importances as bars, the largest on top."""
    names = sorted(search.importances, key=lambda name: search.importances[name])
    shares = [100 * search.importances[name] for name in names]
    figure = Figure(figsize=(8, 1 + 0.32 * len(names)), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(names)), shares, 0.66, color=_FINISHED)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the objective's variance in %")
    _style(axes)
    return figure


def slices_figure(search: SearchResult) -> Figure:
    """Draw the objective of each finished trial against each of its hyperparameters, one panel for each."""
    names = list(search.space)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 2.7 * rows + 0.3), dpi=110, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        _slice(axes, search, name)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for row in range(rows):
        panels[row * columns].set_ylabel(_unit(search))
    return figure


def _slice(axes: Axes, search: SearchResult, name: str) -> None:
    finished = _finished(search)
    chosen = [trial.chosen.get(name) for trial in finished]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in chosen):
        positions: Sequence[Any] = chosen
        if "logarithmic" in search.space[name]:
            axes.set_xscale("log")
    else:
        texts = [value_text(value) for value in chosen]
        labels = sorted(set(texts))
        positions = [labels.index(text) for text in texts]
        axes.set_xticks(range(len(labels)), labels, fontsize=8, parse_math=False)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    values = [_value(search, trial) for trial in finished]
    colours = [_FINALIST if trial.name in search.finalists else _FINISHED for trial in finished]
    axes.scatter(positions, values, s=22, c=colours, alpha=0.8, linewidths=0)
    axes.set_title(name, loc="left", fontsize=10)
    _style(axes)


def _finished(search: SearchResult) -> list[Trial]:
    return [trial for trial in search.trials if trial.value is not None]


def _value(search: SearchResult, trial: Trial) -> float:
    """The objective of a trial; of a pruned trial, that of its best epoch."""
    best = min if search.objective == "loss" else max
    value = best(trial.curve, default=math.nan) if trial.value is None else trial.value
    return value if search.objective == "loss" else 100 * value


def _unit(search: SearchResult) -> str:
    return "loss in nats" if search.objective == "loss" else "track accuracy in %"


def _style(axes: Axes) -> None:
    hide_frame(axes)
    axes.grid(**GRID)
    axes.set_axisbelow(True)
