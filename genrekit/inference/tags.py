"""The genre in the metadata of audio files. The only module that imports mutagen, which is an extra."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genrekit.audio.decode import probe
from genrekit.errors import GenrekitError, UnreadableAudioError, missing_extra
from genrekit.io.files import new_file, reason


def require_tags() -> None:
    """Errors: GenrekitError that says what to install if tags cannot be written."""
    if find_spec("mutagen") is None:
        raise missing_extra("writing tags", "tags", ["mutagen"])


def tag_genre(source: Path, target: Path, genre: str) -> None:
    """Copy an audio file to `target`, which may be the file itself, and set the genre in its metadata.

    Other tags and the audio do not change. At every moment, the target is either complete or unchanged. A symbolic link
    stays a link.
    Errors: GenrekitError with the reason, without the file's name.
    """
    import mutagen

    try:
        kind = type(mutagen.File(source))
        target = target.resolve()
        mode = source.stat().st_mode
        with new_file(target) as new:
            shutil.copyfile(source, new)
            if not _write(kind, new, genre):
                raise GenrekitError(f"tags cannot be written into {source.suffix[1:] or 'such'} files")
            if probe(new) != probe(source):
                raise GenrekitError("tags cannot be written without changing its audio")
        target.chmod(mode)
    except (mutagen.MutagenError, UnreadableAudioError, OSError) as error:
        raise GenrekitError(f"tags cannot be written: {reason(error)}") from error


def _write(kind: Any, path: Path, genre: str) -> bool:
    """Set the genre as an ID3 frame or as a Vorbis comment; return False for formats that have neither."""
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3, TCON
    from mutagen.ogg import OggFileType

    if kind is type(None):
        return False
    file = kind(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.setall("TCON", [TCON(encoding=3, text=[genre])])
    elif isinstance(file, (FLAC, OggFileType)):
        file.tags["genre"] = [genre]
    else:
        return False
    file.save()
    return True
