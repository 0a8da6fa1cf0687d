"""Text files that other programs wrote: any usual encoding, with or without a byte order mark."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

WINDOWS = "Windows-1252"


def decode_text(content: bytes) -> tuple[str, str]:
    """Return the text of a file and its encoding: UTF-8, UTF-16, or Windows-1252 if it is neither.

    Errors: ValueError if it is not text.

    >>> decode_text("Música".encode("utf-16"))
    ('Música', 'UTF-16')
    >>> decode_text("Música".encode("latin-1"))
    ('Música', 'Windows-1252')
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _printable(content.removeprefix(mark).decode(encoding)), encoding[:6].upper().rstrip("-")
    if content[1:2] == b"\0" or content[:1] == b"\0":
        return _printable(content.decode("utf-16-be" if content[:1] == b"\0" else "utf-16-le")), "UTF-16"
    try:
        return _printable(content.decode("utf-8")), "UTF-8"
    except UnicodeDecodeError:
        return _printable(content.decode("cp1252", errors="replace")), WINDOWS


def _printable(text: str) -> str:
    """Refuse the control characters that audio and other binary files have in their first bytes."""
    if any(character in "\0\1\2\3\4\5\6\a\b\ufffd" for character in text[:1_000]):
        raise ValueError("it is not a text file")
    return text
