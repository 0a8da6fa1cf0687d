"""The report of a study as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from genrekit.reports import page
from genrekit.reports.page_tables import Cell, Column, Row, Table
from genrekit.reports.plots import Figure
from genrekit.reports.svg import to_svg
from genrekit.studies import search_text
from genrekit.studies.findings import Finding
from genrekit.studies.formatting import NONE
from genrekit.studies.ranking_text import in_short, leader
from genrekit.studies.report_text import CAPTIONS, FILES_NOTE, alt_text, facts, head_of, legend, methods, references
from genrekit.studies.result_cells import Cells
from genrekit.studies.result_tables import configurations_table, findings_table, ranking_table, settings_table
from genrekit.studies.results import StudyResult
from genrekit.studies.verdict_text import VERDICTS, at_epochs, judgement_line, other_judgements, symbol
from genrekit.studies.verdicts import Verdict


def to_html(
    result: StudyResult, figures: Mapping[str, Figure], confusions: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Render the report as one HTML page.

    The keys of `figures` are names in `CAPTIONS`. `confusions` has the file of the confusion matrix of each
    configuration, relative to the report.
    """
    head = head_of(result)
    settings = settings_table(result)
    sections = {
        "findings": "Findings",
        "configurations": "Configurations",
        "settings": "Settings that differ" if settings.rows else "",
        "ranking": "Ranking",
        "confusion": "Confusion of genres" if "confusion" in figures else "",
        "curves": "Learning curves" if "curves" in figures else "",
        "search": "Search" if result.search is not None else "",
        "failed": "Failed runs" if result.skipped else "",
        "repeat": "Repeat this study",
        "methods": "Methods",
    }
    return page.render(
        "study.html",
        package="genrekit.studies",
        style=page.asset("report.css", "genrekit.studies"),
        title=head.title,
        head=head,
        facts=facts(result),
        sections={anchor: title for anchor, title in sections.items() if title},
        in_short=in_short(result),
        findings=_findings_table(result),
        legend=[(_css_class(verdict), text, meaning) for verdict, text, meaning in legend(result)],
        configurations=_table(configurations_table(result), "Configurations, the best first"),
        settings=_table(settings, "Settings that differ"),
        leader=leader(result),
        ranking=_table(ranking_table(result), "Ranking, with 95 % intervals"),
        confusions=confusions,
        search=_search(result),
        skipped=result.skipped,
        files_note=FILES_NOTE,
        methods=methods(result),
        references=references(result),
        figures={
            name: {"svg": to_svg(figure, f"figure-{name}", alt_text(result, name)), "caption": CAPTIONS[name]}
            for name, figure in figures.items()
        },
    )


def _findings_table(result: StudyResult) -> Table:
    cells = findings_table(result)
    rows: list[Row] = [
        (
            row[0],
            _verdict(finding),
            *row[2:4],
            "\n".join(map(judgement_line, other_judgements(finding))) or NONE,
            *row[5:],
        )
        for row, finding in zip(cells.rows, result.findings, strict=True)
    ]
    return Table("Hypotheses and verdicts", _columns(cells), rows)


def _verdict(finding: Finding) -> Cell:
    return Cell(symbol(finding.verdict), kind=f"verdict {_css_class(finding.verdict)}", note=at_epochs(finding))


def _css_class(verdict: Verdict | None) -> str:
    return "open" if verdict is None else VERDICTS[verdict].css_class


def _search(result: StudyResult) -> dict[str, Any]:
    search = result.search
    if search is None:
        return {}
    return {
        "paragraphs": search_text.paragraphs(search),
        "space": _table(search_text.space_table(search), "Search space"),
        "figures": tuple(search_text.CAPTIONS),
        "trials": _table(search_text.trials_table(search), "Trials, the best first"),
    }


def _table(cells: Cells, caption: str) -> Table:
    rows: list[Row] = [
        [_with_note(cell) if column in cells.numeric else cell for column, cell in enumerate(row)] for row in cells.rows
    ]
    return Table(caption, _columns(cells), rows)


def _columns(cells: Cells) -> list[Column]:
    key = next((name for name in cells.head if "accuracy" in name or name.startswith("tracks")), None)
    return [
        Column(name, number=index in cells.numeric, sortable=False, key=name == key)
        for index, name in enumerate(cells.head)
    ]


def _with_note(figure: str) -> Cell:
    """Split a figure and its interval, which the page shows below it."""
    value, bracket, interval = figure.partition(" (")
    return Cell(value, note=f"({interval}" if bracket else "")
