"""Tables of a page: the macro `table` in templates/macros.html renders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genrekit.metrics.formatting import percent_bounds
from genrekit.metrics.intervals import Interval

_TEXT, _LONG = 24, 90
"""If the longest cell of a column has more characters, the column is wide or very wide."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text (or markup), a note beside it, and a CSS class of the text.

    The column is sorted by `value`, or by the text if there is none.
    """

    text: str
    value: float | None = None
    note: str = ""
    kind: str = ""


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it contains numbers, and whether the table can be sorted by it.

    A `key` column stays visible on a narrow screen while the others scroll, like the first column.
    """

    heading: str
    number: bool = False
    sortable: bool = True
    key: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; `kind` is its CSS class."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    kind: str = ""

    @property
    def cells(self) -> list[list[Cell]]:
        """All rows, with each text as a cell."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]

    @property
    def classes(self) -> list[str | None]:
        """The CSS classes of each column: `number`, or by the longest text `text`, `long` or none; and `key`."""
        cells = self.cells
        return [
            _with_key(column, _column_class(column, [row[index] for row in cells]))
            for index, column in enumerate(self.columns)
        ]


def number(value: float, text: str | None = None) -> Cell:
    """Make a cell for a number; `text` is what it shows.

    >>> number(1_234).text, number(0.123, "0.12").text
    ('1,234', '0.12')
    """
    return Cell(f"{value:,}" if text is None else text, value)


def share(figure: Interval) -> Cell:
    """Make a cell for a share with its interval, in per cent.

    >>> share(Interval(0.5, 0.41, 0.59))
    Cell(text='50.0', value=0.5, note='41 to 59', kind='')
    """
    return Cell(f"{100 * figure.value:.1f}", figure.value, percent_bounds(figure))


def _with_key(column: Column, name: str | None) -> str | None:
    return " ".join(filter(None, (name, "key" if column.key else None))) or None


def _column_class(column: Column, cells: Sequence[Cell]) -> str | None:
    if column.number:
        return "number"
    longest = max((len(cell.text) for cell in cells if not hasattr(cell.text, "__html__")), default=0)
    return None if longest <= _TEXT else "text" if longest <= _LONG else "long"
