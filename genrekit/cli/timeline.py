"""Where in a file each genre holds: a strip of letters, coloured where colours are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.text import Text

from genrekit.inference.prediction import FragmentPrediction

_COLOURS = (
    *("indian_red1", "deep_sky_blue1", "gold1", "spring_green2", "orchid1", "dark_orange", "cyan1", "light_pink1"),
    *("chartreuse1", "medium_purple1", "tan", "grey74", "khaki1", "turquoise2", "salmon1", "plum1"),
)


def letters(genres: Sequence[str]) -> dict[str, str]:
    """A character for each genre: the first of its letters that is free, else a figure or any letter that is.

    >>> letters(["blues", "classical", "country", "ccc"])
    {'blues': 'B', 'classical': 'C', 'country': 'O', 'ccc': '1'}
    """
    spare = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0"
    found: dict[str, str] = {}
    for genre in genres:
        own = [letter for letter in genre.upper() if letter.isascii() and letter.isalpha()]
        found[genre] = next((letter for letter in (*own, *spare) if letter not in found.values()), "?")
    return found


def strip(fragments: Sequence[FragmentPrediction], width: int) -> list[str]:
    """Genres of the fragments in time; of more than `width` neighbours are joined, the surest genre in sum speaks.

    >>> sure, unsure = FragmentPrediction(0, "rock", 0.9), FragmentPrediction(5, "pop", 0.3)
    >>> strip([sure, unsure], 4), strip([sure, unsure], 1)
    (['rock', 'pop'], ['rock'])
    """
    cells = min(width, len(fragments))
    edges = [cell * len(fragments) // cells for cell in range(cells + 1)]
    return [_loudest(fragments[start:end]) for start, end in pairwise(edges)]


def _loudest(fragments: Iterable[FragmentPrediction]) -> str:
    total: dict[str, float] = {}
    for fragment in fragments:
        total[fragment.genre] = total.get(fragment.genre, 0.0) + fragment.probability
    return max(total, key=lambda genre: total[genre])


class Key:
    """The letters and colours of a model's genres."""

    def __init__(self, genres: Sequence[str]) -> None:
        self._letters = letters(genres)
        self._colours = {genre: _COLOURS[place % len(_COLOURS)] for place, genre in enumerate(genres)}

    def drawn(self, cells: Iterable[str]) -> Text:
        """A strip as it is printed."""
        return Text.assemble(*(self._cell(genre) for genre in cells), no_wrap=True)

    def legend(self, genres: Iterable[str]) -> Text:
        """What the letters of these genres mean, in the model's order."""
        shown = set(genres)
        named = [(self._cell(genre), f" {genre}") for genre in self._letters if genre in shown]
        parts = [part for number, pair in enumerate(named) for part in ((", ", *pair) if number else pair)]
        return Text.assemble("timeline: ", *parts)

    def _cell(self, genre: str) -> tuple[str, str]:
        return self._letters[genre], f"black on {self._colours[genre]}"
