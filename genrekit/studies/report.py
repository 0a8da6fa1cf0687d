"""Write the report of a study: Markdown, one HTML page, figures and JSON."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genrekit.io.files import write_json, write_text
from genrekit.io.json_values import json_value, to_json
from genrekit.metrics.epochs import Epoch
from genrekit.reports.plots import save_png
from genrekit.studies.bar_plots import accuracy_bars, overview
from genrekit.studies.curve_plots import curves
from genrekit.studies.report_html import to_html
from genrekit.studies.report_markdown import to_markdown
from genrekit.studies.report_text import CAPTIONS
from genrekit.studies.results import StudyResult
from genrekit.studies.search_plots import search_figures

_EXPERIMENTS, _TEMPORARY = "experiments", ".report-"


def write_report(
    result: StudyResult,
    histories: Mapping[str, Sequence[Sequence[Epoch]]],
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> None:
    """Write the report of a study into a folder. An earlier report is replaced when all new files are complete.

    The files are report.md, report.html (which contains the figures), accuracy.png, figures.png, curves.png, for a
    search trials.png, importances.png and slices.png, result.json, and experiments/NAME.json for each item of
    `configs`. `histories` has the epochs of each configuration's runs; there are no curves if no run has more than one.
    Errors: OSError if a file cannot be written.
    """
    at = "last" if any(run.last_accuracy is not None for run in result.runs) else "best"
    figures = {"accuracy": accuracy_bars(result, at)}
    if at == "last":
        figures["figures"] = overview(result)
    if any(len(run) > 1 for runs in histories.values() for run in runs):
        figures["curves"] = curves(histories, {run.name: run.group for run in result.runs})
    if result.search is not None:
        figures |= search_figures(result.search)
    files = {name: f"{name}.png" for name in figures}
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed
    with TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as name:
        temporary = Path(name)
        for picture, figure in figures.items():
            save_png(figure, temporary / files[picture])
        for experiment, file in safe_names(configs).items():
            write_json(temporary / _EXPERIMENTS / f"{file}.json", json_value(configs[experiment]))
        write_text(temporary / "report.md", to_markdown(result, figures=files))
        write_text(temporary / "report.html", to_html(result, figures))
        write_json(temporary / "result.json", to_json(result))
        _replace(folder, temporary)


def _replace(folder: Path, temporary: Path) -> None:
    """Move the files of a complete report into a folder, and remove those that only the report before had."""
    written = {path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file()}
    (folder / _EXPERIMENTS).mkdir(exist_ok=True)
    for path in sorted(written, key=lambda path: (path.name == "result.json", path)):
        os.replace(temporary / path, folder / path)
    before = {*(folder / _EXPERIMENTS).glob("*.json"), *(folder / f"{name}.png" for name in CAPTIONS)}
    for path in before - {folder / path for path in written}:
        path.unlink(missing_ok=True)


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each name, without separators and spaces; no two differ only in case.

    >>> safe_names(["cel3, sgd-seed0", "../Cel3 sgd/seed0", "cel3 sgd seed0"])
    {'cel3, sgd-seed0': 'cel3-sgd-seed0', '../Cel3 sgd/seed0': 'Cel3-sgd-seed0-2', 'cel3 sgd seed0': 'cel3-sgd-seed0-3'}
    """
    files: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = _shortened(re.sub(r"[^\w.+]+", "-", name).strip("-.")) or "experiment"
        file, number = stem, 1
        while file.casefold() in taken:
            number += 1
            file = f"{stem}-{number}"
        taken.add(file.casefold())
        files[name] = file
    return files


def _shortened(stem: str) -> str:
    """A name that every file system accepts: of a long one the start, and the end, which has the seed."""
    return stem if len(stem.encode()) <= 200 else f"{stem.encode()[:150].decode(errors='ignore')}-{stem[-10:]}"
