"""Read the table of a CSV manifest, with any usual separator and encoding."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genrekit.errors import GenrekitError, few
from genrekit.io.csv_table import plain_cell
from genrekit.io.files import cannot
from genrekit.io.regular_files import read_small_file
from genrekit.io.text import WINDOWS, decode_text

MOST_BYTES = 1 << 30
"""Most bytes of a manifest: several million lines."""

REQUIRED = ("path", "genre")
OPTIONAL = ("artist", "split")

_LIKE_SPLIT = frozenset({"splits", "subset", "set", "partition", "fold"})
"""Names of columns, in lower case, that may be meant as the split."""

_SEPARATORS = {",": ",", ";": ";", "\t": "tabs", "|": "|"}


@dataclass(frozen=True)
class ManifestLine:
    """A line of a manifest: its number and its values by column; a missing value is empty."""

    number: int
    values: dict[str, str]


@dataclass(frozen=True)
class ManifestTable:
    """The lines of a manifest, and notes on what is unusual about the file."""

    lines: tuple[ManifestLine, ...]
    notes: tuple[str, ...] = ()


def read_table(manifest: Path) -> ManifestTable:
    """Read the columns path, genre, artist and split of a manifest.

    Values may be separated by commas, semicolons, tabs or |. Names of columns may be in capitals.
    Errors: GenrekitError if the file cannot be read, lacks a column, or a line has too many values.
    """
    try:
        text, encoding = decode_text(read_small_file(manifest, limit=MOST_BYTES))
        separator, first = _separator(text)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        numbered = [(rows.line_num, row) for row in rows if any(value.strip() for value in row)][first:]
    except (OSError, ValueError, csv.Error) as error:
        raise cannot("read the manifest", manifest, error) from error
    header = [name.strip().casefold() for name in numbered[0][1]] if numbered else []
    _require_columns(manifest, header, numbered[0][1] if numbered else [])
    lines = tuple(_line(manifest, header, number, row, separator) for number, row in numbered[1:])
    return ManifestTable(lines, _notes(manifest, header, separator, encoding))


def _separator(text: str) -> tuple[str, int]:
    """Return the separator, and the index of the line with the names of the columns.

    The first line may be `sep=;`, as Excel writes it. Otherwise the separator is the one that gives most known columns.
    """
    lines = [line for line in text.splitlines() if line.strip()][:1]
    first = lines[0].strip() if lines else ""
    if first.casefold().startswith("sep=") and first[4:] in _SEPARATORS:
        return first[4:], 1

    def known(separator: str) -> int:
        names = {name.strip(' "').casefold() for name in first.split(separator)}
        return len(names & {*REQUIRED, *OPTIONAL})

    return max(_SEPARATORS, key=known), 0


def _require_columns(manifest: Path, header: Sequence[str], shown: Sequence[str]) -> None:
    missing = sorted(set(REQUIRED) - set(header))
    if missing:
        found = few([name.strip() for name in shown], 6) if shown else "nothing"
        raise GenrekitError(
            f"{manifest} must be a CSV file with the columns path and genre; missing: {', '.join(missing)}; the first "
            f"line has {found}: write the names of the columns there"
        )
    twice = [name for name in (*REQUIRED, *OPTIONAL) if header.count(name) > 1]
    if twice:
        raise GenrekitError(f"{manifest} has the column {twice[0]} twice: remove or rename one")


def _line(manifest: Path, header: Sequence[str], number: int, row: list[str], separator: str) -> ManifestLine:
    if any(value.strip() for value in row[len(header) :]):
        raise GenrekitError(
            f"{manifest}, line {number}: {len(row)} values for {len(header)} columns; write values that contain "
            f"{_SEPARATORS[separator]} in double quotes"
        )
    values = {name: plain_cell(value.strip()) for name, value in zip(header, row, strict=False)}
    return ManifestLine(number, {name: values.get(name, "") for name in (*REQUIRED, *OPTIONAL)})


def _notes(manifest: Path, header: Sequence[str], separator: str, encoding: str) -> tuple[str, ...]:
    unusual = []
    if encoding == WINDOWS:
        unusual.append(f"its encoding is not UTF-8, so it is read as {WINDOWS}")
    elif encoding != "UTF-8":
        unusual.append(f"its encoding is {encoding}")
    if separator != ",":
        unusual.append(f"its values are separated by {_SEPARATORS[separator]}")
    ignored = [name for name in header if name not in (*REQUIRED, *OPTIONAL)]
    if ignored:
        unusual.append(
            f"its columns {few(ignored, 6)} are not used" if ignored[1:] else f"its column {ignored[0]} is not used"
        )
    like_split = [] if "split" in header else [name for name in ignored if name in _LIKE_SPLIT]
    if like_split:
        unusual.append(f"call the column {like_split[0]} split if it is one")
    return (f"{manifest}: {', '.join(unusual)}",) if unusual else ()


def existing_name(folder: Path, name: str) -> str:
    """Return the name under which a listed file exists: with / for backslashes, or in the other Unicode form.

    macOS writes an accent as a character of its own (NFD), other systems write one character (NFC).
    """
    for spelled in (name, name.replace("\\", "/")):
        for form in (spelled, unicodedata.normalize("NFC", spelled), unicodedata.normalize("NFD", spelled)):
            with suppress(OSError, ValueError):
                if (folder / form).exists():
                    return form
    return name
