"""Check names of genres: they can be printed, have one Unicode form, and differ in more than case."""

from __future__ import annotations

import csv
import io
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from genrekit.errors import GenrekitError
from genrekit.io.files import cannot
from genrekit.io.printable import is_printable
from genrekit.io.regular_files import read_small_file
from genrekit.io.text import decode_text

OTHER = "other"
"""The class of music or sounds that have none of the other genres of a model."""


def genre_name(name: str) -> tuple[str, str | None]:
    r"""Return a genre in Unicode's composed form (NFC), without outer spaces, and what is wrong with it, if anything.

    >>> genre_name(" Mu\u0301sica ")
    ('Música', None)
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        return name, "is empty"
    return name, None if is_printable(name) else "has characters that cannot be printed: rename it"


def name_key(name: str) -> str:
    r"""Return a name for comparison: names that differ only in case or in their Unicode form are the same.

    >>> name_key("MU\u0301SICA") == name_key("m\u00fasica")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def names_problem(genres: Iterable[str]) -> str | None:
    r"""Return what is wrong with the genres of a collection, a cache or a bundle; None if nothing is.

    >>> names_problem(["jazz", "Metal", "metal"]), names_problem(["jazz", "a\x1b"])
    ('the genres Metal and metal differ only in case', "the genre 'a\\x1b' has characters that cannot be printed")
    """
    names = list(genres)
    for name in names:
        normal, problem = genre_name(name)
        if problem is None and normal != name:
            problem = "has spaces around it, or is not in Unicode's composed form"
        if problem is not None:
            return f"the genre {name!a} {problem.removesuffix(': rename it')}"
    for group in case_variants(names):
        return f"the genres {' and '.join(group)} differ only in case"
    return None


def is_other(genre: str | None) -> bool:
    """Whether a genre is the class `other`: music or sounds that have none of the other genres of a model.

    >>> is_other("Other"), is_other("rock")
    (True, False)
    """
    return genre is not None and genre.casefold() == OTHER


def case_variants(genres: Iterable[str]) -> list[list[str]]:
    """Return the groups of genres that differ only in case.

    >>> case_variants(["Metal", "jazz", "metal"])
    [['Metal', 'metal']]
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for genre in sorted(genres):
        groups[name_key(genre)].append(genre)
    return [group for group in groups.values() if len(group) > 1]


def read_aliases(path: Path) -> dict[str, str]:
    """Read a file of aliases: TOML with lines `alias = "genre"`, or CSV with the columns alias and genre.

    Errors: GenrekitError if the file cannot be read or is not valid.
    """
    try:
        text, _ = decode_text(read_small_file(path))
        pairs = list(_toml_pairs(text) if path.suffix.lower() == ".toml" else _csv_pairs(text))
    except (OSError, ValueError, csv.Error) as error:
        raise cannot("read the genre aliases", path, error) from error
    aliases: dict[str, str] = {}
    for written_alias, written_genre in pairs:
        (alias, _), (genre, problem) = genre_name(written_alias), genre_name(written_genre)
        if not alias or problem is not None:
            raise GenrekitError(f"{path}: the genre of the alias {alias!r} {problem or 'has no alias'}")
        if aliases.setdefault(alias, genre) != genre:
            raise GenrekitError(f"{path}: {alias} is an alias of {aliases[alias]} and of {genre}: remove one")
    return aliases


def _toml_pairs(text: str) -> Iterable[tuple[str, str]]:
    for alias, genre in tomllib.loads(text).items():
        if not isinstance(genre, str):
            raise ValueError(f'the genre of {alias} must be text, such as {alias} = "jazz", got {genre!r}')
        yield alias, genre


def _csv_pairs(text: str) -> Iterable[tuple[str, str]]:
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(value.strip() for value in row)]
    if not rows or [name.strip().casefold() for name in rows[0]] != ["alias", "genre"]:
        first = ",".join(rows[0]) if rows else ""
        raise ValueError(f'its first line must be alias,genre, got {first!r}; or write TOML: alias = "genre"')
    for row in rows[1:]:
        if len(row) != 2:
            raise ValueError(f"each line must have an alias and a genre, got {','.join(row)!r}")
        yield row[0], row[1]


def renamed(genre: str, aliases: Mapping[str, str]) -> str:
    """Return the genre that an alias stands for, or the genre itself.

    >>> renamed("Hip-Hop", {"Hip-Hop": "hiphop"}), renamed("jazz", {"Hip-Hop": "hiphop"})
    ('hiphop', 'jazz')
    """
    return aliases.get(genre, genre)


def without_other(genres: Iterable[str]) -> frozenset[str]:
    """Return the genres without `other`, which rejects audio.

    >>> sorted(without_other(["rock", "other", "jazz"]))
    ['jazz', 'rock']
    """
    return frozenset(genres) - {OTHER}
