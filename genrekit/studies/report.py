"""Write the report of a study: Markdown, one HTML page, figures and JSON."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from genrekit.io.files import write_json, write_text
from genrekit.io.json_values import json_value, to_json
from genrekit.io.targets import SOFTWARE, contains, is_own, refuse_special, starts_with
from genrekit.metrics.epochs import Epoch
from genrekit.reports.plots import FIGURE_ENDINGS, confusion_figure, save_figure
from genrekit.studies.bar_plots import accuracy_bars, overview
from genrekit.studies.confusion import Confusion, confusion_grid
from genrekit.studies.curve_plots import curves
from genrekit.studies.report_html import to_html
from genrekit.studies.report_markdown import to_markdown
from genrekit.studies.report_text import CAPTIONS, head_of
from genrekit.studies.results import StudyResult
from genrekit.studies.search_plots import search_figures
from genrekit.studies.table_files import TABLES, table_files

_EXPERIMENTS, _CONFUSIONS, _TEMPORARY = "experiments", "confusion", ".report-"
_MOST_CONFUSIONS = 40
"""Most configurations with a figure of their confusion matrix. A figure takes a second, and some searches have many."""

_is_experiment = starts_with(b'{\n  "arm": ')
_is_picture = contains(f"Software\0{SOFTWARE}".encode())


def write_report(
    result: StudyResult,
    histories: Mapping[str, Sequence[Sequence[Epoch]]],
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
    confusions: Mapping[str, Confusion] = MappingProxyType({}),
) -> None:
    """Write the report of a study into a folder. An earlier report is replaced when all new files are complete.

    The files are report.md, report.html (which contains the figures), accuracy.png, figures.png, curves.png,
    confusion.png, for a search trials.png, importances.png and slices.png, each figure also as PDF and SVG, the tables
    as CSV and LaTeX, result.json, and experiments/NAME.json for each item of `configs`. `histories` has the epochs of
    each configuration's runs; there are no curves if no run has more than one. `confusions` has the confusion matrices
    of configurations, the best first: confusion.png has the first ones, and confusion/ a figure for each, at most 40.
    Errors: OSError if a file cannot be written.
    """
    at = "last" if any(run.last_accuracy is not None for run in result.runs) else "best"
    figures = {"accuracy": accuracy_bars(result, at)}
    if at == "last":
        figures["figures"] = overview(result)
    if any(len(run) > 1 for runs in histories.values() for run in runs):
        figures["curves"] = curves(histories, {run.name: run.group for run in result.runs})
    if confusions:
        figures["confusion"] = confusion_grid(confusions, head_of(result).genres)
    if result.search is not None:
        figures |= search_figures(result.search)
    named = safe_names(islice(confusions, _MOST_CONFUSIONS))
    links = {name: f"{_CONFUSIONS}/{file}.png" for name, file in named.items()}
    files = {name: f"{name}.png" for name in figures}
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed
    with TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as name, _named_as_in(folder, Path(name)) as temporary:
        for picture, figure in figures.items():
            save_figure(figure, temporary, picture)
        for configuration, file in named.items():
            matrix = confusion_figure(confusions[configuration], head_of(result).genres, configuration)
            save_figure(matrix, temporary / _CONFUSIONS, file)
        for table, text in table_files(result).items():
            write_text(temporary / table, text)
        for experiment, file in safe_names(configs).items():
            write_json(temporary / _EXPERIMENTS / f"{file}.json", json_value(configs[experiment]))
        write_text(temporary / "report.md", to_markdown(result, figures=files, confusions=links))
        write_text(temporary / "report.html", to_html(result, figures, links))
        write_json(temporary / "result.json", to_json(result))
        _replace(folder, temporary)


@contextmanager
def _named_as_in(folder: Path, temporary: Path) -> Iterator[Path]:
    """Yield a temporary folder; an OSError of the block about a file in it names the file in the other folder."""
    try:
        yield temporary
    except OSError as error:
        file = Path(os.fsdecode(error.filename or ""))
        if not file.is_relative_to(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(folder / file.relative_to(temporary))) from error


def _replace(folder: Path, temporary: Path) -> None:
    """Move the files of a complete report into a folder, and remove those that only the report before had."""
    written = {path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file()}
    for subfolder in {Path(_EXPERIMENTS), *(path.parent for path in written)}:
        (folder / subfolder).mkdir(exist_ok=True)
    for path in sorted(written, key=lambda path: (path.name == "result.json", path)):
        with suppress(FileNotFoundError):
            refuse_special(folder / path, (folder / path).lstat().st_mode)
        os.replace(temporary / path, folder / path)
    figures = (f"{name}{ending}" for name in CAPTIONS for ending in FIGURE_ENDINGS)
    tables = (f"{name}{ending}" for name in TABLES for ending in (".csv", ".tex"))
    experiments = (path for path in (folder / _EXPERIMENTS).glob("*.json") if is_own(path, _is_experiment))
    pictures = [path for path in (folder / _CONFUSIONS).glob("*.png") if is_own(path, _is_picture)]
    confusions = (path.with_suffix(ending) for path in pictures for ending in FIGURE_ENDINGS)
    before = {*experiments, *confusions, *(folder / name for name in (*figures, *tables))}
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
    """Shorten a long name for the file system. Its end stays, because it has the seed."""
    return stem if len(stem.encode()) <= 200 else f"{stem.encode()[:150].decode(errors='ignore')}-{stem[-10:]}"
