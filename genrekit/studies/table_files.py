"""The tables of a study's report as files: LaTeX for papers, as the report shows them, and CSV with all digits."""

from __future__ import annotations

from collections.abc import Sequence

from genrekit.io import latex
from genrekit.io.csv_table import csv_text
from genrekit.metrics.intervals import Interval
from genrekit.studies.ranking_text import in_order
from genrekit.studies.result_tables import configurations_table, findings_table, ranking_table, settings_table
from genrekit.studies.results import StudyResult

_INTERVALS = (
    "last_accuracy",
    "track_accuracy",
    "equal_steps_accuracy",
    "last_loss",
    "training_accuracy",
    "overfitting",
    "dead_channels",
)
"""Fields of a configuration with an interval, in the order of the columns."""

TABLES = ("findings", "configurations", "ranking", "settings")
"""Names of the files, without endings."""

Row = Sequence[str | int | float]


def table_files(result: StudyResult) -> dict[str, str]:
    """Return the content of each file by its name. Tables without a row are left out."""
    tables = (findings_table(result), configurations_table(result), ranking_table(result), settings_table(result))
    files = {
        f"{name}.tex": latex.table(cells.head, cells.rows, numeric=cells.numeric)
        for name, cells in zip(TABLES, tables, strict=True)
        if cells.rows
    }
    if result.findings:
        files["findings.csv"] = _findings(result)
    return files | {"configurations.csv": _configurations(result)}


def _findings(result: StudyResult) -> str:
    columns = ("hypothesis", "verdict", "statistic", "effect", "low", "high", "p", "at", "note")
    rows: list[Row] = [
        (
            *(finding.hypothesis, finding.verdict, finding.statistic),
            *(_number(value) for value in (finding.effect, finding.low, finding.high, finding.p)),
            *(finding.at, finding.note),
        )
        for finding in result.findings
    ]
    return csv_text(columns, rows)


def _configurations(result: StudyResult) -> str:
    """The configurations in the order of the report; of each interval the mean and the bounds."""
    intervals = [f"{name}{end}" for name in _INTERVALS for end in ("", "_low", "_high")]
    columns = ("configuration", "group", "seeds", "epochs", "parameters", "best_loss", "trained", "seconds", *intervals)
    rows: list[Row] = [
        (
            *(run.name, run.group, " ".join(map(str, run.seeds)), run.epochs, run.parameters, run.loss),
            *("yes" if run.trained else "no", run.seconds),
            *(number for name in _INTERVALS for number in _bounds(getattr(run, name))),
        )
        for run in in_order(result)
    ]
    return csv_text(columns, rows)


def _bounds(interval: Interval | None) -> Row:
    return ("", "", "") if interval is None else (interval.value, interval.low, interval.high)


def _number(value: float | None) -> str | float:
    return "" if value is None else value
