"""Tables of a page: they scroll on their own, are read aloud, and can be sorted where the page has a script for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from genrekit.metrics.formatting import percent_bounds
from genrekit.metrics.intervals import Interval
from genrekit.reports.page import Html, element, joined


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its content, and what it is sorted by where that is not its text."""

    content: str
    value: float | None = None


Row = Sequence[str | Cell]
"""A row of a table: text or markup, or cells."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, whether it holds numbers, and whether the table can be sorted by it."""

    head: str
    number: bool = False
    sortable: bool = True


def number(value: float, shown: str | None = None) -> Cell:
    """A cell that holds a number, shown as told."""
    return Cell(f"{value:,}" if shown is None else shown, value)


def share(figure: Interval) -> Cell:
    """A cell with a share in per cent and its interval."""
    return Cell(interval(figure), figure.value)


def interval(figure: Interval) -> Html:
    """A share in per cent with its 95 % interval.

    >>> interval(Interval(0.5, 0.41, 0.59))
    '50.0 <span class="quiet">41 to 59</span>'
    """
    between = element("span", percent_bounds(figure), class_="quiet")
    return joined([f"{100 * figure.value:.1f} ", between])


def table(caption: str, columns: Sequence[Column], rows: Sequence[Row], *, kind: str = "") -> Html:
    """A table whose first column names its rows; heads of sortable columns are buttons, `kind` is a class.

    What is too wide scrolls in a box of its own, which the keyboard reaches.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    looks = [_look(column, [row[place].content for row in cells]) for place, column in enumerate(columns)]
    head = element("tr", *(_head(column, look) for column, look in zip(columns, looks, strict=True)))
    body = [
        element("tr", *(_cell(cell, look, place) for place, (cell, look) in enumerate(zip(row, looks, strict=True))))
        for row in cells
    ]
    inner = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", head),
        element("tbody", Html("\n" + "\n".join(body) + "\n")),
        **({"class_": kind} if kind else {}),
    )
    return Html(f"{element('div', inner, class_='scroll', tabindex='0', role='region', aria_label=caption)}\n")


def _head(column: Column, look: dict[str, str]) -> Html:
    sorts = column.sortable and column.head
    return element("th", element("button", column.head, type="button") if sorts else column.head, scope="col", **look)


def _cell(cell: Cell, look: dict[str, str], place: int) -> Html:
    attributes = look if cell.value is None else {**look, "data_value": repr(cell.value)}
    if place == 0:
        return element("th", cell.content, scope="row", **attributes)
    return element("td", cell.content, **attributes)


_TEXT, _LONG = 24, 90
"""Characters from which on a cell's text needs a wide column, and a wider one."""


def _look(column: Column, cells: Sequence[str]) -> dict[str, str]:
    """The class of a column: numbers are set to the right, and long texts get room."""
    if column.number:
        return {"class_": "number"}
    longest = max((len(re.sub("<[^>]*>", "", cell)) for cell in cells), default=0)
    return {"class_": "long" if longest > _LONG else "text"} if longest > _TEXT else {}
