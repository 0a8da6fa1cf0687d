"""The report of a study as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from genrekit.reports import page
from genrekit.reports.page_tables import Column, table
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

_EMPTY = page.Html("")


def to_html(result: StudyResult, figures: Mapping[str, bytes]) -> str:
    """Return the report as one HTML page; `figures` has PNG files by their names in `CAPTIONS`."""
    head, e = head_of(result), page.element
    pictures = {name: page.figure(png, alt_text(result, name), CAPTIONS[name]) for name, png in figures.items()}
    sections = {
        "findings": ("Findings", _findings(result) + pictures.get("accuracy", _EMPTY)),
        "configurations": (
            "Configurations",
            _table(configurations_table(result), "Configurations, the best first") + pictures.get("figures", _EMPTY),
        ),
        "settings": ("Settings that differ", _table(settings_table(result), "Settings that differ")),
        "ranking": (
            "Ranking",
            e("p", leader(result)) + _table(ranking_table(result), "Ranking, with 95 % intervals"),
        ),
        "curves": ("Learning curves", pictures.get("curves", _EMPTY)),
        "search": ("Search", _search(result, pictures)),
        "failed": (
            "Failed runs",
            e("ul", *(e("li", f"{item.path}: {item.reason}") for item in result.skipped)) if result.skipped else _EMPTY,
        ),
        "repeat": ("Repeat this study", page.code(head.command) + e("p", FILES_NOTE)),
        "methods": (
            "Methods",
            page.joined([e("p", text) for text in methods(result)])
            + e("h3", "References")
            + e("ul", *(e("li", reference) for reference in references(result)), class_="quiet"),
        ),
    }
    filled = {anchor: (title, page.Html(content)) for anchor, (title, content) in sections.items() if content}
    body = [
        e("p", head.question, class_="lead"),
        page.facts(facts(result)),
        page.contents([(anchor, title) for anchor, (title, _) in filled.items()]),
        *(page.section(title, content, anchor=anchor) for anchor, (title, content) in filled.items()),
    ]
    style = page.asset("report.css", "genrekit.studies")
    return page.document(head.title, page.framed(head.title, page.joined(body, "\n")), style=style)


def _findings(result: StudyResult) -> page.Html:
    e = page.element
    cells = findings_table(result)
    rows = [
        (row[0], _verdict(finding), *row[2:4], _lines(map(judgement_line, other_judgements(finding))), *row[5:])
        for row, finding in zip(cells.rows, result.findings, strict=True)
    ]
    blocks = [e("p", in_short(result))]
    if rows:
        blocks.append(table("Hypotheses and verdicts", _columns(cells), rows))
        blocks.append(e("ul", *(e("li", _colored(*line), f": {line[2]}") for line in legend(result)), class_="quiet"))
    return page.joined(blocks)


def _verdict(finding: Finding) -> page.Html:
    colored = _colored(finding.verdict, symbol(finding.verdict))
    return page.joined([colored, page.element("small", at_epochs(finding))]) if at_epochs(finding) else colored


def _colored(verdict: Verdict | None, text: str, *_: str) -> page.Html:
    css_class = "open" if verdict is None else VERDICTS[verdict].css_class
    return page.element("span", text, class_=f"verdict {css_class}")


def _search(result: StudyResult, pictures: Mapping[str, page.Html]) -> page.Html:
    search = result.search
    if search is None:
        return _EMPTY
    blocks = [page.element("p", text) for text in search_text.paragraphs(search)]
    blocks.append(_table(search_text.space_table(search), "Search space"))
    blocks += [pictures[name] for name in search_text.CAPTIONS if name in pictures]
    return page.joined([*blocks, _table(search_text.trials_table(search), "Trials, the best first")])


def _table(cells: Cells, caption: str) -> page.Html:
    rows = [
        [_with_small_interval(cell) if column in cells.numeric else cell for column, cell in enumerate(row)]
        for row in cells.rows
    ]
    return table(caption, _columns(cells), rows) if rows else _EMPTY


def _columns(cells: Cells) -> list[Column]:
    return [Column(name, number=index in cells.numeric, sortable=False) for index, name in enumerate(cells.head)]


def _with_small_interval(figure: str) -> page.Html:
    """A figure with its interval below it."""
    value, bracket, interval = figure.partition(" (")
    return page.joined([value, page.element("small", f"({interval}")] if bracket else [value])


def _lines(texts: Iterable[str]) -> page.Html:
    return page.joined([page.element("span", text, class_="line") for text in texts] or [NONE])
