"""Which files of a collection are audio, by their suffixes, and which are not worth mentioning."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from genrekit.audio.fallback_decoders import SUFFIXES as _OTHER_DECODERS
from genrekit.io.regular_files import open_regular

_LIBSNDFILE = frozenset(
    {
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".au", ".snd", ".aiff", ".aif", ".aifc", ".caf", ".voc", ".sph"),
        *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga"),
    }
)

SUFFIXES = _LIBSNDFILE | _OTHER_DECODERS
"""Suffixes of the audio files that can be read, in lower case. Some need PyAV or ffmpeg."""

_TEXT = ".txt .md .rst .rtf .nfo .log .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .htm .html .bib .tex .pdf"
_DOCUMENTS = ".doc .docx .odt .xls .xlsx .ods .py .ipynb .sh .r .url .webloc .lnk .desktop .srt .lrc .vtt"
_PICTURES = ".jpg .jpeg .jpe .png .gif .bmp .tif .tiff .webp .avif .heic .svg .ico .psd .xcf"
_COMPANIONS = (
    ".cue .m3u .m3u8 .pls .xspf .wpl .asx .sfv .md5 .sha1 .sha256 .ffp .accurip .toc .db .asd .reapeaks .pek .sfk .lock"
)
_ARRAYS = ".h5 .hdf5 .npy .npz .pt .pth .pkl .safetensors .parquet .mat .jams .lab .partial .new .tmp .bak"
_IGNORED = frozenset(" ".join((_TEXT, _DOCUMENTS, _PICTURES, _COMPANIONS, _ARRAYS)).split())
"""Suffixes of texts, pictures, playlists, checksums and other files that lie beside audio."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")

_LISTED = 10
"""Files of the same suffix that are listed one by one."""


def not_supported(suffix: str) -> str:
    """Return the reason why a file with another suffix is not used.

    >>> not_supported(".mid"), not_supported("")
    ('.mid is not a supported audio format', 'a file without suffix is not a supported audio format')
    """
    return f"{suffix or 'a file without suffix'} is not a supported audio format"


def not_audio(path: Path, *, then: str = "") -> str | None:
    """Return what a path is that is neither a folder nor audio, and what to do; None for other paths.

    `then` is what to do after a download or unpacking, such as ", then name its folder".

    >>> not_audio(Path("https://example.org/song.mp3"))
    'https://example.org/song.mp3 is a URL: download the file first'
    >>> not_audio(Path("data/*.mp3"))
    'data/*.mp3 is a pattern, which is not expanded inside quotes: leave out the quotes, or name the folder data'
    """
    if (url := re.fullmatch(r"(https?|ftp|s3|gs|file):/+(.+)", str(path))) is not None:
        return f"{url[1]}://{url[2]} is a URL: download the file first{then}"
    if path.name.lower().endswith(ARCHIVES):
        return f"{path} is an archive: unpack it first{then}" if os.path.lexists(path) else None
    if set(str(path)) & set("*?[") and not os.path.lexists(path):
        folder = next((parent for parent in path.parents if not set(str(parent)) & set("*?[")), Path())
        return (
            f"{path} is a pattern, which is not expanded inside quotes: leave out the quotes, or name the folder "
            f"{folder}"
        )
    return None


def unused_files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the files that may be audio but have no known suffix, and the reason why they are not used.

    If very many have the same suffix, the first of them stands for all.
    """

    def suffix_of(path: Path) -> str:
        return path.suffix.lower()

    unknown = [path for path in paths if suffix_of(path) not in _IGNORED and not _is_text(path)]
    for suffix, group in groupby(sorted(unknown, key=lambda path: (suffix_of(path), path)), suffix_of):
        files = list(group)
        if len(files) > _LISTED:
            yield files[0], f"{not_supported(suffix)}; {len(files) - 1} more files like it are not used"
        else:
            yield from ((path, not_supported(suffix)) for path in files)


def _is_text(path: Path) -> bool:
    """Return whether a file without a suffix is text, such as README, or empty."""
    if path.suffix:
        return False
    try:
        with open_regular(path) as file:
            return b"\0" not in file.read(512)
    except OSError:
        return True
