"""The genre in an audio file's own metadata: the only door to mutagen, which is an extra."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genrekit.audio.decode import probe
from genrekit.errors import GenrekitError, UnreadableAudioError, missing_extra
from genrekit.io.files import new_file, reason


def require_tags() -> None:
    """Make sure that tags can be written.

    Errors: GenrekitError that says what to install.
    """
    if find_spec("mutagen") is None:
        raise missing_extra("writing tags", "tags", ["mutagen"])


def tag_genre(source: Path, target: Path, genre: str) -> None:
    """Make `target` a copy of an audio file whose metadata name this genre; it may be the file itself.

    Other tags and the audio stay as they are, byte for byte. The target is whole or untouched at every instant; a link
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
                raise GenrekitError(f"no tags can be written into {source.suffix[1:] or 'such'} files")
            if probe(new) != probe(source):
                raise GenrekitError("tags cannot be written without changing its audio")
        target.chmod(mode)
    except (mutagen.MutagenError, UnreadableAudioError, OSError) as error:
        raise GenrekitError(f"tags cannot be written: {reason(error)}") from error


def _write(kind: Any, path: Path, genre: str) -> bool:
    """Set the genre in one of the two vocabularies that there are: ID3's frames, or Vorbis comments."""
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
