"""Colours and names in the figures of studies and searches."""

from __future__ import annotations

import textwrap
from typing import Any

from genrekit.reports.plots import Axes

BLUE, LIGHT_BLUE, ORANGE, LIGHT_GREY, GREY = "#0072B2", "#56B4E9", "#D55E00", "#B9BEC5", "#666666"
"""Colours of Okabe and Ito, which colour-blind readers can distinguish, and two greys."""

LINE_COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", LIGHT_BLUE, "#E69F00", "#000000")
"""The palette of Okabe and Ito without yellow, which is too faint on white."""

GRID: dict[str, Any] = {"color": "#E3E5E8", "linewidth": 0.6}


def wrapped(name: str, width: int, lines: int = 2) -> str:
    """Wrap a name to a number of characters and lines; a longer one ends in "…"."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …") or [""])


def hide_frame(axes: Axes, *sides: str) -> None:
    """Hide the top and right sides of the frame, and more."""
    axes.spines[["top", "right", *sides]].set_visible(False)
