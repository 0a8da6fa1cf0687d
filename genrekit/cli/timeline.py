"""The timeline of a file: a strip of letters, one genre each, with colours if the terminal has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from genrekit.inference.prediction import FragmentPrediction

_COLOURS = (
    *("indian_red1", "deep_sky_blue1", "gold1", "spring_green2", "orchid1", "dark_orange", "cyan1", "light_pink1"),
    *("chartreuse1", "medium_purple1", "tan", "grey74", "khaki1", "turquoise2", "salmon1", "plum1"),
)


def letters(genres: Sequence[str]) -> dict[str, str]:
    """A character for each genre: the first of its letters that is free, else any free digit or letter.

    >>> letters(["blues", "classical", "country", "ccc"])
    {'blues': 'B', 'classical': 'C', 'country': 'O', 'ccc': '1'}
    """
    spare = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0"
    assigned: dict[str, str] = {}
    for genre in genres:
        candidates = [letter for letter in genre.upper() if letter.isascii() and letter.isalpha()]
        free = (letter for letter in (*candidates, *spare) if letter not in assigned.values())
        assigned[genre] = next(free, "?")
    return assigned


def strip(fragments: Sequence[FragmentPrediction], width: int) -> list[str]:
    """The genres of the fragments in time, at most `width`.

    If there are more fragments, neighbours share a cell, which shows the genre with the largest sum of probabilities.

    >>> from genrekit.inference.prediction import FragmentPrediction
    >>> rock, pop = FragmentPrediction(0, "rock", 0.9), FragmentPrediction(5, "pop", 0.3)
    >>> strip([rock, pop], 4), strip([rock, pop], 1)
    (['rock', 'pop'], ['rock'])
    """
    cells = min(width, len(fragments))
    edges = [cell * len(fragments) // cells for cell in range(cells + 1)]
    return [_most_probable(fragments[start:end]) for start, end in pairwise(edges)]


def _most_probable(fragments: Iterable[FragmentPrediction]) -> str:
    total: dict[str, float] = {}
    for fragment in fragments:
        total[fragment.genre] = total.get(fragment.genre, 0.0) + fragment.probability
    return max(total, key=lambda genre: total[genre])


class Key:
    """The letters and colours of a model's genres."""

    def __init__(self, genres: Sequence[str]) -> None:
        self._letters = letters(genres)
        self._colours = {genre: _COLOURS[index % len(_COLOURS)] for index, genre in enumerate(genres)}

    def text(self, strip: Iterable[str]) -> Text:
        """Return a strip of genres as coloured letters."""
        return Text.assemble(*(self._cell(genre) for genre in strip), no_wrap=True)

    def legend(self, genres: Iterable[str]) -> Text:
        """Return the letters and names of these genres, in the model's order."""
        shown = set(genres)
        entries = [(self._cell(genre), f" {genre}") for genre in self._letters if genre in shown]
        pieces = [piece for index, entry in enumerate(entries) for piece in ((", ", *entry) if index else entry)]
        return Text.assemble("timeline: ", *pieces)

    def _cell(self, genre: str) -> tuple[str, str]:
        return self._letters[genre], f"black on {self._colours[genre]}"
