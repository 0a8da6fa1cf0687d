"""Genre and artist in the metadata of audio files. The only module that imports mutagen, which is an extra."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from genrekit.audio.audio_bytes import audio_digest, id3v1_tag
from genrekit.audio.riff_info import info_genre, set_info_genre
from genrekit.errors import GenrekitError, missing_extra
from genrekit.io.files import reason

GenreMode = Literal["replace", "add"]
"""What happens to genres that a file already has."""


def can_read_tags() -> bool:
    """Whether the package that reads and writes tags is installed."""
    return find_spec("mutagen") is not None


def require_tags(doing: str) -> None:
    """Errors: GenrekitError that says what to install if `doing` needs tags and they cannot be used."""
    if not can_read_tags():
        raise missing_extra(doing, "tags", ["mutagen"])


def read_artist_tags(path: Path) -> list[str]:
    """Return the artists in the metadata of an audio file (TPE1 in ID3, otherwise ARTIST); empty if it has none."""
    import mutagen

    try:
        tags = getattr(mutagen.File(path), "tags", None)
        if tags is None:
            return []
        values = [text for frame in tags.getall("TPE1") for text in frame.text] if hasattr(tags, "getall") else None
        return [str(value) for value in (tags.get("artist") or [] if values is None else values)]
    except Exception:  # noqa: BLE001 - mutagen raises many types for a damaged file, which decoding reports
        return []


def tag_genre(source: Path, target: Path, genre: str, mode: GenreMode = "replace") -> list[str]:
    """Copy an audio file to `target`, which may be the file itself, and set the genre in its metadata.

    Return the other genres that were replaced. Other tags, the version of ID3 and the audio do not change. A symbolic
    link stays a link. At every moment, the target is either complete or unchanged, with one exception: see `_replace`.
    Errors: GenrekitError with the reason, without the file's name.
    """
    in_place = target == source
    try:
        target = target.resolve()
        if in_place:
            _require_writable(target)
        with _hidden_copy(target) as copy:
            replaced = _tagged_copy(source, copy, genre, mode)
            if in_place:
                _replace(target, copy)
            else:
                shutil.copymode(source, copy)
                os.replace(copy, target)
    except GenrekitError:
        raise
    except Exception as error:  # mutagen raises anything for unusual files
        raise GenrekitError(f"tags cannot be written: {reason(error) or type(error).__name__}") from error
    return replaced


def _tagged_copy(source: Path, copy: Path, genre: str, mode: GenreMode) -> list[str]:
    """Write a complete copy of a file with the genre in its metadata; return the other genres that it replaces."""
    import mutagen

    kind = type(mutagen.File(source))
    in_info = info_genre(source)
    if in_info is None:
        shutil.copyfile(source, copy)
    else:
        set_info_genre(source, copy, "; ".join(_combined([in_info], genre, mode)))
    before = _write(kind, copy, genre, mode)
    if before is None:
        raise GenrekitError(f"tags cannot be written into {source.suffix[1:] or 'such'} files")
    if audio_digest(copy) != audio_digest(source):
        raise GenrekitError("tags cannot be written without changing its audio")
    with open(copy, "rb+") as file:
        os.fsync(file.fileno())
    others = [name for name in (*before, in_info) if name and name.casefold() != genre.casefold()]
    return list(dict.fromkeys(others)) if mode == "replace" else []


def _combined(before: Sequence[str], genre: str, mode: GenreMode) -> list[str]:
    if mode == "replace":
        return [genre]
    return [*before] if genre.casefold() in map(str.casefold, before) else [*before, genre]


def _write(kind: Any, path: Path, genre: str, mode: GenreMode) -> list[str] | None:
    """Set the genre as an ID3 frame or a Vorbis comment; return the genres before, or None for other formats."""
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3
    from mutagen.ogg import OggFileType

    if kind is type(None):
        return None
    file = kind(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        return _write_id3(kind, path, genre, mode)
    if not isinstance(file, (FLAC, OggFileType)):
        return None
    before = list(file.tags.get("genre", []))
    file.tags["genre"] = _combined(before, genre, mode)
    file.save()
    return before


def _write_id3(kind: Any, path: Path, genre: str, mode: GenreMode) -> list[str]:
    """Set the genre in ID3v2, and in ID3v1 and APEv2 if the file has these. ID3v2.2 becomes 2.3, others stay."""
    from mutagen.id3 import TCON

    file = kind(path, translate=False)  # keep frames of 2.3 that 2.4 does not have
    if file.tags is None:
        file.add_tags()
    version = 3 if file.tags.version[:2] in ((2, 2), (2, 3)) else 4
    if file.tags.version[:2] == (2, 2):
        file = kind(path, translate=True, v2_version=3)
    before = [name for frame in file.tags.getall("TCON") for name in frame.genres]
    genres = _combined(before, genre, mode)
    file.tags.setall("TCON", [TCON(encoding=3, text=genres)])
    file.save(v2_version=version, v23_sep=None)
    return [*before, *_write_ape(path, genre, mode)]


def _write_ape(path: Path, genre: str, mode: GenreMode) -> list[str]:
    """Set the genre in an APEv2 tag that has one. ID3v1 stays behind it; mutagen would remove it."""
    from mutagen.apev2 import APENoHeaderError, APEv2

    try:
        tags = APEv2(path)
    except APENoHeaderError:
        return []
    if "Genre" not in tags:
        return []
    before = list(tags["Genre"])
    tags["Genre"] = _combined(before, genre, mode)
    last = id3v1_tag(path)
    tags.save(path)
    with open(path, "ab") as file:
        file.write(last)
    return before


@contextmanager
def _hidden_copy(target: Path) -> Iterator[Path]:
    """Yield an empty hidden file beside the target. It is removed after the block, or in the next run after a kill."""
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".genrekit-{zlib.crc32(os.fsencode(target.name)):08x}-"
    for torn in target.parent.glob(f"{prefix}*.tagging"):
        torn.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".tagging", dir=target.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _require_writable(file: Path) -> None:
    if not stat.S_IMODE(file.stat().st_mode) & 0o222 or not os.access(file, os.W_OK):
        raise GenrekitError("the file is read-only: make it writable, or write tags into copies (--tags-out)")
    if (complete := _complete_copy(file)).exists():
        raise GenrekitError(
            f"tagging was interrupted earlier: move {complete.name} to {file.name}, or remove it if the file is whole"
        )


def _complete_copy(file: Path) -> Path:
    return file.with_name(f"{file.name}.genrekit-tagged")


def _replace(file: Path, copy: Path) -> None:
    """Replace a file by its tagged copy, with the same permissions, owner and extended attributes.

    If the file has other hard links, or the copy cannot have its owner or attributes, the content is written into the
    file instead. Until that is complete, a complete copy is beside it, which remains if the process is killed.
    """
    status = file.stat()
    if status.st_nlink == 1 and _take_attributes(copy, file, status):
        os.replace(copy, file)
        return
    complete = _complete_copy(file)
    os.replace(copy, complete)
    with open(complete, "rb") as tagged, open(file, "rb+") as into:
        shutil.copyfileobj(tagged, into)
        into.truncate()
        into.flush()
        os.fsync(into.fileno())
    complete.unlink()


def _take_attributes(copy: Path, file: Path, status: os.stat_result) -> bool:
    """Give a copy the owner, permissions and extended attributes of a file; return whether it has them all."""
    made = copy.stat()
    try:
        if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
            os.chown(copy, status.st_uid, status.st_gid)
        shutil.copystat(file, copy)
        os.utime(copy)
        return _extended_attributes(copy) == _extended_attributes(file)
    except OSError:
        return False


def _extended_attributes(path: Path) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}
