"""Output for people and programs: consoles, tables, durations and JSON.

Everything that the command line prints goes through this module, which escapes what cannot be printed and reads no text
as markup. Names of genres, artists, files and runs are passed as they are.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from genrekit.errors import is_or_are
from genrekit.io.json_values import to_json
from genrekit.io.printable import json_printable, printable, printable_lines

DEFAULT_CACHE = Path("data/cache.h5")
"""The cache that commands use if none is named."""

PIPE_WIDTH = 120
"""Width of a table, in columns, if the output is not a terminal."""


class Output(Console):
    """A console that prints strings as they are, on one line: without markup, emoji and automatic colours.

    What cannot be printed is escaped. Styles come from `styled`, and line breaks within a cell from `lines`.
    """

    def __init__(self, file: IO[str]) -> None:
        width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
        super().__init__(
            file=file, markup=False, highlight=False, emoji=False, soft_wrap=not file.isatty(), width=width
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as text. Rich calls this for every string that it prints."""
        return super().render_str(printable(text), **options)


def stdout() -> Output:
    """The console for results: it wraps at the width of a terminal, and never in a pipe."""
    return Output(sys.stdout)


def stderr() -> Output:
    """The console for progress."""
    return Output(sys.stderr)


def styled(*parts: str | tuple[str, str]) -> Text:
    r"""Join parts to a text; a part is a string, or a string and its style.

    >>> styled(("Rock [live]", "bold"), ": 3\n").plain
    'Rock [live]: 3\\n'
    """
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


def lines(texts: Iterable[str]) -> Text:
    """Return a text with a line for each of these strings."""
    return Text("\n".join(map(printable, texts)))


def emit_text(text: str) -> None:
    """Print a text of several lines that programs may read, such as CSV."""
    sys.stdout.write(printable_lines(text))


def emit_json(record: Any) -> None:
    """Print a record as one JSON object, with escapes for what cannot be printed or what the encoding lacks."""
    text = json_printable(json.dumps(to_json(record), ensure_ascii=False))
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(to_json(record))
    sys.stdout.write(text + "\n")


def emit_error(message: str) -> None:
    """Print an error as one line on stderr."""
    sys.stderr.write(f"genrekit: {printable(' '.join(message.split()))}\n")


def shell_command(name: str, *arguments: str, **options: str) -> str:
    """A command of genrekit as a user can type it.

    >>> shell_command("train", cache="my music.h5")
    "genrekit train --cache 'my music.h5'"
    """
    words = [name, *arguments, *(word for option, value in options.items() for word in (f"--{option}", value))]
    return f"genrekit {shlex.join(words)}"


def named_cache(cache: Path) -> dict[str, str]:
    """The option that names a cache, if it is not the one that commands use by default.

    >>> named_cache(DEFAULT_CACHE), named_cache(Path("small.h5"))
    ({}, {'cache': 'small.h5'})
    """
    return {} if cache == DEFAULT_CACHE else {"cache": str(cache)}


def are_there(count: int) -> str:
    """How many runs or trials are finished already.

    >>> are_there(1), are_there(2)
    ('1 is already finished', '2 are already finished')
    """
    return f"{count} {is_or_are(count)} already finished"


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(4.2), duration(75), duration(3_700)
    ('4.2 s', '1:15', '1:01:40')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


class _Cell:
    """A cell whose long words are broken after hyphens and the like, not in the middle of a name."""

    def __init__(self, text: str) -> None:
        self._text = Text(printable(text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        text = self._text
        breaks = [
            word.start() + position
            for word in re.finditer(r"\S+", text.plain)
            for position in _break_positions(word[0], options.max_width)
        ]
        yield Text("\n").join(text.divide(breaks)) if breaks else text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._text)


def _break_positions(word: str, width: int) -> Iterator[int]:
    """Yield where a word is broken so that its lines have at most `width` columns, if its pieces are that short.

    >>> list(_break_positions("cel3-mel-sgd-cosine", 10)), list(_break_positions("cel3-mel-sgd-cosine", 20))
    ([9], [])
    """
    if cell_len(word) <= width:
        return
    position = used = 0
    for piece in re.findall(r"[^-=/,]*[-=/,]*", word):
        if used and used + cell_len(piece) > width:
            yield position
            used = 0
        position += len(piece)
        used += cell_len(piece)


class _Table(Table):
    heading: str | None = None
    """A line above the table, which may be longer than the table is wide."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.heading is not None:
            yield styled((self.heading, "bold"))
        yield from super().__rich_console__(console, options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; cells that may be wrapped are broken after hyphens."""
        wrapped = [
            _Cell(cell) if isinstance(cell, str) and not column.no_wrap else cell
            for cell, column in zip(cells, self.columns, strict=True)
        ]
        super().add_row(*wrapped, **options)


def plain_table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns in `right` are aligned to the right and not wrapped.

    In the other columns, a word that is too long is broken after a hyphen, as in names of runs.
    """
    table = _Table(box=None, pad_edge=False, header_style="dim")
    table.heading = title
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in right)
    return table
