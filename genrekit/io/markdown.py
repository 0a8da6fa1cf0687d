"""Write Markdown in which text is escaped."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from genrekit.io.printable import printable, printable_lines


def plain(text: str) -> str:
    r"""Escape text for Markdown, and put it on one line.

    >>> plain("a|b <i>*c*"), plain("cel_mel _x_\n$y$")
    ('a\\|b \\<i\\>\\*c\\*', 'cel_mel \\_x\\_ \\$y\\$')
    >>> plain("# 1"), plain("1. May"), plain("-1.5")
    ('\\# 1', '1\\. May', '-1.5')
    """
    marks = re.sub(r"([\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", printable(" ".join(text.split())))
    return re.sub(r"^(\d*)([#+-]+|(?<=\d)[.)])(?=\s|$)", r"\1\\\2", marks)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Collection[int] = ()) -> str:
    """Return a table of plain text. The columns in `numeric` (from 0) are aligned right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(head))]
    lines = [[plain(name) for name in head], rule, *([plain(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: str) -> str:
    """Return a code block, with a fence that is longer than any in the text."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{printable_lines(text)}\n{fence}\n"
