"""Decoders for files that libsndfile cannot read: PyAV if it is installed, then an `ffmpeg` program.

Both read the first audio stream of a local file. Containers that refer to other files or addresses, such as playlists,
are refused: only the formats in `_FORMATS` are opened, and nothing beside the file itself is.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, Protocol

import numpy as np

from genrekit._types import FloatArray
from genrekit.errors import UnreadableAudioError

SUFFIXES: Final = frozenset(
    {
        *(".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".aac", ".alac", ".wma", ".asf", ".webm", ".mka", ".mkv"),
        *(".ape", ".wv", ".ac3", ".eac3", ".dts", ".amr", ".tta", ".mpc", ".avi", ".flv", ".ts", ".mpg", ".mpeg"),
    }
)
"""Suffixes of files that only these decoders read, in lower case."""

TIME_LIMIT_S: Final = 600.0
"""Longest time that decoding one file may take. A track of an hour takes about ten seconds."""

_FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,mp3,ogg,flac,wav,aiff,caf,au,w64,avi,flv,mpegts,mpeg,"
    "ape,wv,ac3,eac3,dts,amr,tta,mpc,mpc8,tak"
)
_EXACT: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "ape", "wv", "tta", "flac", "ogg", "caf"})
"""Containers whose lengths are not estimated from a bit rate."""

_NOT_DECODABLE: Final = "not decodable: Format not recognised"
_BLOCK_FRAMES: Final = 1 << 16

_AU_HEADER: Final = struct.Struct(">4s5I")
_AU_FLOAT: Final = 6


class AudioFile(Protocol):
    """What the decoder needs from an open audio file.

    `frames` is the number of samples per channel that the container declares or that are estimated, 0 if unknown.
    `whole_s` is the length that a complete file has, None if the container does not declare it exactly.
    """

    samplerate: int
    channels: int
    frames: int
    whole_s: float | None

    def read(self, frames: int) -> FloatArray:
        """Read up to `frames` samples per channel: float32 [n, channels], n = 0 at the end."""


@cache
def _load_av() -> ModuleType | None:
    try:
        import av
    except ImportError:
        return None
    av.logging.set_level(None)  # its messages do not name the file; errors are raised
    return av


@cache
def _ffmpeg() -> str | None:
    return shutil.which("ffmpeg")


def fallback_decoder() -> str | None:
    """Name and version of the decoder that reads these files, or None if there is none.

    Examples: "PyAV 18.1.0", "ffmpeg 7.1".
    """
    installed = _av_version() if _load_av() is not None else None
    return installed or _ffmpeg_version()


@cache
def _av_version() -> str | None:
    with suppress(PackageNotFoundError):
        return f"PyAV {version('av')}"
    return None


@cache
def _ffmpeg_version() -> str | None:
    program = _ffmpeg()
    if program is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=10, check=True).stdout
        return " ".join(["ffmpeg", *shown.split()[2:3]])
    return None


def missing_decoder(suffix: str) -> str:
    """Say how to read a file of this suffix when neither decoder is installed.

    >>> missing_decoder(".m4a")
    "m4a needs PyAV or ffmpeg: pip install 'genrekit[formats]'"
    """
    return f"{suffix.lstrip('.') or 'this format'} needs PyAV or ffmpeg: pip install 'genrekit[formats]'"


@contextmanager
def open_fallback(path: Path, *, time_limit_s: float = TIME_LIMIT_S) -> Iterator[AudioFile]:
    """Open a file with PyAV, or with ffmpeg if PyAV is not installed.

    Errors: UnreadableAudioError if no decoder is installed, the file has no audio, cannot be decoded, or takes longer
    than `time_limit_s` in total.
    """
    av = _load_av()
    if av is not None:
        with _open_av(av, path, time_limit_s) as file:
            yield file
        return
    program = _ffmpeg()
    if program is None:
        raise UnreadableAudioError(missing_decoder(path.suffix.lower()))
    with _open_ffmpeg(program, path, time_limit_s) as file:
        yield file


class _Blocks:
    """Turns an iterator of float32 [n, channels] blocks of any length into reads of at most a given length."""

    def __init__(
        self, samplerate: int, channels: int, seconds: float, blocks: Iterator[FloatArray], *, is_exact: bool = False
    ) -> None:
        self.samplerate, self.channels, self.frames = samplerate, channels, max(round(seconds * samplerate), 0)
        self.whole_s = seconds if is_exact and seconds > 0 else None
        self._blocks = blocks
        self._rest = np.zeros((0, channels), np.float32)

    def read(self, frames: int) -> FloatArray:
        while not len(self._rest):
            block = next(self._blocks, None)
            if block is None:
                return self._rest
            self._rest = block
        samples, self._rest = self._rest[:frames], self._rest[frames:]
        return samples


class _ForAv:
    """A file for PyAV. Seeking to a position that cannot exist returns -1: PyAV would print an exception to stderr."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.read, self.tell, self.seekable = raw.read, raw.tell, raw.seekable

    def seek(self, offset: int, origin: int = 0) -> int:
        """Move to a position, and return it."""
        try:
            return self._raw.seek(offset, origin)
        except (OSError, ValueError):
            return -1


@contextmanager
def _open_av(av: Any, path: Path, time_limit_s: float) -> Iterator[AudioFile]:
    deadline = time.monotonic() + time_limit_s

    def refuse(*_: Any) -> Any:
        raise PermissionError(f"{path.name} refers to another file")

    try:
        with (
            open(path, "rb") as raw,
            av.open(_ForAv(raw), io_open=refuse, options={"format_whitelist": _FORMATS}) as container,
        ):
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise UnreadableAudioError("it has no audio stream")
            rate, channels = stream.rate, stream.codec_context.layout.nb_channels
            seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
            is_exact = container.format.name in _EXACT and bool(stream.duration or len(container.streams) == 1)
            blocks = _av_blocks(av, container, stream, deadline)
            yield _Blocks(rate, channels, seconds, blocks, is_exact=is_exact)
    except UnreadableAudioError:
        raise
    except PermissionError as error:  # `refuse`, or the file's own permissions
        raise UnreadableAudioError(error.strerror or str(error)) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableAudioError(_NOT_DECODABLE) from error


def _av_blocks(av: Any, container: Any, stream: Any, deadline: float) -> Iterator[FloatArray]:
    layout, rate = stream.codec_context.layout.name, stream.rate
    resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
    channels, decoded = stream.codec_context.layout.nb_channels, False
    for packet in container.demux(stream):
        if time.monotonic() > deadline:
            raise UnreadableAudioError("decoding takes too long")
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # a damaged packet; the file is refused below if none decodes
        for frame in frames:
            for converted in resampler.resample(frame):
                decoded = True
                yield converted.to_ndarray().reshape(-1, channels)
    for converted in resampler.resample(None) if decoded else ():
        yield converted.to_ndarray().reshape(-1, channels)


@contextmanager
def _open_ffmpeg(program: str, path: Path, time_limit_s: float) -> Iterator[AudioFile]:
    reading = [program, "-nostdin", "-hide_banner", "-protocol_whitelist", "file,pipe"]
    reading += ["-format_whitelist", _FORMATS, "-i", f"file:{path.absolute()}"]
    seconds, is_exact = _ffmpeg_length(reading, time_limit_s)
    command = [*reading, "-loglevel", "error", "-map", "0:a:0", "-vn"]
    command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    timer = threading.Timer(time_limit_s, process.kill)
    timer.daemon = True
    messages: list[bytes] = []
    reader = threading.Thread(target=lambda: messages.append(_all(process.stderr)), daemon=True)
    timer.start()
    reader.start()
    try:
        assert process.stdout is not None
        header = process.stdout.read(_AU_HEADER.size)
        if len(header) < _AU_HEADER.size:
            reader.join()
            raise UnreadableAudioError(_ffmpeg_problem(process, messages))
        _, offset, _, encoding, rate, channels = _AU_HEADER.unpack(header)
        assert encoding == _AU_FLOAT
        process.stdout.read(offset - _AU_HEADER.size)
        blocks = _ffmpeg_blocks(process, channels, messages, reader)
        yield _Blocks(rate, channels, seconds, blocks, is_exact=is_exact)
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _ffmpeg_length(reading: list[str], time_limit_s: float) -> tuple[float, bool]:
    """Return the length in seconds that ffmpeg shows for a file, or 0, and whether the audio has just this length."""
    try:
        shown = subprocess.run(
            reading, stdin=subprocess.DEVNULL, capture_output=True, timeout=time_limit_s, check=False
        ).stderr.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        raise UnreadableAudioError("decoding takes too long") from error
    container = re.search(r"^Input #0, (.+), from ", shown, re.MULTILINE)
    length = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", shown, re.MULTILINE)
    if container is None or length is None:
        return 0.0, False
    hours, minutes, seconds = map(float, length.groups())
    is_exact = container[1] in _EXACT and shown.count("  Stream #0:") == 1
    return 3_600 * hours + 60 * minutes + seconds, is_exact


def _all(pipe: IO[bytes] | None) -> bytes:
    return pipe.read() if pipe is not None else b""


def _ffmpeg_blocks(
    process: subprocess.Popen[bytes], channels: int, messages: list[bytes], reader: threading.Thread
) -> Iterator[FloatArray]:
    assert process.stdout is not None
    frame_bytes, decoded = 4 * channels, False
    while block := process.stdout.read(_BLOCK_FRAMES * frame_bytes):
        decoded = True
        whole = len(block) // frame_bytes * frame_bytes
        yield np.frombuffer(block[:whole], ">f4").astype(np.float32).reshape(-1, channels)
    if process.wait() < 0:
        raise UnreadableAudioError("decoding takes too long")
    if process.returncode and not decoded:
        reader.join()
        raise UnreadableAudioError(_ffmpeg_problem(process, messages))


def _ffmpeg_problem(process: subprocess.Popen[bytes], messages: list[bytes]) -> str:
    if process.wait() < 0:
        return "decoding takes too long"
    lines = b"".join(messages).decode(errors="replace").strip().splitlines()
    if any("matches no streams" in line for line in lines):
        return "it has no audio stream"
    reason = lines[-1].rpartition(": ")[2].rstrip(".") if lines else ""
    return f"not decodable: {reason}" if reason else _NOT_DECODABLE
