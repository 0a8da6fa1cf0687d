"""manifest: write the manifest of a collection that is published in its own layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrekit._types import AnyPath
from genrekit.data.layouts import ManifestRow, find_fma_audio, read_fma, read_gtzan, read_split_folders
from genrekit.data.splits.split import SET_NAMES
from genrekit.errors import GenrekitError, counted
from genrekit.io.csv_table import csv_text
from genrekit.io.files import cannot, require_no_folder, write_text
from genrekit.io.targets import replaceable
from genrekit.workflows.reporter import Reporter

_QUIET = Reporter()
_SUBSETS = (*SET_NAMES, "")


@dataclass(frozen=True)
class ManifestResult:
    """What a manifest lists: number of tracks by genre and by subset, and how many have an artist.

    The subset "" counts tracks that no subset uses. `left_out` counts audio files that the manifest does not list.
    """

    manifest: Path
    tracks: int
    genres: dict[str, int]
    subsets: dict[str, int]
    with_artist: int
    left_out: int


def fma_manifest(
    tracks_csv: AnyPath,
    *,
    audio: AnyPath | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    reporter: Reporter = _QUIET,
) -> ManifestResult:
    """Write the manifest of an FMA subset from FMA's `tracks.csv`.

    `audio` is the folder with the folders 000, 001, ...; by default it is searched near the CSV file. `out` is by
    default `manifest.csv` in that folder. FMA's own split is kept.
    Errors: GenrekitError if the CSV is not FMA's, the audio folder is missing, or `out` exists.
    """
    tracks_csv = Path(tracks_csv)
    if tracks_csv.is_dir():
        raise GenrekitError(f"{tracks_csv} is a folder: name FMA's tracks.csv, such as fma_metadata/tracks.csv")
    if not tracks_csv.exists():
        raise GenrekitError(f"no file {tracks_csv}: name FMA's tracks.csv, such as fma_metadata/tracks.csv")
    folder = find_fma_audio(tracks_csv) if audio is None else _folder(audio)
    rows, without_genre = read_fma(tracks_csv, folder)
    if without_genre:
        reporter.warning(f"left out without a top genre: {counted(without_genre, 'track')}")
    return _write(rows, folder, out, overwrite, without_genre)


def gtzan_manifest(
    data: AnyPath, *, out: AnyPath | None = None, overwrite: bool = False, reporter: Reporter = _QUIET
) -> ManifestResult:
    """Write GTZAN's manifest with the artists of its index and the fault-filtered split.

    Errors: GenrekitError if no file has a GTZAN name, or `out` exists.
    """
    folder = _folder(data)
    rows, others = read_gtzan(folder)
    if others:
        reporter.warning(f"left out without a GTZAN name: {counted(others, 'audio file')}")
    return _write(rows, folder, out, overwrite, others)


def folders_manifest(
    data: AnyPath,
    *,
    validation: Sequence[str] = (),
    test: Sequence[str] = (),
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> ManifestResult:
    """Write the manifest of a collection with SUBSET/GENRE/ folders.

    `validation` and `test` name folders whose subset their name does not say, such as fold1.
    Errors: GenrekitError if a folder's subset is unknown, or `out` exists.
    """
    folder = _folder(data)
    return _write(read_split_folders(folder, validation=validation, test=test), folder, out, overwrite, 0)


def _folder(path: AnyPath) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise GenrekitError(f"{folder} is not a folder: pass the folder that has the audio")
    return folder


def _write(
    rows: Sequence[ManifestRow], folder: Path, out: AnyPath | None, overwrite: bool, left_out: int
) -> ManifestResult:
    manifest = folder / "manifest.csv" if out is None else Path(out)
    require_no_folder(manifest, "manifest.csv")
    file = replaceable(manifest)
    if file.exists() and not overwrite:
        raise GenrekitError(f"{manifest} exists: replace it with --overwrite, or choose another file with --out")
    lines = [(_relative(row.path, manifest), row.genre, ";".join(row.artists), row.subset) for row in rows]
    try:
        write_text(file, csv_text(("path", "genre", "artist", "split"), lines))
    except OSError as error:
        raise cannot("write", manifest, error) from error
    by_subset = Counter(row.subset for row in rows)
    return ManifestResult(
        manifest,
        len(rows),
        dict(sorted(Counter(row.genre for row in rows).items())),
        {name: by_subset[name] for name in _SUBSETS if name in by_subset},
        sum(bool(row.artists) for row in rows),
        left_out,
    )


def _relative(path: Path, manifest: Path) -> str:
    path, base = path.resolve(), manifest.resolve().parent
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
