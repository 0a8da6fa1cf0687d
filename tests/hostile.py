"""Names that would do something if a terminal, a spreadsheet or a browser read them raw."""

import unicodedata

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x1b[H"
BIDI = "\u202egnp\u202c"
CSI = "\x9b2J"

MARKUP = ("Rock [live]", "Rock [demo]", "[b]", "[bold red]x", ":smile:")
"""Names that rich would read as markup."""

FORMULAS = ("=1+1", "+1-1", "-cmd", "@sum")
"""Names that a spreadsheet would run."""

CONTROLS = (TITLE, CLEAR, BIDI, CSI, "a\nb", "a\rb", "a\tb", "\u2028", "\ufeff", "\udcff")
"""Names with what a terminal must not read."""


def unsafe(text: str) -> set[str]:
    """Return the characters of an output that a terminal must not read: all controls and formats but line breaks."""
    return {one for one in text if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
