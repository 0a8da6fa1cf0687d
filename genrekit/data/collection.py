"""Find the tracks of a collection: a folder with one folder per genre, or a CSV manifest."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path, PurePosixPath

from genrekit.audio.decode import probe
from genrekit.errors import GenrekitError, UnreadableAudioError
from genrekit.io.files import cannot, reason, special_file


@dataclass(frozen=True)
class Track:
    """One audio file with a genre. `id` is its POSIX path below the collection, without the suffix.

    `subset` is train, validation or test if a manifest assigns the track.
    """

    id: str
    path: Path
    genre: str
    artists: tuple[str, ...] = ()
    subset: str | None = None
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True)
class SkippedFile:
    """A file of the collection that is not used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """The tracks of a folder or a manifest, sorted by id, and the files that were skipped."""

    root: Path
    tracks: tuple[Track, ...]
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres of the tracks, in alphabetical order."""
        return tuple(sorted({track.genre for track in self.tracks}))


SUFFIXES = frozenset({".wav", ".au", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"})
"""Suffixes of the audio files that can be read, in lower case."""

_UNREADABLE = frozenset({".m4a", ".mp4", ".aac", ".wma", ".alac", ".ape"})
_FARTHEST_NS = 2**63 - 1
"""The latest time in 64 bits, in the year 2262. File systems can have later ones."""

_JOINERS = frozenset("\u200c\u200d")
"""Characters in words of Persian and several Indian scripts, and in emoji."""

SUBSET_NAMES = {
    "": None,
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


def scan_folder(root: Path, *, least_genres: int = 2) -> Collection:
    """Find the tracks below a folder that has one folder per genre.

    Hidden files and folders, such as AppleDouble files (`._song.wav`), and files that are not audio are ignored.
    Errors: GenrekitError if the folder is missing, has no audio, or has fewer than `least_genres` genres.
    """
    if not root.is_dir():
        close = get_close_matches(root.name, subfolders(root.parent), n=1)
        remedy = (
            f"did you mean {root.parent / close[0]}?"
            if close
            else "make it, with one folder of audio files per genre in it"
        )
        raise GenrekitError(f"no folder {root}: {remedy}")
    tracks: list[Track] = []
    skipped: list[SkippedFile] = []
    for path in audio_files(root, skipped):
        relative = path.relative_to(root)
        problem = _problem(relative)
        if problem is not None:
            skipped.append(SkippedFile(_printable(relative.as_posix()), problem))
        else:
            _add(tracks, skipped, path, relative.as_posix(), relative.parts[0])
    _require_genres(root, tracks, skipped, least_genres, "put one folder of audio files per genre in it")
    return _collection(root, tracks, skipped)


def read_manifest(manifest: Path, *, least_genres: int = 2) -> Collection:
    """Read the tracks that a CSV manifest lists.

    Columns: path (relative to the manifest's folder, or absolute) and genre; optional artist (several separated by ";")
    and split (train, validation or test). Other columns are ignored.
    Errors: GenrekitError with the line number if the manifest is not valid.
    """
    try:
        with open(manifest, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"path", "genre"} - set(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise cannot("read the manifest", manifest, error) from error
    if missing:
        raise GenrekitError(
            f"{manifest} must be a CSV file with the columns path and genre; missing: {', '.join(sorted(missing))}"
        )
    tracks: list[Track] = []
    skipped: list[SkippedFile] = []
    for line, row in rows:
        _add_row(tracks, skipped, manifest, line, row)
    _require_genres(manifest, tracks, skipped, least_genres, "list one file per line, with its genre")
    return _collection(manifest.parent, tracks, skipped)


def _add_row(
    tracks: list[Track], skipped: list[SkippedFile], manifest: Path, line: int, row: dict[str, str | None]
) -> None:
    name, genre = (row["path"] or "").strip(), (row["genre"] or "").strip()
    if not name or not genre:
        raise GenrekitError(f"{manifest}, line {line}: path and genre must not be empty")
    subset = (row.get("split") or "").strip().lower()
    if subset not in SUBSET_NAMES:
        raise GenrekitError(f"{manifest}, line {line}: split must be train, validation or test, got {subset!r}")
    artists = tuple(artist.strip() for artist in (row.get("artist") or "").split(";") if artist.strip())
    path = manifest.parent / name
    relative = PurePosixPath(Path(name).as_posix().lstrip("/"))
    problem = _unprintable(name) or _missing(path) or _unreadable(path)
    if problem is not None:
        skipped.append(SkippedFile(_printable(name), problem))
    else:
        _add(tracks, skipped, path, relative.as_posix(), genre, artists, SUBSET_NAMES[subset])


def _add(
    tracks: list[Track],
    skipped: list[SkippedFile],
    path: Path,
    relative: str,
    genre: str,
    artists: tuple[str, ...] = (),
    subset: str | None = None,
) -> None:
    try:
        status = path.stat()
    except OSError as error:
        skipped.append(SkippedFile(_printable(relative), reason(error)))
        return
    special = special_file(status.st_mode)
    if special is not None:
        skipped.append(SkippedFile(_printable(relative), special))
        return
    track_id = str(PurePosixPath(relative).with_suffix(""))
    changed_ns = min(max(status.st_mtime_ns, -_FARTHEST_NS), _FARTHEST_NS)
    tracks.append(Track(track_id, path, genre, artists, subset, status.st_size, changed_ns))


def _collection(root: Path, candidates: list[Track], skipped: list[SkippedFile]) -> Collection:
    """Sort the tracks by id. Of files with the same id, use the first that can be opened, and skip the others."""
    tracks: dict[str, Track] = {}
    for track_id, same in groupby(sorted(candidates, key=lambda track: (track.id, track.path)), lambda track: track.id):
        rivals = list(same)
        first = tracks[track_id] = next(filter(_opens, rivals), rivals[0]) if len(rivals) > 1 else rivals[0]
        skipped += [
            SkippedFile(_below(track.path, root), f"same id as {_below(first.path, root)}")
            for track in rivals
            if track is not first
        ]
    ordered = tuple(sorted(skipped, key=lambda file: file.path))
    return Collection(root, tuple(tracks.values()), ordered)


def _opens(track: Track) -> bool:
    with suppress(UnreadableAudioError):
        probe(track.path)
        return True
    return False


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def audio_files(root: Path, skipped: list[SkippedFile]) -> Iterator[Path]:
    """Yield the files with an audio suffix below a folder. Links are followed, except for loops.

    A folder that cannot be listed is added to `skipped`.
    """
    seen: set[tuple[int, int]] = set()
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise cannot("list", root, error) from error
            skipped.append(SkippedFile(_printable(folder.relative_to(root).as_posix()), reason(error)))
            continue
        inside = {entry.name for entry in entries if _is_folder(entry)}
        for entry in entries:
            if entry.name not in inside and Path(entry.name).suffix.lower() in SUFFIXES | _UNREADABLE:
                yield folder / entry.name
        folders += [folder / entry.name for entry in reversed(entries) if entry.name in inside]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _problem(relative: Path) -> str | None:
    unprintable = _unprintable(relative.as_posix())
    if unprintable is not None:
        return unprintable
    if len(relative.parts) < 2:
        return "not in a genre's folder"
    return _unreadable(relative)


def _missing(path: Path) -> str | None:
    try:
        return None if path.is_file() else "no such file"
    except OSError as error:  # a name that no file can have
        return reason(error)


def _unprintable(name: str) -> str | None:
    """Return why a name is skipped: line breaks, escape codes or invalid Unicode. Spaces of any script are fine."""
    printable = all(
        character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
        for character in name
    )
    return None if printable else "its name has characters that cannot be printed: rename it"


def _unreadable(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _UNREADABLE:
        return f"{suffix[1:]} is not supported: convert it, for example with ffmpeg -i IN{suffix} OUT.flac"
    return None if suffix in SUFFIXES else f"{suffix or 'a file without suffix'} is not a supported audio format"


def _printable(name: str) -> str:
    return name if _unprintable(name) is None else ascii(name)[1:-1]


def subfolders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, without hidden ones; none if it cannot be listed."""
    with suppress(OSError):
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return []


def _require_genres(
    root: Path, tracks: Sequence[Track], skipped: Sequence[SkippedFile], least: int, remedy: str
) -> None:
    genres = sorted({track.genre for track in tracks})
    if not genres and skipped:
        first = min(skipped, key=lambda file: file.path)
        raise GenrekitError(f"{root} has no usable audio; {first.path}: {first.reason}")
    if not genres:
        raise GenrekitError(f"{root} has no audio: {remedy}")
    if len(genres) < least:
        above = Path(os.path.commonpath([track.path.parent.parent for track in tracks]))
        deeper = above.is_relative_to(root / genres[0]) and len({track.path.parent for track in tracks}) > 1
        hint = f"; did you mean {above}?" if deeper else ""
        raise GenrekitError(f"{root} has only one genre ({genres[0]}): a classifier needs at least two{hint}")
