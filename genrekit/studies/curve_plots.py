"""The learning curves of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.metrics.epochs import Epoch
from genrekit.reports.plots import Axes, Figure
from genrekit.studies.plot_style import GREY, GRID, LINE_COLOURS, hide_frame, wrapped

_MARKERS = ("", "o", "^", "s")
"""Markers that distinguish configurations of one colour."""

_NAME_WIDTH = 52


def curves(histories: Mapping[str, Sequence[Sequence[Epoch]]], groups: Mapping[str, str] | None = None) -> Figure:
    """Draw the learning curves of configurations: losses above, validation track accuracy below, one column per group.

    `histories` has the runs of each configuration. A line is the mean over runs up to the end of the shortest one, and
    a thin line is a run. `groups` has the group of each configuration.
    """
    group_of = groups or {}
    names = list(dict.fromkeys(group_of.get(configuration, "") for configuration in histories)) or [""]
    members = [[item for item in histories if group_of.get(item, "") == name] for name in names]
    columns = 2 if len(names) == 1 else 1
    lines = max(sum(wrapped(item, _NAME_WIDTH).count("\n") + 1 for item in group) for group in members)
    legend = 0.4 + 0.2 * math.ceil(lines / columns)
    width = 9.0 if len(names) == 1 else 6.0 * len(names)
    figure = Figure(figsize=(width, 7.4 + legend), dpi=110, layout="constrained")
    grid = figure.subplots(3, len(names), squeeze=False, height_ratios=(3.7, 3.7, legend))
    for column, (name, group) in enumerate(zip(names, members, strict=True)):
        loss, accuracy, below = grid[:, column]
        _curves(loss, accuracy, name, [histories[item] for item in group])
        below.set_axis_off()
        handles = [below.plot([], [], **_style(index), linewidth=1.8)[0] for index in range(len(group))]
        labels = [wrapped(item, _NAME_WIDTH) for item in group]
        key = below.legend(handles, labels, loc="upper left", ncols=columns, frameon=False, fontsize=8.5)
        for text in key.get_texts():
            text.set_parse_math(False)
    return figure


def _curves(loss: Axes, accuracy: Axes, name: str, group: Sequence[Sequence[Sequence[Epoch]]]) -> None:
    points = any(len(run) == 1 for runs in group for run in runs)
    kinds = ("validation solid or o", "training dashed or x") if points else ("validation solid", "training dashed")
    title = f"Cross-entropy loss: {', '.join(kinds)}"
    loss.set_title(f"{name}\n{title}" if name else title, loc="left", fontsize=10, parse_math=False)
    accuracy.set_title("Validation track accuracy in %", loc="left", fontsize=10)
    for index, runs in enumerate(group):
        _curve(loss, accuracy, runs, index, len(group))
    _limit_losses(loss, [epoch for runs in group for run in runs for epoch in run])
    accuracy.set_xlabel("epoch")
    for axes in (loss, accuracy):
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        hide_frame(axes)
        axes.grid(axis="y", **GRID)


def _style(index: int) -> dict[str, Any]:
    marker = _MARKERS[index // len(LINE_COLOURS) % len(_MARKERS)]
    colour = LINE_COLOURS[index % len(LINE_COLOURS)]
    return {"color": colour, "marker": marker, "markersize": 4, "markerfacecolor": "white"}


def _curve(loss: Axes, accuracy: Axes, runs: Sequence[Sequence[Epoch]], index: int, configurations: int) -> None:
    style, faint = _style(index), 0.35 if configurations <= 4 else 0.18
    lines: tuple[tuple[Axes, Callable[[Epoch], float], str], ...] = (
        (loss, lambda epoch: epoch.train_loss, "--"),
        (loss, lambda epoch: epoch.validation_loss, "-"),
        (accuracy, lambda epoch: 100 * epoch.validation_track_accuracy, "-"),
    )
    for axes, value, linestyle in lines:
        mean = _mean([[value(epoch) for epoch in run] for run in runs])
        epochs = [epoch.epoch for epoch in max(runs, key=len, default=[])][: len(mean)]
        markers = (
            {"marker": "o" if linestyle == "-" else "x"}
            if len(epochs) == 1
            else {"markevery": (index % 3, max(1, len(epochs) // 6))}
        )
        width = 1.8 if linestyle == "-" else 0.9
        axes.plot(epochs, mean, linestyle=linestyle, linewidth=width, **{**style, **markers})
        if len(runs) > 1 and linestyle == "-":
            for run in runs:
                axes.plot([e.epoch for e in run], [value(e) for e in run], color=style["color"], lw=0.6, alpha=faint)


def _mean(runs: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The mean over runs at each epoch that all of them have."""
    return np.array([np.mean(values) for values in zip(*runs, strict=False)])


def _limit_losses(axes: Axes, epochs: Sequence[Epoch]) -> None:
    """Limit the axis to most of the losses, so that one that diverged does not flatten the others."""
    losses = np.array([value for epoch in epochs for value in (epoch.train_loss, epoch.validation_loss)])
    losses = losses[np.isfinite(losses)]
    if not losses.any():  # all are zero: there is no limit to set
        return
    limit = min(losses.max(), 2 * np.quantile(losses, 0.9) or math.inf)
    axes.set_ylim(0, 1.05 * limit)
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    if (highest := drawn.max(initial=0, where=np.isfinite(drawn))) > 1.05 * limit:
        text = f"losses up to {highest:.3g} are above this axis"
        axes.annotate(text, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=8, color=GREY)
