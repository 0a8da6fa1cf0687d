"""Pictures of a search: how its trials went, which hyperparameters mattered, and where the good values lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from genrekit.reports.plots import Axes, Figure
from genrekit.studies.optuna_trials import Trial
from genrekit.studies.results import SearchResult
from genrekit.studies.search_schema import value_text

_FINISHED, _FINALIST, _PRUNED, _QUIET = "#0072B2", "#D55E00", "#B9BEC5", "#666666"
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

_COLUMNS = 3


def search_figures(search: SearchResult) -> dict[str, Figure]:
    """The pictures of a search by their names; those that there is nothing to show in are left out."""
    figures = {"trials": trials_figure(search)}
    if search.importances:
        figures["importances"] = importances_figure(search)
    if any(trial.value is not None for trial in search.trials):
        figures["slices"] = slices_figure(search)
    return figures


def trials_figure(search: SearchResult) -> Figure:
    """The objective of each trial in the order in which they were drawn, and the best so far."""
    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    finished = _finished(search)
    better = min if search.objective == "loss" else max
    best = list(accumulate((_value(search, trial) for trial in finished), better))
    axes.step([trial.number for trial in finished], best, where="post", color=_QUIET, lw=1, label="best so far")
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
        places = [0.02] * len(failed)
        axes.plot(failed, places, "|", color="black", transform=axes.get_xaxis_transform(), label="failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(_unit(search))
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.legend(frameon=False, fontsize=8.5)
    _quiet(axes)
    return figure


def importances_figure(search: SearchResult) -> Figure:
    """Bars of the importances, the largest on top."""
    names = sorted(search.importances, key=lambda name: search.importances[name])
    shares = [100 * search.importances[name] for name in names]
    figure = Figure(figsize=(8, 1 + 0.32 * len(names)), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(names)), shares, 0.66, color=_FINISHED)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the objective's variance in %")
    _quiet(axes)
    return figure


def slices_figure(search: SearchResult) -> Figure:
    """A panel for each hyperparameter: the objective of each finished trial beside the value that it chose."""
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
        places: Sequence[Any] = chosen
        if "logarithmic" in search.space[name]:
            axes.set_xscale("log")
    else:
        texts = [value_text(value) for value in chosen]
        labels = sorted(set(texts))
        places = [labels.index(text) for text in texts]
        axes.set_xticks(range(len(labels)), labels, fontsize=8, parse_math=False)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    values = [_value(search, trial) for trial in finished]
    colours = [_FINALIST if trial.name in search.finalists else _FINISHED for trial in finished]
    axes.scatter(places, values, s=22, c=colours, alpha=0.8, linewidths=0)
    axes.set_title(name, loc="left", fontsize=10)
    _quiet(axes)


def _finished(search: SearchResult) -> list[Trial]:
    return [trial for trial in search.trials if trial.value is not None]


def _value(search: SearchResult, trial: Trial) -> float:
    """What is drawn of a trial: its objective, or of one that was pruned the best of its epochs."""
    best = min if search.objective == "loss" else max
    value = best(trial.curve, default=math.nan) if trial.value is None else trial.value
    return value if search.objective == "loss" else 100 * value


def _unit(search: SearchResult) -> str:
    return "loss in nats" if search.objective == "loss" else "track accuracy in %"


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E3E5E8", linewidth=0.6)
    axes.set_axisbelow(True)
