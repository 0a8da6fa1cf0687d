"""Confusion matrices of the configurations of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genrekit.metrics.accuracy import confusion_matrix
from genrekit.reports.plots import Figure, draw_confusion
from genrekit.studies.evidence import ConfigurationRuns
from genrekit.studies.plot_style import wrapped

MOST_SHOWN = 6
"""Most confusion matrices in the report; those of the other configurations have files only."""

_COLUMNS = 2
_TITLE_WIDTH = 48
"""Characters of the title above a matrix."""

Confusion = Sequence[Sequence[int]]


def pooled_confusion(
    runs: ConfigurationRuns, genre_of: Mapping[str, str], genres: Sequence[str]
) -> list[list[int]] | None:
    """Count the validation tracks by true genre (row) and predicted genre (column) after the last epoch of all runs.

    `genre_of` maps the IDs of tracks to their genres. None without runs, or if one was trained by an earlier version,
    which did not store its predictions.
    """
    folds = [answers for seed in runs.answers for answers in seed]
    if not folds or not all("last" in answers.predicted for answers in folds):
        return None
    index = {genre: number for number, genre in enumerate(genres)}
    truth = [index[genre_of[track_id]] for answers in folds for track_id in answers.track_ids]
    predicted = [index[answers.genres[number]] for answers in folds for number in answers.predicted["last"]]
    matrix: list[list[int]] = confusion_matrix(np.array(truth), np.array(predicted), len(genres)).tolist()
    return matrix


def confusion_grid(confusions: Mapping[str, Confusion], genres: Sequence[str]) -> Figure:
    """Draw confusion matrices side by side, at most `MOST_SHOWN`, each below the name of its configuration."""
    shown = list(confusions.items())[:MOST_SHOWN]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    cells, name = max(3.0, 0.38 * len(genres)), 0.1 * max(map(len, genres))  # in inches
    figure = Figure(figsize=(columns * (cells + 0.3) + name, rows * (cells + 0.6) + name), dpi=110, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(shown):
            axes.set_axis_off()
            continue
        configuration, confusion = shown[number]
        draw_confusion(axes, confusion, genres, wrapped(configuration, _TITLE_WIDTH), count_size=8)
        if number % columns:
            axes.set_yticklabels([])
        if number + columns < len(shown):
            axes.set_xticklabels([])
    figure.supxlabel("predicted genre", fontsize=10)
    figure.supylabel("true genre", fontsize=10)
    return figure
