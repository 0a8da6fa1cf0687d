"""The report of a study as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from genrekit.io import markdown
from genrekit.studies import search_text
from genrekit.studies.ranking_text import in_short
from genrekit.studies.report_text import CAPTIONS, FILES_NOTE, alt_text, facts, head_of, legend, methods, references
from genrekit.studies.result_cells import Cells
from genrekit.studies.result_tables import configurations_table, findings_table, ranking_table, settings_table
from genrekit.studies.results import StudyResult


def to_markdown(
    result: StudyResult, *, figures: Mapping[str, str], confusions: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the report as Markdown.

    `figures` has the file of each picture in `CAPTIONS`, and `confusions` that of the confusion matrix of each
    configuration, relative to the report.
    """
    head = head_of(result)
    plain = markdown.plain

    def picture(name: str) -> str:
        if name not in figures:
            return ""
        return f"![{plain(alt_text(result, name))}](<{figures[name]}>)\n\n*{plain(CAPTIONS[name])}*\n"

    sections = [
        f"# {plain(head.title)}\n",
        f"{plain(head.question)}\n",
        _bullets(f"**{name}:** {plain(value)}" for name, value in facts(result)),
        f"## Findings\n\n{plain(in_short(result))}\n",
        _table(findings_table(result)),
        _bullets(f"{text}: {meaning}" for _, text, meaning in legend(result)),
        picture("accuracy"),
        f"## Configurations\n\n{_table(configurations_table(result))}",
        picture("figures"),
        _section("## Settings that differ", _table(settings_table(result))),
        _section("## Ranking", _table(ranking_table(result))),
        _section("## Confusion of genres", picture("confusion")),
        _bullets(f"[{plain(name)}](<{file}>)" for name, file in confusions.items()),
        _section("## Learning curves", picture("curves")),
        _section("## Search", _search(result, picture)),
        _section("## Failed runs", _bullets(f"{plain(item.path)}: {plain(item.reason)}" for item in result.skipped)),
        f"## Repeat this study\n\n{markdown.code(head.command)}\n{plain(FILES_NOTE)}\n",
        "## Methods\n\n" + "\n\n".join(map(plain, methods(result))) + "\n",
        f"### References\n\n{_bullets(map(plain, references(result)))}",
    ]
    return "\n".join(filter(None, sections))


def _search(result: StudyResult, picture: Callable[[str], str]) -> str:
    search = result.search
    if search is None:
        return ""
    blocks = [f"{markdown.plain(text)}\n" for text in search_text.paragraphs(search)]
    blocks += [_table(search_text.space_table(search)), *map(picture, search_text.CAPTIONS)]
    return "\n".join(filter(None, [*blocks, _table(search_text.trials_table(search))]))


def _table(cells: Cells) -> str:
    return markdown.table(cells.head, cells.rows, numeric=cells.numeric) if cells.rows else ""


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _section(heading: str, content: str) -> str:
    return f"{heading}\n\n{content}" if content else ""
