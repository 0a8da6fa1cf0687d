"""Pieces of a page: text made harmless, and tables that can be sorted and read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from genrekit.records import Interval


@dataclass(frozen=True)
class Cell:
    """A cell of a table: HTML, and what it is sorted by where that is not its text."""

    html: str
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, whether it holds numbers, and whether the table can be sorted by it."""

    head: str
    number: bool = False
    sortable: bool = True


def text(value: str) -> Cell:
    """A cell of plain text."""
    return Cell(escape(value))


def number(value: float, shown: str | None = None) -> Cell:
    """A cell that holds a number, shown as told."""
    return Cell(escape(f"{value:,}" if shown is None else shown), value)


def share(figure: Interval) -> Cell:
    """A cell with a share in per cent and its interval."""
    return Cell(interval(figure), figure.value)


def interval(figure: Interval) -> str:
    """A share in per cent with its 95 % interval, as HTML.

    >>> interval(Interval(0.5, 0.41, 0.59))
    '50.0 <span class="quiet">41 to 59</span>'
    """
    return f'{100 * figure.value:.1f} <span class="quiet">{100 * figure.low:.0f} to {100 * figure.high:.0f}</span>'


def signed(points: float) -> str:
    """A difference in whole points, with its sign unless it is none.

    >>> signed(2.6), signed(-0.2), signed(-30.0)
    ('+3', '0', '-30')
    """
    return f"{points:+.0f}" if round(points) else "0"


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose first column names its rows; heads of sortable columns are buttons.

    `caption` is HTML. What is too wide scrolls on its own, and can be reached with the keyboard.
    """
    heads = "".join(map(_head, columns))
    body = "".join(f"<tr>{''.join(map(_cell, columns, row, range(len(row))))}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(_plain(caption))}"><table>'
        f"<caption><span>{caption}</span></caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _head(column: Column) -> str:
    name = escape(column.head)
    inner = f'<button type="button">{name}</button>' if column.sortable and column.head else name
    return f'<th scope="col"{_class(column)}>{inner}</th>'


def _cell(column: Column, cell: Cell, place: int) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    tag = 'th scope="row"' if place == 0 else "td"
    return f"<{tag}{_class(column)}{value}>{cell.html}</{tag.split(maxsplit=1)[0]}>"


def _class(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _plain(caption: str) -> str:
    return caption.partition("<")[0].strip()
