"""Tables and pictures as HTML for the cell of a notebook; all text is escaped."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

from genrekit.reports.page import data_uri
from genrekit.reports.plots import Figure, png_bytes

_HEAD = (Markup("<th>{}</th>"), Markup('<th style="text-align: right">{}</th>'))
_CELL = (Markup("<td>{}</td>"), Markup('<td style="text-align: right">{}</td>'))
"""A cell of text, and one of numbers."""


def html_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Collection[int] = ()
) -> Markup:
    """Return a table with a title. Columns in `numeric` (from 0) are aligned right.

    >>> print(html_table("<1 run>", ["run"], [["lda"]]))
    <table><caption><b>&lt;1 run&gt;</b></caption><tr><th>run</th></tr><tr><td>lda</td></tr></table>
    """
    lines = [_row(_HEAD, head, numeric), *(_row(_CELL, row, numeric) for row in rows)]
    return Markup("<table><caption><b>{}</b></caption>{}</table>").format(title, Markup().join(lines))


def html_picture(figure: Figure, description: str) -> Markup:
    """Return a figure as an inline picture. `description` is read to people who do not see it."""
    source = data_uri(png_bytes(figure), "image/png")
    return Markup('<img src="{}" alt="{}" style="max-width: 100%; background: white">').format(source, description)


def _row(kinds: tuple[Markup, Markup], cells: Sequence[str], numeric: Collection[int]) -> Markup:
    marked = [kinds[index in numeric].format(cell) for index, cell in enumerate(cells)]
    return Markup("<tr>{}</tr>").format(Markup().join(marked))
