"""Open a collection in any supported layout: a manifest, genre folders, subset folders, FMA or GTZAN."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from genrekit.data.collection import Collection, Track, audio_files, collect, read_manifest, scan_folder, subfolders
from genrekit.data.file_types import ARCHIVES, SUFFIXES, not_audio
from genrekit.data.layouts import is_fma_folder, is_fma_header, read_fma
from genrekit.data.splits.gtzan import gtzan_name
from genrekit.errors import GenrekitError, counted, few
from genrekit.io.files import is_file
from genrekit.io.regular_files import open_regular_text


def open_collection(data: Path, manifest: Path | None = None, *, least_genres: int = 2) -> Collection:
    """Read the tracks of a folder, or of a manifest if one is given.

    FMA's audio folder is read with the `tracks.csv` near it.
    Errors: GenrekitError if the collection cannot be used, with the right folder or command if that is known.
    """
    if manifest is not None:
        return read_manifest(manifest, least_genres=least_genres)
    _refuse_no_folder(data)
    if _is_fma_audio(data):
        return _fma_collection(data, least_genres)
    _refuse_gtzan_without_genre_folders(data)
    _refuse_without_genre_folders(data)
    collection = scan_folder(data, least_genres=least_genres)
    _refuse_nested_collection(data, collection.tracks)
    return collection


def _refuse_no_folder(data: Path) -> None:
    """Refuse archives, files, patterns and URLs, each with what to do instead."""
    problem = not_audio(data, then=", then name its folder")
    if problem is not None and not data.is_dir():
        raise GenrekitError(problem)
    if data.name.lower().endswith(ARCHIVES) and not data.is_dir():
        raise GenrekitError(f"no file {data}: name the folder of the unpacked archive")
    is_table = data.suffix.lower() in (".csv", ".tsv")
    if is_table and not data.exists():
        raise GenrekitError(f"no file {data}: check the path")
    if not is_file(data):
        return
    if is_table:
        raise GenrekitError(f"{data} is a file, not a folder: use it as a manifest with --manifest {_quoted(data)}")
    if data.suffix.lower() in SUFFIXES:
        raise GenrekitError(
            f"{data} is one audio file: name the folder that has one folder per genre, or run genrekit predict "
            f"{_quoted(data)}"
        )
    raise GenrekitError(f"{data} is a file: name the folder that has one folder of audio files per genre")


def _refuse_without_genre_folders(data: Path) -> None:
    """Refuse a folder whose audio files all lie in it directly: the folder of one genre, or songs without genres."""
    first = next(audio_files(data, []), None) if data.is_dir() else None
    if first is None or any(path.parent != data for path in audio_files(data, [])):
        return
    above = _above(data)
    others = [name for name in subfolders(above) if name != data.resolve().name and _has_audio(above / name)]
    if others:
        raise GenrekitError(
            f"{data} has audio files but no genre folders, and beside it are other folders of audio "
            f"({few(others)}): did you mean {above}?"
        )
    raise GenrekitError(
        f"{data} has audio files but no genre folders: move them into one folder per genre, or list them in a CSV file "
        "with the columns path and genre for --manifest"
    )


def _has_audio(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
    return False


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _is_fma_audio(data: Path) -> bool:
    """Whether a folder has FMA's folders 000, 001, ... with audio such as 000/000002.mp3."""
    names = [name for name in subfolders(data) if name != "fma_metadata"]
    return is_fma_folder(names) and any(
        re.fullmatch(rf"{name}\d{{3}}", path.stem) for name in names for path in (data / name).glob("[!.]*.*")
    )


def _fma_collection(data: Path, least_genres: int) -> Collection:
    tracks_csv = _find_tracks_csv(data)
    if tracks_csv is None:
        folder, manifest = shlex.quote(str(data)), data / "manifest.csv"
        write = "" if manifest.is_file() else f"run genrekit manifest fma TRACKS_CSV --audio {folder}, then "
        raise GenrekitError(
            f"{data} has FMA's folders (000, 001, ...), which are not genres, and no tracks.csv of FMA is near: {write}"
            f"genrekit prepare --manifest {shlex.quote(str(manifest))}"
        )
    rows, without_genre = read_fma(tracks_csv, data)
    entries = [(row.path, row.genre, row.artists, row.subset or None) for row in rows]
    collection = collect(data, entries, least_genres=least_genres, listed_in=tracks_csv)
    left_out = f"; {counted(without_genre, 'track')} without a top genre not used" if without_genre else ""
    return replace(collection, notes=(f"genres, artists and split are those of {tracks_csv}{left_out}",))


def _find_tracks_csv(data: Path) -> Path | None:
    """Return FMA's `tracks.csv` in its audio folder, beside it, or in a folder beside it such as fma_metadata."""
    above = _above(data)
    folders = [data, data / "fma_metadata", above, *(above / name for name in subfolders(above))]
    return next((folder / "tracks.csv" for folder in folders if _is_fma_csv(folder / "tracks.csv")), None)


def _is_fma_csv(path: Path) -> bool:
    try:
        with open_regular_text(path) as file:
            lines = csv.reader(file)
            return is_fma_header([next(lines, []), next(lines, [])])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _refuse_gtzan_without_genre_folders(data: Path) -> None:
    if not data.is_dir():
        return
    genres = set()
    for path in audio_files(data, []):
        name = gtzan_name(path.stem)
        if name is None or path.parent != data:
            return
        genres.add(name.partition(".")[0])
    if not genres:
        return
    if len(genres) > 1:
        raise GenrekitError(
            f"{data} has GTZAN's files without genre folders: run genrekit manifest gtzan {shlex.quote(str(data))}, "
            f"then genrekit prepare --manifest {shlex.quote(str(data / 'manifest.csv'))}"
        )
    raise GenrekitError(f"{data} has only GTZAN's {genres.pop()}, without a genre folder: did you mean {_above(data)}?")


def _above(folder: Path) -> Path:
    return folder.parent if folder.name not in ("", "..") else folder.resolve().parent


def _refuse_nested_collection(data: Path, tracks: Iterable[Track]) -> None:
    """Refuse a published collection in one folder that would be one genre, such as GTZAN's genres_original."""
    nested: dict[str, set[str]] = {}
    for track in tracks:
        parts = track.id.split("/")
        name = gtzan_name(track.id)
        if name is not None and len(parts) > 2 and track.genre == parts[0] != parts[-2] == name.partition(".")[0]:
            nested.setdefault(parts[0], set()).add(parts[-2])
        elif len(parts) == 3 and re.fullmatch(r"\d{3}", parts[1]) and re.fullmatch(rf"{parts[1]}\d{{3}}", parts[2]):
            nested.setdefault(parts[0], set()).update((parts[1], "FMA"))
    if len(nested) == 1 or all("FMA" in folders for folders in nested.values()):
        for name, folders in nested.items():
            if len(folders) > 1:
                what = "FMA's audio" if "FMA" in folders else "GTZAN's genre folders"
                raise GenrekitError(f"{data / name} has {what}, so {name} is not a genre: did you mean {data / name}?")
