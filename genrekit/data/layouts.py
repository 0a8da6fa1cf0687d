"""Folder layouts in which collections are published, and the manifests that describe them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from genrekit.data.collection import audio_files, subfolders
from genrekit.data.folder_layout import subset_called
from genrekit.data.splits.gtzan import artists_of, fault_filtered_subset, gtzan_name
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot
from genrekit.io.regular_files import open_regular_text

_FMA_HEADER_ROWS: Final = 3
_FMA_COLUMNS: Final = {
    "genre": ("track", "genre_top"),
    "artist": ("artist", "name"),
    "split": ("set", "split"),
}


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest. `subset` is train, validation, test, or empty for a track that no subset uses."""

    path: Path
    genre: str
    artists: tuple[str, ...] = ()
    subset: str = ""


def is_fma_folder(names: Sequence[str]) -> bool:
    """Whether folder names are those of FMA's audio: three digits each.

    >>> is_fma_folder(["000", "001", "155"]), is_fma_folder(["blues", "000"]), is_fma_folder([])
    (True, False, False)
    """
    return bool(names) and all(re.fullmatch(r"\d{3}", name) for name in names)


def is_fma_header(lines: Sequence[Sequence[str]]) -> bool:
    """Whether the first two rows of a CSV file name the columns of FMA's `tracks.csv`."""
    return set(_FMA_COLUMNS.values()) <= set(zip(*lines, strict=False))


def read_fma(tracks_csv: Path, audio: Path) -> tuple[list[ManifestRow], int]:
    """Read the tracks of FMA's `tracks.csv` whose audio is below a folder.

    The file has three header rows. A track's audio is `000/000002.mp3`: its number with six digits, in a folder named
    by the first three. Genre is the top genre, artist the artist's name, and the subset that of FMA's own split.

    Returns the rows, and how many tracks have audio but no top genre.
    Errors: GenrekitError if the file cannot be read or is not FMA's, or no listed track has audio.
    """
    available = {path.stem: path for path in audio_files(audio, []) if path.stem.isdecimal()}
    rows: list[ManifestRow] = []
    without_genre = 0
    for number, values in _fma_lines(tracks_csv):
        path = available.get(f"{number:06d}")
        if path is None:
            continue
        if not values["genre"]:
            without_genre += 1
            continue
        artist = values["artist"].replace(";", ",")
        subset = subset_called(values["split"]) or ""
        rows.append(ManifestRow(path, values["genre"], (artist,) if artist else (), subset))
    if not rows:
        raise GenrekitError(
            f"{audio} has no audio of the tracks in {tracks_csv}: pass FMA's audio folder (with 000, 001, ...) "
            "with --audio"
        )
    return rows, without_genre


def _fma_lines(tracks_csv: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open_regular_text(tracks_csv) as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise cannot("read", tracks_csv, error) from error
    columns = list(zip(*lines[:2], strict=False)) if len(lines) > _FMA_HEADER_ROWS else []
    missing = [".".join(names) for names in _FMA_COLUMNS.values() if names not in columns]
    if missing:
        raise GenrekitError(
            f"{tracks_csv} is not FMA's tracks.csv: its first two rows do not name {', '.join(missing)}"
        )
    indices = {key: columns.index(names) for key, names in _FMA_COLUMNS.items()}
    for line in lines[_FMA_HEADER_ROWS:]:
        if len(line) == len(columns) and line[0].isdecimal():
            yield int(line[0]), {key: line[index].strip() for key, index in indices.items()}


def find_fma_audio(tracks_csv: Path) -> Path:
    """Return FMA's audio folder near its metadata, such as `fma_small` beside `fma_metadata/tracks.csv`.

    Errors: GenrekitError if there is none, or more than one.
    """
    parents = tracks_csv.resolve().parents[:2]
    near = dict.fromkeys(folder for parent in parents for folder in (parent, *map(parent.joinpath, subfolders(parent))))
    candidates = [folder for folder in near if is_fma_folder(subfolders(folder))]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise GenrekitError(f"no folder of FMA's audio (with 000, 001, ...) is near {tracks_csv}: pass it with --audio")
    names = ", ".join(folder.name for folder in candidates)
    raise GenrekitError(f"several folders of FMA's audio are near {tracks_csv} ({names}): pass one with --audio")


def read_gtzan(folder: Path) -> tuple[list[ManifestRow], int]:
    """Read GTZAN's tracks anywhere below a folder, as published on Kaggle, Hugging Face or the original site.

    Genre and artists are those of Sturm's index, the subset that of the fault-filtered split. Tracks that this split
    leaves out have no subset.

    Returns the rows, and how many audio files do not have a GTZAN name.
    Errors: GenrekitError if no file has a GTZAN name such as blues.00000.wav.
    """
    rows: list[ManifestRow] = []
    others = 0
    for path in audio_files(folder, []):
        name = gtzan_name(path.stem)
        if name is None:
            others += 1
            continue
        rows.append(ManifestRow(path, name.split(".")[0], artists_of(name), fault_filtered_subset(name) or ""))
    if not rows:
        raise GenrekitError(f"{folder} has no file with a GTZAN name such as blues.00000.wav: pass GTZAN's folder")
    return rows, others


def read_split_folders(root: Path, *, validation: Iterable[str] = (), test: Iterable[str] = ()) -> list[ManifestRow]:
    """Read a collection with one folder per subset and one folder per genre in each: train/blues/a.wav.

    Folders named train, val, test and the like (see `SUBSET_NAMES`, in any case) name the subset.
    `validation` and `test` name other folders, such as fold1; the remaining folders then are the training set.

    Errors: GenrekitError if a folder's subset is unknown, a named folder does not exist, or a file has no genre folder.
    """
    folders = subfolders(root)
    if not folders:
        raise GenrekitError(f"{root} has no folders: it must have one folder per subset, such as train and test")
    chosen = {**dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    unknown = sorted(set(chosen) - set(folders))
    if unknown:
        raise GenrekitError(f"{root} has no folder {unknown[0]}; it has {', '.join(folders)}")
    subsets = {name: chosen.get(name) or subset_called(name) or ("train" if chosen else "") for name in folders}
    unclear = sorted(name for name, subset in subsets.items() if not subset)
    if unclear:
        raise GenrekitError(
            f"{root / unclear[0]} does not name a subset: pass the folders of the other subsets with --validation "
            "and --test, the rest is the training set"
        )
    rows: list[ManifestRow] = []
    for path in audio_files(root, []):
        relative = path.relative_to(root)
        if len(relative.parts) > 2:
            rows.append(ManifestRow(path, relative.parts[1], (), subsets[relative.parts[0]]))
    if not rows:
        raise GenrekitError(f"{root} has no audio in SUBSET/GENRE/ folders, such as .wav or .mp3 files")
    return rows
