"""Markdown in which names are only names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence


def plain(text: str) -> str:
    r"""Text on one line in which nothing is a mark of Markdown's.

    >>> plain("a|b <i>*c*"), plain("cel_mel _x_\n$y$")
    ('a\\|b \\<i\\>\\*c\\*', 'cel_mel \\_x\\_ \\$y\\$')
    >>> plain("# 1"), plain("1. May"), plain("-1.5")
    ('\\# 1', '1\\. May', '-1.5')
    """
    marks = re.sub(r"([\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([#+-]+|(?<=\d)[.)])(?=\s|$)", r"\1\\\2", marks)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Collection[int] = ()) -> str:
    """A table of plain text; the columns in `numeric` (from 0) are set to the right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(head))]
    lines = [[plain(name) for name in head], rule, *([plain(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: str) -> str:
    """Lines as they stand, within a fence that is longer than any in them."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}\n"
