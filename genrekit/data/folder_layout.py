"""Which folder of a path names the genre, and which one the subset or fold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from genrekit.errors import GenrekitError, few

SUBSET_NAMES: Final = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""The names of subsets in manifests and of folders, in lower case."""

_FOLD: Final = re.compile(r"(?:cv)?[ _-]?folds?[ _-]?(\d+)", re.IGNORECASE)


def subset_called(name: str) -> str | None:
    """Return the subset that a folder's name or a manifest's value stands for, or None.

    >>> subset_called("Train"), subset_called("valid"), subset_called("dev"), subset_called("blues")
    ('train', 'validation', 'validation', None)
    """
    return SUBSET_NAMES.get(name.strip().lower())


def fold_number(name: str) -> int | None:
    """Return the number in the name of a fold, or None.

    >>> fold_number("fold1"), fold_number("Fold_10"), fold_number("folk2")
    (1, 10, None)
    """
    match = _FOLD.fullmatch(name.strip())
    return int(match[1]) if match else None


@dataclass(frozen=True)
class FolderLayout:
    """The levels of folders that name the genre and the subset, from 0; without a subset, genre folders are at the top.

    >>> FolderLayout(genre=1, subset=0).read(("Train", "blues", "Ann"))
    ('blues', 'train')
    >>> FolderLayout().read(("blues",)), FolderLayout(genre=1, subset=0).read(("train",))
    (('blues', None), ('', None))
    """

    genre: int = 0
    subset: int | None = None

    def read(self, folders: Sequence[str]) -> tuple[str, str | None]:
        """Return genre and subset of a file in some folders; the genre is empty if the file is not deep enough."""
        if len(folders) <= self.genre:
            return "", None
        if self.subset is None or len(folders) <= self.subset:
            return folders[self.genre], None
        return folders[self.genre], subset_called(folders[self.subset])


def find_layout(root: Path, paths: Iterable[Sequence[str]]) -> FolderLayout:
    """Find the layout of a collection: GENRE/, SUBSET/GENRE/ or GENRE/SUBSET/.

    `paths` has the folders of each file, from the one below `root`. A folder is a subset if its name is one, and if all
    folders beside it are subsets, too. So a genre called "test" beside blues and jazz is a genre.
    Errors: GenrekitError for folds, subsets without genre folders, and subsets beside genres, with what to do.
    """
    folders = {tuple(parts) for parts in paths if parts}
    outer = sorted({parts[0] for parts in folders})
    dividing = [name for name in outer if _divides(name)]
    if dividing and dividing == outer:
        return _outer_subsets(root, folders, outer)
    _refuse_subsets_beside_genres(root, folders, dividing)
    inner = sorted({parts[1] for parts in folders if len(parts) > 1})
    subsets = {subset_called(name) for name in inner}
    if inner and all(fold_number(name) for name in inner):
        raise GenrekitError(
            f"{root} has folds ({few(inner)}) in its genre folders, and none is the test set: write a manifest with a "
            "split column"
        )
    is_split = len(subsets) > 1 and "train" in subsets and None not in subsets
    return FolderLayout(genre=0, subset=1) if is_split else FolderLayout()


def _divides(name: str) -> bool:
    return subset_called(name) is not None or fold_number(name) is not None


def _outer_subsets(root: Path, folders: set[tuple[str, ...]], names: Sequence[str]) -> FolderLayout:
    if all(len(parts) == 1 for parts in folders):
        raise GenrekitError(
            f"{root} has folders that are not genres ({few(names)}), without genre folders in them: make "
            f"{root / names[0]}/GENRE/ folders, or list path, genre and split of each file in a manifest"
        )
    folds = sorted((name for name in names if fold_number(name)), key=lambda name: fold_number(name) or 0)
    if folds:
        raise GenrekitError(
            f"{root} has folds ({few(folds)}), not genres: run {_folds_command(root, folds, names)}, then "
            f"genrekit prepare --manifest {shlex.quote(str(root / 'manifest.csv'))}"
        )
    if len(names) == 1:
        raise GenrekitError(
            f"{root} has only the folder {names[0]}, which is not a genre: did you mean {root / names[0]}?"
        )
    return FolderLayout(genre=1, subset=0)


def _folds_command(root: Path, folds: Sequence[str], names: Sequence[str]) -> str:
    """Return the command that uses the last folds for the sets that have no folder of their own."""
    present = {subset_called(name) for name in names}
    lacking = [subset for subset in ("test", "validation") if subset not in present]
    options = [f"--{subset} {shlex.quote(fold)}" for subset, fold in zip(lacking, folds[:0:-1], strict=False)]
    return " ".join([f"genrekit manifest folders {shlex.quote(str(root))}", *reversed(options)])


def _refuse_subsets_beside_genres(root: Path, folders: set[tuple[str, ...]], dividing: Sequence[str]) -> None:
    """Refuse subset folders with the same genre folders in them as another subset folder, or as the collection has."""
    within = {name: {parts[1] for parts in folders if parts[0] == name and len(parts) > 1} for name in dividing}
    others = sorted({parts[0] for parts in folders} - set(dividing))
    for name, genres in within.items():
        beside = {genre for other, its in within.items() if other != name for genre in its}
        if genres and (genres <= set(others) or genres & beside):
            raise GenrekitError(
                f"{root} has a folder {name} with genre folders ({few(sorted(genres))}) beside other folders "
                f"({few(others)}): move these into another subset's folder, such as {root / 'train'}, or out of {root}"
            )
