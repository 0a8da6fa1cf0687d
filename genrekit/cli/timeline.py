"""The timeline of a file: a strip of letters, one genre each, with colours if the terminal has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from rich.text import Text

from genrekit.cli.display import styled

if TYPE_CHECKING:
    from genrekit.inference.prediction import FragmentPrediction

_COLOURS = (
    *("indian_red1", "deep_sky_blue1", "gold1", "spring_green2", "orchid1", "dark_orange", "cyan1", "light_pink1"),
    *("chartreuse1", "medium_purple1", "tan", "grey74", "khaki1", "turquoise2", "salmon1", "plum1"),
)


_SPARE = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0"


def letters(genres: Sequence[str]) -> dict[str, str]:
    """A character for each genre: the first letter or digit of its name that is free, else any free one.

    If there are more genres than characters, each has two.

    >>> letters(["blues", "classical", "country", "ccc", "80s"])
    {'blues': 'B', 'classical': 'C', 'country': 'O', 'ccc': '1', '80s': '8'}
    """
    two = len(genres) > len(_SPARE)
    assigned: dict[str, str] = {}
    taken: set[str] = set()
    for candidates in (_pairs, _any_pair) if two else (_own, _any):
        for genre in genres:
            free = None if genre in assigned else next((one for one in candidates(genre) if one not in taken), None)
            if free is not None:
                assigned[genre] = free
                taken.add(free)
    return {genre: assigned.get(genre, "??" if two else "?") for genre in genres}


def _own(genre: str) -> Iterator[str]:
    return (letter for letter in genre.upper() if letter.isascii() and letter.isalnum())


def _any(_genre: str) -> Iterator[str]:
    return iter(_SPARE)


def _pairs(genre: str) -> Iterator[str]:
    """The first character of a name with each other one of it."""
    first = next(_own(genre), None)
    return (f"{first}{other.lower()}" for other in islice(_own(genre), 1, None)) if first else iter(())


def _any_pair(genre: str) -> Iterator[str]:
    """A character of the name, or any other, with any second one."""
    return (f"{first}{second}" for first in (*_own(genre), *_SPARE) for second in _SPARE)


def strip(fragments: Sequence[FragmentPrediction], width: int) -> list[str | None]:
    """The genres of the fragments in time, at most `width`; None is silence.

    If there are more fragments, neighbours share a cell, which shows the genre with the largest sum of probabilities.

    >>> from genrekit.inference.prediction import FragmentPrediction
    >>> rock, pop = FragmentPrediction(0, "rock", 0.9), FragmentPrediction(5, "pop", 0.3)
    >>> strip([rock, pop], 4), strip([rock, pop], 1)
    (['rock', 'pop'], ['rock'])
    """
    cells = min(width, len(fragments))
    edges = [cell * len(fragments) // cells for cell in range(cells + 1)]
    return [_most_probable(fragments[start:end]) for start, end in pairwise(edges)]


def _most_probable(fragments: Iterable[FragmentPrediction]) -> str | None:
    total: dict[str | None, float] = {}
    for fragment in fragments:
        total[fragment.genre] = total.get(fragment.genre, 0.0) + fragment.probability
    return max(total, key=lambda genre: total[genre])


class Key:
    """The letters and colours of a model's genres. `width` is the number of characters of a cell."""

    def __init__(self, genres: Sequence[str]) -> None:
        self._letters = letters(genres)
        self.width = max(map(len, self._letters.values()), default=1)
        self._colours = {genre: _COLOURS[index % len(_COLOURS)] for index, genre in enumerate(genres)}

    def text(self, strip: Iterable[str | None]) -> Text:
        """Return a strip of genres as coloured letters, with - for silence."""
        cells = styled(*(self._cell(genre) for genre in strip))
        cells.no_wrap = True
        return cells

    def legend(self, genres: Iterable[str | None]) -> Text:
        """Return the letters and names of these genres, in the model's order, and then silence."""
        shown = set(genres)
        entries = [(self._cell(genre), f" {genre or 'silent'}") for genre in (*self._letters, None) if genre in shown]
        pieces = [piece for index, entry in enumerate(entries) for piece in ((", ", *entry) if index else entry)]
        return styled("timeline: ", *pieces)

    def _cell(self, genre: str | None) -> tuple[str, str]:
        if genre is None:
            return "-" * self.width, "dim"
        return self._letters[genre], f"black on {self._colours[genre]}"
