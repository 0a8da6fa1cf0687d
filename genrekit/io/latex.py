"""Write LaTeX tables in which text is escaped."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from genrekit.io.printable import printable

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
    "\N{EMPTY SET}": r"$\emptyset$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{CHECK MARK}": r"$\surd$",
    "\N{BALLOT X}": r"$\times$",
    "\N{WHITE CIRCLE}": r"$\circ$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
}


def plain(text: str) -> str:
    r"""Escape text for LaTeX, and put it on one line.

    >>> plain("cel_mel, 57.6 %\n{a}")
    'cel\\_mel, 57.6 \\% \\{a\\}'
    """
    line = printable(" ".join(text.split()))
    return re.sub(".", lambda match: _ESCAPES.get(match[0], match[0]), line)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Collection[int] = ()) -> str:
    r"""Return a tabular of plain text with the rules of booktabs. Columns in `numeric` (from 0) are aligned right.

    >>> print(table(["run", "accuracy"], [["lda", "70.0 %"]], numeric={1}), end="")
    % \usepackage{booktabs}
    \begin{tabular}{lr}
    \toprule
    run & accuracy \\
    \midrule
    lda & 70.0 \% \\
    \bottomrule
    \end{tabular}
    """
    columns = "".join("r" if column in numeric else "l" for column in range(len(head)))
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(head),
        r"\midrule",
        *map(_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(plain, cells)) + r" \\"
