"""Open an audio file with the first decoder that reads it, and read it to its end.

The decoders are libsndfile, then PyAV if it is installed, then an `ffmpeg` program. Joined files are read one after the
other, and damaged bytes are left out. A file is used if at least 90 % of the audio that it should have can be decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from genrekit.audio.byte_ranges import Layout, Part, PartFile, file_content
from genrekit.audio.flac_frames import FlacFrames
from genrekit.audio.headers import file_layout, mp3_file_layout
from genrekit.errors import UnreadableAudioError, is_out_of_memory
from genrekit.io.files import special_file

LEAST_SHARE: Final = 0.9
"""A damaged file is used if at least this share of its audio can be decoded."""

_NO_AUDIO = "not decodable: Format not recognised"
_NO_MP3_FRAME = 7
"""libsndfile's error code for an MP3 file without a frame; its message says that the file does not exist."""

_MOST_CHANNELS = 64
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 1_000_000
"""Hz. With a lower rate in its header, a file of seconds would become hours of samples."""

_LARGE_STEP = 2**63 - 1
_SMALL_STEP = 1_024
"""Samples that are read at once before damaged bytes. libsndfile returns nothing of a block that has an error."""

_LEAST_STEP = 1 << 16
"""Samples that are asked for after as many were read as the header declares: there may be more."""

_NOTICED_S = 0.01
"""Seconds by which lengths must differ to be noticed."""


_CONTAINER_TOLERANCE_S = 0.2
"""Containers round lengths, and count the delay of the encoder."""


class AudioSource(Protocol):
    """An open audio file that is read forward.

    `frames` is the expected number of samples per channel. `decoder` is the decoder's name and version, and empty for
    libsndfile.
    """

    samplerate: int
    channels: int
    frames: int
    subtype: str
    decoder: str

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = False) -> npt.NDArray[Any]:
        """Read up to `frames` samples per channel; none at the end."""

    def notes(self) -> tuple[str, ...]:
        """Return what is unusual about the file, once it is read to its end.

        Errors: UnreadableAudioError if too much of it is missing.
        """


class _Forward(soundfile.SoundFile):  # type: ignore[misc] # has no types
    """A sound file that is only read forward.

    After each block, soundfile seeks to the current position. In a damaged Ogg file, this repeats audio, and at the end
    of a file of unknown length, it fails.
    """

    def seekable(self) -> bool:
        return False


class _PartSound(_Forward):
    """A part of a file as a sound file."""

    def __init__(self, path: Path, part: Part) -> None:
        self._bytes = PartFile(path, part)
        try:
            super().__init__(self._bytes)
        except BaseException:
            self._bytes.close()
            raise

    def close(self) -> None:
        super().close()
        self._bytes.close()


class _NotDecodableError(UnreadableAudioError):
    """A file that libsndfile cannot read, but perhaps another decoder."""


@contextmanager
def open_audio(path: Path) -> Iterator[AudioSource]:
    """Open a file for reading its audio.

    Errors: UnreadableAudioError with the reason.
    """
    if path.suffix.lower() == ".raw":
        raise UnreadableAudioError(_NO_AUDIO)
    try:
        if special := special_file(path.stat().st_mode):
            raise UnreadableAudioError(special)  # opening a pipe would block
        layout = file_layout(path)  # this error has a reason; libsndfile only says "System error"
        source = _LibsndfileSource(path, layout)
    except _NotDecodableError as error:
        refused = error
    except OSError as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableAudioError(error.strerror or "cannot be opened") from error
    except UnicodeEncodeError as error:
        raise UnreadableAudioError("its name is not valid Unicode: rename it") from error
    else:
        try:
            yield source
        finally:
            source.close()
        return
    with _open_with_others(path, refused) as other:
        yield other


def _require_sane(channels: int, rate: int) -> None:
    if not (_LOWEST_RATE <= rate <= _HIGHEST_RATE and 1 <= channels <= _MOST_CHANNELS):
        raise UnreadableAudioError(f"{channels} channels at {rate} Hz")


class _LibsndfileSource:
    """A file, or the files that were joined in it, read with libsndfile."""

    decoder = ""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._waiting: deque[Part] = deque()
        self._file = self._first(layout)
        self.samplerate, self.channels, self.subtype = self._file.samplerate, self._file.channels, self._file.subtype
        self.frames = self._file.frames
        if self._layout.readable_s is not None:
            self.frames = round(self._layout.readable_s * self.samplerate)
        self._decoded = 0
        self._in_part = self._part_start = 0
        self._step = _LARGE_STEP
        self._flac: FlacFrames | None = None

    def _first(self, layout: Layout) -> Any:
        """Open the file, or its first part, and check that it is audio."""
        part = layout.parts[0] if layout.parts else None
        file = _open_part(self._path, part)
        if file.format == "MP3" and layout == Layout():
            layout = mp3_file_layout(self._path)
            if layout.parts:
                file.close()
                part = layout.parts[0]
                file = _open_part(self._path, part)
        self._layout, self._part = layout, part
        self._waiting.extend(layout.parts[1:])
        try:
            if file.format == "RAW":  # an .au file without a header would be read as samples
                raise _NotDecodableError(_NO_AUDIO)
            _require_sane(file.channels, file.samplerate)
        except UnreadableAudioError:
            file.close()
            raise
        return file

    def close(self) -> None:
        self._file.close()

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = False) -> npt.NDArray[Any]:
        while True:
            try:
                expected = max(self.frames - self._decoded, _LEAST_STEP)  # no larger array than necessary
                block = self._file.read(min(frames, self._step, expected), dtype=dtype, always_2d=always_2d)
            except soundfile.LibsndfileError:
                if not self._skip_damage():
                    return np.zeros((0, self.channels) if always_2d else 0, dtype)
                continue
            if len(block):
                self._in_part += len(block)
                self._decoded += len(block)
                return block
            if not self._next_part():
                return block

    def _skip_damage(self) -> bool:
        """Continue before or after the bytes that cannot be decoded; return whether there is more."""
        if self._step > _SMALL_STEP:
            self._reopen(self._part, self._part_start, self._in_part)
            self._step = _SMALL_STEP
            return True
        following = self._next_flac_part() if self._file.format == "FLAC" else None
        if following is None:
            return self._next_part()
        self._reopen(following[1], following[0], 0)
        return True

    def _reopen(self, part: Part | None, start: int, skipped: int) -> None:
        """Open a part whose first sample has the number `start`, and skip samples that are read already."""
        self._file.close()
        self._file = _open_part(self._path, part)
        self._part, self._part_start, self._in_part = part, start, skipped
        self._step = _LARGE_STEP
        while skipped:
            skipped -= len(self._file.read(min(skipped, 1 << 18), dtype="float32"))

    def _next_flac_part(self) -> tuple[int, Part] | None:
        """Return the next intact frame of a FLAC file, and the file from there on."""
        with file_content(self._path) as content:
            if self._flac is None:
                start, end = self._part.ranges[0] if self._part is not None else (0, len(content))
                self._flac = FlacFrames(start, end)
            return self._flac.next_part(content, self._part_start + self._in_part)

    def _next_part(self) -> bool:
        """Open the next of the joined files; return False if there is none that fits to the first."""
        self._flac = None
        while self._waiting:
            part = self._waiting.popleft()
            try:
                self._reopen(part, 0, 0)
            except UnreadableAudioError:
                continue
            if (self._file.samplerate, self._file.channels) == (self.samplerate, self.channels):
                return True
        return False

    def notes(self) -> tuple[str, ...]:
        return _notes(self._layout, self._decoded / self.samplerate)


def _open_part(path: Path, part: Part | None) -> Any:
    """Open a file, or a part of it, with libsndfile."""
    try:
        return _Forward(path) if part is None else _PartSound(path, part)
    except soundfile.LibsndfileError as error:
        if is_out_of_memory(error):
            raise
        message = f"not decodable: {error.error_string.strip().rstrip('.')}"
        raise _NotDecodableError(_NO_AUDIO if error.code == _NO_MP3_FRAME else message) from error


def _notes(layout: Layout, decoded_s: float) -> tuple[str, ...]:
    """Compare the length that was decoded with the lengths that a file declares and should have."""
    whole_s = layout.whole_s
    if whole_s is not None and whole_s - decoded_s > layout.tolerance_s + _NOTICED_S:
        if decoded_s + layout.tolerance_s < LEAST_SHARE * whole_s:
            raise UnreadableAudioError(
                f"damaged: {_seconds(decoded_s)} of {_seconds(whole_s)} can be decoded, less than {LEAST_SHARE:.0%}"
            )
        return (f"damaged: {_seconds(decoded_s)} of {_seconds(whole_s)} can be decoded and are used",)
    declared_s = layout.declared_s
    if declared_s is not None and decoded_s - declared_s > layout.tolerance_s + _NOTICED_S:
        files = f"{layout.joined} joined files" if layout.joined > 1 else "a wrong header"
        return (f"{files}: its header declares {_seconds(declared_s)}, but all {_seconds(decoded_s)} are used",)
    if layout.lost_bytes:
        return (f"damaged: {layout.lost_bytes} bytes cannot be decoded; {_seconds(decoded_s)} are used",)
    if layout.cut:
        return (f"cut short: its end is missing; {_seconds(decoded_s)} are used",)
    return ()


def _seconds(value: float) -> str:
    """Format a length.

    >>> _seconds(3.0), _seconds(7200.26)
    ('3 s', '7200.3 s')
    """
    return f"{value:.1f}".removesuffix(".0") + " s"


@contextmanager
def _open_with_others(path: Path, refused: UnreadableAudioError) -> Iterator[AudioSource]:
    """Open a file that libsndfile has refused with PyAV or ffmpeg."""
    from genrekit.audio import fallback_decoders as others  # most collections do not need them

    if others.fallback_decoder() is None:
        if path.suffix.lower() in others.SUFFIXES:
            raise UnreadableAudioError(others.missing_decoder(path.suffix.lower())) from refused
        raise refused
    source = None
    try:
        with others.open_fallback(path) as file:
            _require_sane(file.channels, file.samplerate)
            source = _OtherSource(file, others.fallback_decoder() or "")
            yield source
    except UnreadableAudioError as error:
        # For a format that libsndfile reads, its reason is the better one.
        raise error if source is not None or path.suffix.lower() in others.SUFFIXES else refused from error


class _OtherSource:
    """A file that PyAV or ffmpeg reads."""

    subtype = "FLOAT"

    def __init__(self, file: Any, decoder: str) -> None:
        self._file, self.decoder = file, decoder
        self.samplerate, self.channels, self.frames = file.samplerate, file.channels, file.frames
        self._decoded = 0

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = False) -> npt.NDArray[Any]:
        assert dtype == "float32", dtype
        block: npt.NDArray[Any] = self._file.read(frames)
        self._decoded += len(block)
        return block if always_2d else block[:, 0]

    def notes(self) -> tuple[str, ...]:
        whole_s = self._file.whole_s
        layout = Layout(declared_s=whole_s, whole_s=whole_s, tolerance_s=_CONTAINER_TOLERANCE_S)
        return _notes(layout, self._decoded / self.samplerate)
