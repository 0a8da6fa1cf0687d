"""Write CSV tables in which no text is run by a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from genrekit.io.printable import printable

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet takes for a formula, or that would read as a quoted one."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> str:
    r"""Format a table as CSV, with all digits of its numbers. Text is quoted by `cell`.

    >>> csv_text(("genre", "share"), [("=1+1", -0.5), ("a,b", 2)])
    'genre,share\n\'=1+1,-0.5\n"a,b",2\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (columns, *rows):
        writer.writerow([cell(value) if isinstance(value, str) else value for value in row])
    return text.getvalue()


def cell(text: str) -> str:
    r"""Return a text as a cell that a spreadsheet does not run: ' is written before what it takes for a formula.

    What cannot be printed is escaped. Numbers stay as they are.

    >>> cell("=cmd()"), cell("-0.5"), cell("-rock"), cell("'=a"), cell("rock"), cell("a\x1b")
    ("'=cmd()", '-0.5', "'-rock", "''=a", 'rock', 'a\\x1b')
    """
    quoted = f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
    return printable(quoted)


def plain_cell(text: str) -> str:
    """Return the text of a cell without the ' that `cell` writes before what looks like a formula.

    >>> plain_cell("'=cmd()"), plain_cell("''=a"), plain_cell("'74 jazz"), plain_cell("-0.5")
    ('=cmd()', "'=a", "'74 jazz", '-0.5')
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
