"""Lengths in the headers of audio files: what a file should have, and how it must be read to get it.

Decoders stop where a header says that the audio ends. Joined files, unfinished recordings and broken downloads have
more or less than that.
"""

from __future__ import annotations

import os
from pathlib import Path

from genrekit.audio.byte_ranges import Layout, file_content
from genrekit.audio.flac_frames import flac_layout
from genrekit.audio.mp3_frames import mp3_layout, tag_size
from genrekit.audio.ogg_pages import ogg_layout
from genrekit.audio.wav_chunks import aiff_layout, au_layout, wav_layout

_BY_CHUNKS = {b"RIFF": wav_layout, b"FORM": aiff_layout, b".snd": au_layout}
_BY_CONTENT = {b"OggS": ogg_layout, b"fLaC": flac_layout}


def file_layout(path: Path) -> Layout:
    """Return how a file must be read, by the mark at its start, perhaps after a tag.

    Errors: OSError if the file cannot be read.
    """
    with open(path, "rb") as file:
        mark = file.read(4)
        if mark in _BY_CHUNKS:
            return _BY_CHUNKS[mark](file, os.fstat(file.fileno()).st_size) or Layout()
        if mark[:3] == b"ID3":
            file.seek(tag_size(mark + file.read(6)))
            mark = file.read(4)
    if mark in _BY_CONTENT:
        with file_content(path) as content:
            return _BY_CONTENT[mark](content) or Layout()
    return mp3_file_layout(path) if mark[:1] == b"\xff" else Layout()


def mp3_file_layout(path: Path) -> Layout:
    """Return how an MP3 file must be read.

    Errors: OSError if the file cannot be read.
    """
    with file_content(path) as content:
        return mp3_layout(content) or Layout()
