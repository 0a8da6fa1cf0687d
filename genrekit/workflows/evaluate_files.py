"""The files of an evaluation: the folder of tables and figures, and the path of the report."""

from __future__ import annotations

import os
from pathlib import Path

from genrekit._types import AnyPath
from genrekit.errors import GenrekitError
from genrekit.io.files import require_format, require_writable, write_json
from genrekit.io.json_values import to_json
from genrekit.io.targets import contains, replaceable, starts_with
from genrekit.metrics.evaluation import EvaluateResult
from genrekit.reports.tables import FIGURES, FILES_OF_A_MODEL, TABLES, write_tables

_RESULT = "result.json"
_is_result = starts_with(b'{\n  "models": [')
_is_report = contains(b'<meta name="generator" content="genrekit evaluate">')


def require_folder(path: AnyPath | None) -> Path | None:
    """Check that the folder of tables can be written before the test set is read, because each evaluation counts.

    A folder with tables must be from an earlier evaluation, which its result.json shows.
    Errors: GenrekitError if the folder is another one or cannot be written.
    """
    if path is None:
        return None
    folder = Path(path)
    tables = [folder / name for name in (_RESULT, *TABLES)]
    tables += [path for path in folder.glob("[0-9][0-9]-*/*") if path.name in FILES_OF_A_MODEL]
    if any(map(os.path.lexists, tables)):
        replaceable(folder / _RESULT, _is_result)
        if not (folder / _RESULT).exists():
            raise GenrekitError(f"{folder} has tables that are not of an evaluation: choose another folder with --out")
    require_writable(folder)
    return folder


def require_page(path: Path) -> Path:
    """Return the file of the report, after the same check. Only an earlier report of an evaluation is replaced.

    Errors: GenrekitError if the path must not be replaced or cannot be written; UsageError if it has the extension of
    another format.
    """
    if path.is_dir():
        raise GenrekitError(
            f"cannot write {path}: it is a directory; name a file in it, such as --report {path / 'report.html'}"
        )
    require_format(path, ".html")
    file = replaceable(path, _is_report)
    require_writable(file.parent, path)
    return file


def write_folder(folder: Path, result: EvaluateResult) -> None:
    """Write the tables and figures of an evaluation, and its result as JSON."""
    from genrekit.reports.plots import confusion_figure, genre_bars, reliability_figure, save_figure

    # First, so that an interrupted evaluation can be repeated: the folder is recognized by this file.
    write_json(folder / _RESULT, to_json(result))
    for target, model in write_tables(folder, result):
        levels = {"tracks": model.track_figures.calibration, "fragments": model.fragment_figures.calibration}
        drawn = (
            confusion_figure(model.confusion, model.genres, f"{model.name}, tracks"),
            reliability_figure(levels, model.name),
            genre_bars(model.per_genre, model.name),
        )
        for name, figure in zip(FIGURES, drawn, strict=True):
            save_figure(figure, target, name)
