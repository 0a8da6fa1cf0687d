"""Find the tracks of a collection: a folder with one folder per genre, or a CSV manifest."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path, PurePosixPath

from genrekit.audio.decode import probe
from genrekit.data.file_types import SUFFIXES, not_supported, unused_files
from genrekit.data.folder_layout import SUBSET_NAMES, find_layout, subset_called
from genrekit.data.genre_names import genre_name, name_key
from genrekit.data.manifest_file import ManifestLine, existing_name, read_table
from genrekit.errors import GenrekitError, UnreadableAudioError
from genrekit.io.files import cannot, reason, special_file
from genrekit.io.printable import is_printable, printable


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
    ctime_ns: int = 0
    inode: int = 0


@dataclass(frozen=True)
class SkippedFile:
    """A file of the collection that is not used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """The tracks of a folder or a manifest, sorted by id, and the files that were skipped.

    `listed_in` is the CSV file that lists the tracks, if there is one. `notes` say how the collection was read.
    """

    root: Path
    tracks: tuple[Track, ...]
    skipped: tuple[SkippedFile, ...] = ()
    listed_in: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres of the tracks, in alphabetical order."""
        return tuple(sorted({track.genre for track in self.tracks}))


_FARTHEST = 2**63 - 1
"""The largest number in 64 bits. As a time, it is in the year 2262, and file systems can have later ones."""


def scan_folder(root: Path, *, least_genres: int = 2) -> Collection:
    """Find the tracks below a folder that has one folder per genre, or such folders in train, validation and test.

    Hidden files and folders, such as AppleDouble files (`._song.wav`), texts, pictures and other files that usually lie
    beside audio are ignored. Other files are skipped with a reason.
    Errors: GenrekitError if the folder is missing, has no audio, has fewer than `least_genres` genres, or has folds.
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
    others: list[Path] = []
    paths = [path.relative_to(root) for path in audio_files(root, skipped, others)]
    layout = find_layout(root, (path.parts[:-1] for path in paths))
    for path in paths:
        folder, subset = layout.read(path.parts[:-1])
        genre, _ = genre_name(folder)
        problem = _problem(path, folder) or (None if genre else "the name of its genre's folder is empty")
        if problem is not None:
            skipped.append(SkippedFile(printable(path.as_posix()), problem))
        else:
            _add(tracks, skipped, root / path, path.as_posix(), genre, subset=subset)
    for path, problem in unused_files(others):
        skipped.append(SkippedFile(printable(path.relative_to(root).as_posix()), problem))
    _require_genres(root, tracks, skipped, least_genres, "put one folder of audio files per genre in it")
    return _collection(root, tracks, skipped)


def read_manifest(manifest: Path, *, least_genres: int = 2) -> Collection:
    """Read the tracks that a CSV manifest lists.

    Columns: path (relative to the manifest's folder, or absolute) and genre; optional artist (several separated by ";")
    and split (train, validation, test or another name in `SUBSET_NAMES`). Other columns are ignored with a note.
    Errors: GenrekitError with the line number if the manifest is not valid.
    """
    table = read_table(manifest)
    tracks: list[Track] = []
    skipped: list[SkippedFile] = []
    listed: dict[str, tuple[str, int]] = {}
    for line in table.lines:
        _add_line(tracks, skipped, listed, manifest, line)
    _require_genres(manifest, tracks, skipped, least_genres, "list one file per line, with its genre")
    return replace(_collection(manifest.parent, tracks, skipped), listed_in=manifest, notes=table.notes)


def collect(
    root: Path,
    entries: Iterable[tuple[Path, str, tuple[str, ...], str | None]],
    *,
    least_genres: int,
    listed_in: Path,
) -> Collection:
    """Return the tracks below a folder whose path, genre, artists and subset a file of metadata has.

    Errors: GenrekitError if there are fewer than `least_genres` genres.
    """
    tracks: list[Track] = []
    skipped: list[SkippedFile] = []
    for path, genre, artists, subset in entries:
        relative = path.relative_to(root)
        problem = _problem(relative, genre)
        if problem is not None:
            skipped.append(SkippedFile(printable(relative.as_posix()), problem))
        else:
            _add(tracks, skipped, path, relative.as_posix(), genre, artists, subset)
    _require_genres(root, tracks, skipped, least_genres, f"add the audio of more tracks in {listed_in}")
    return replace(_collection(root, tracks, skipped), listed_in=listed_in)


def _add_line(
    tracks: list[Track],
    skipped: list[SkippedFile],
    listed: dict[str, tuple[str, int]],
    manifest: Path,
    line: ManifestLine,
) -> None:
    where, values = f"{manifest}, line {line.number}", line.values
    genre, problem = genre_name(values["genre"])
    if not values["path"] or not genre:
        raise GenrekitError(f"{where}: path and genre must not be empty")
    if problem is not None:
        raise GenrekitError(f"{where}: the genre {genre!a} {problem}")
    split = values["split"].lower()
    if split and split not in SUBSET_NAMES:
        raise GenrekitError(f"{where}: split must be train, validation or test, got {split!r}")
    artists = _artists(values["artist"], where)
    name = existing_name(manifest.parent, values["path"])
    path = manifest.parent / name
    relative = PurePosixPath(Path(name).as_posix().lstrip("/"))
    other, number = listed.setdefault(relative.as_posix(), (genre, line.number))
    if other != genre:
        raise GenrekitError(f"{where}: {name} is {genre} here, but {other} in line {number}: remove one of the lines")
    reason_to_skip = _unprintable(name) or _missing(path) or _unreadable(path)
    if reason_to_skip is not None:
        skipped.append(SkippedFile(printable(name), reason_to_skip))
    else:
        _add(tracks, skipped, path, relative.as_posix(), genre, artists, subset_called(split))


def _artists(text: str, where: str) -> tuple[str, ...]:
    names: dict[str, str] = {}
    for name in filter(None, map(str.strip, unicodedata.normalize("NFC", text).split(";"))):
        if not is_printable(name):
            raise GenrekitError(f"{where}: the artist {name!a} has characters that cannot be printed: rename it")
        names.setdefault(name_key(name), name)
    return tuple(names.values())


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
        skipped.append(SkippedFile(printable(relative), reason(error)))
        return
    special = special_file(status.st_mode)
    if special is not None:
        skipped.append(SkippedFile(printable(relative), special))
        return
    track_id = str(PurePosixPath(relative).with_suffix(""))
    numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    tracks.append(Track(track_id, path, genre, artists, subset, *map(_within_64_bits, numbers)))


def _within_64_bits(number: int) -> int:
    return min(max(number, -_FARTHEST), _FARTHEST)


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


def audio_files(root: Path, skipped: list[SkippedFile], others: list[Path] | None = None) -> Iterator[Path]:
    """Yield the files with an audio suffix below a folder. Links are followed, except for loops.

    A folder that cannot be listed is added to `skipped`, and a file with another suffix to `others`.
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
            skipped.append(SkippedFile(printable(folder.relative_to(root).as_posix()), reason(error)))
            continue
        inside = {entry.name for entry in entries if _is_folder(entry)}
        for entry in entries:
            if entry.name in inside:
                continue
            if Path(entry.name).suffix.lower() in SUFFIXES:
                yield folder / entry.name
            elif others is not None and _is_regular(entry):
                others.append(folder / entry.name)
        folders += [folder / entry.name for entry in reversed(entries) if entry.name in inside]


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _problem(relative: Path, genre: str) -> str | None:
    unprintable_name = _unprintable(relative.as_posix())
    if unprintable_name is not None:
        return unprintable_name
    return _unreadable(relative) if genre else "not in a genre's folder"


def _missing(path: Path) -> str | None:
    try:
        return None if path.is_file() else "no such file"
    except OSError as error:  # a name that no file can have
        return reason(error)


def _unprintable(name: str) -> str | None:
    """Return why a name is skipped: line breaks, escape codes or invalid Unicode."""
    return None if is_printable(name) else "its name has characters that cannot be printed: rename it"


def _unreadable(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return None if suffix in SUFFIXES else not_supported(suffix)


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
