"""Which characters can be shown, and escapes for the others: the gate for names on their way in and out."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = frozenset("\u200c\u200d")
"""Characters in words of Persian and several Indian scripts, and in emoji."""


def is_printable(text: str) -> bool:
    r"""Return whether a text has no line breaks, escape codes, invisible marks or invalid Unicode.

    Spaces of any script are fine.

    >>> is_printable("Música 日本"), is_printable("a\x1b[2J"), is_printable("a\u202eb"), is_printable("a\udcff")
    (True, False, False, False)
    """
    return text.isprintable() or all(map(_shows, text))


def printable(text: str) -> str:
    r"""Return a text on one line, with escapes for everything that cannot be printed.

    This is what a name becomes in messages, tables, reports and files for people. It keeps a file name or a genre from
    clearing the screen, changing the title of the window or the direction of the text.

    >>> print(printable("Rock [live]\n"), printable("\x1b]0;title\x07"), printable("\u202eabc"), printable("a\udcff"))
    Rock [live]\n \x1b]0;title\x07 \u202eabc a\udcff
    """
    return text if text.isprintable() else "".join(one if _shows(one) else ascii(one)[1:-1] for one in text)


def printable_lines(text: str) -> str:
    r"""Return a text with escapes for everything that cannot be printed, except line breaks and tabs.

    >>> printable_lines("a\tb\nc\r\x1b")
    'a\tb\nc\\r\\x1b'
    """
    return re.sub(r"[^\n\t]+", lambda part: printable(part[0]), text)


def json_printable(text: str) -> str:
    r"""Return a JSON text with JSON's escapes for everything that cannot be printed, so that it has the same value.

    Outside of strings, JSON has only characters that can be printed, and line breaks.

    >>> print(json_printable('["a\x7f\u202e\U000e0001"]'))
    ["a\u007f\u202e\udb40\udc01"]
    """
    return re.sub(r"[^\n\x20-\x7e]", lambda one: one[0] if _shows(one[0]) else _json_escape(one[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _shows(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
