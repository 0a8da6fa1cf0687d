"""Files that libsndfile cannot read, decoded with PyAV or ffmpeg."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genrekit._types import FloatArray
from genrekit.audio import fallback_decoders
from genrekit.audio.fallback_decoders import fallback_decoder, missing_decoder, open_fallback
from genrekit.errors import UnreadableAudioError

RATE = 48_000

CODECS = {
    "aac.m4a": "aac",
    "alac.m4a": "alac",
    "raw.aac": "aac",
    "a.wma": "wmav2",
    "opus.webm": "libopus",
    "vorbis.mka": "vorbis",
    "flac.mka": "flac",
    "a.ac3": "ac3",
    "a.eac3": "eac3",
    "a.wv": "wavpack",
    "a.tta": "tta",
    "mp2.mka": "mp2",
    "mp3.mp4": "mp3",
}
SAMPLE_FORMATS = {"wavpack": "s16p", "tta": "s16"}
"""Where the encoder's first choice has 8 bits."""

LOSSLESS = ("alac.m4a", "flac.mka", "a.wv", "a.tta")

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")

av = pytest.importorskip("av", reason="PyAV is not installed")


def chord(seconds: float = 1.5, channels: int = 2) -> FloatArray:
    """A quiet chord whose channels differ: float32 [n, channels]."""
    t = np.arange(round(seconds * RATE)) / RATE
    tones = [0.1 * (channel + 1) * np.sin(2 * np.pi * (channel + 2) * 110 * t) for channel in range(channels)]
    return np.stack(tones, axis=1).astype(np.float32)


def encode(path: Path, codec: str, samples: FloatArray, *, video: bool = False) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = 192_000
        if codec in SAMPLE_FORMATS:
            stream.format = SAMPLE_FORMATS[codec]
        if codec == "vorbis":
            stream.options = {"strict": "experimental"}
        if video:
            picture: Any = container.add_stream("mpeg4", rate=5)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_all(path: Path, *, time_limit_s: float = 60) -> tuple[int, FloatArray]:
    """Rate and samples [n, channels]."""
    with open_fallback(path, time_limit_s=time_limit_s) as file:
        blocks = [np.zeros((0, file.channels), np.float32)]
        while len(block := file.read(10_000)):
            assert len(block) <= 10_000
            blocks.append(block)
        return file.samplerate, np.concatenate(blocks)


def level_db(samples: FloatArray) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.fixture(params=["PyAV", pytest.param("ffmpeg", marks=needs_ffmpeg)])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use one of the two decoders."""
    if request.param == "ffmpeg":
        monkeypatch.setattr(fallback_decoders, "_load_av", lambda: None)
    return str(request.param)


@pytest.mark.parametrize("name", CODECS)
def test_each_codec_is_decoded(name: str, decoder: str, tmp_path: Path) -> None:
    encode(tmp_path / name, CODECS[name], chord())
    rate, samples = read_all(tmp_path / name)
    assert (rate, samples.shape[1]) == (RATE, 2), decoder
    assert abs(len(samples) / RATE - 1.5) < 0.1
    for channel in range(2):
        assert level_db(samples[:, channel]) == pytest.approx(level_db(chord()[:, channel]), abs=0.5)
    if name in LOSSLESS:
        assert np.abs(samples[: len(chord())] - chord()).max() < 2**-14


@needs_ffmpeg
@pytest.mark.parametrize("name", CODECS)
def test_pyav_decodes_what_ffmpeg_decodes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / name, CODECS[name], chord())
    _, ours = read_all(tmp_path / name)
    monkeypatch.setattr(fallback_decoders, "_load_av", lambda: None)
    _, reference = read_all(tmp_path / name)
    assert level_db(ours) == pytest.approx(level_db(reference), abs=0.1)


def test_the_audio_of_a_video_is_read(decoder: str, tmp_path: Path) -> None:
    encode(tmp_path / "clip.mp4", "aac", chord(), video=True)
    _, samples = read_all(tmp_path / "clip.mp4")
    assert level_db(samples) == pytest.approx(level_db(chord()), abs=0.5), decoder


@pytest.mark.parametrize("content", [b"", b"\x00" * 5_000, bytes(range(256)) * 40])
def test_a_file_without_audio_is_refused(content: bytes, decoder: str, tmp_path: Path) -> None:
    (tmp_path / "junk.m4a").write_bytes(content)
    with pytest.raises(UnreadableAudioError, match="not decodable"):
        read_all(tmp_path / "junk.m4a")
    assert decoder


def test_a_file_cannot_make_the_decoder_open_another_one(decoder: str, tmp_path: Path) -> None:
    encode(tmp_path / "secret.aac", "aac", chord())
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.aac\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{tmp_path / 'secret.aac'}'\n"
    for name, text in (("list.m4a", playlist), ("list.wma", concat)):
        (tmp_path / name).write_text(text)
        with pytest.raises(UnreadableAudioError, match="not decodable"):
            read_all(tmp_path / name)
    assert decoder


def test_decoding_ends_at_the_time_limit(decoder: str, tmp_path: Path) -> None:
    encode(tmp_path / "long.m4a", "aac", chord(60))
    with pytest.raises(UnreadableAudioError, match="takes too long"):
        read_all(tmp_path / "long.m4a", time_limit_s=0.001)
    assert decoder


def test_the_decoder_has_a_name_and_a_version(decoder: str) -> None:
    name, number = str(fallback_decoder()).split()
    assert name == decoder
    assert number[0].isdigit()


def test_without_a_decoder_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback_decoders, "_load_av", lambda: None)
    monkeypatch.setattr(fallback_decoders, "_ffmpeg", lambda: None)
    fallback_decoders._ffmpeg_version.cache_clear()
    assert fallback_decoder() is None
    fallback_decoders._ffmpeg_version.cache_clear()
    with pytest.raises(UnreadableAudioError, match=r"m4a needs PyAV or ffmpeg: pip install 'genrekit\[formats\]'"):
        read_all(tmp_path / "song.m4a")
    assert missing_decoder("").startswith("this format needs")


@needs_ffmpeg
def test_a_truncated_file_gives_what_can_be_read(tmp_path: Path) -> None:
    encode(tmp_path / "whole.aac", "aac", chord(3))
    content = (tmp_path / "whole.aac").read_bytes()
    (tmp_path / "half.aac").write_bytes(content[: len(content) // 2])
    _, samples = read_all(tmp_path / "half.aac")
    assert 1 < len(samples) / RATE < 2


def test_a_damaged_packet_costs_only_itself(decoder: str, tmp_path: Path) -> None:
    encode(tmp_path / "a.aac", "aac", chord(3))
    content = bytearray((tmp_path / "a.aac").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 60] = b"\xff" * 60
    (tmp_path / "a.aac").write_bytes(bytes(content))
    _, samples = read_all(tmp_path / "a.aac")
    assert len(samples) / RATE > 2.5, decoder


@needs_ffmpeg
def test_no_ffmpeg_process_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    encode(tmp_path / "a.m4a", "aac", chord(20))
    monkeypatch.setattr(fallback_decoders, "_load_av", lambda: None)
    monkeypatch.setattr(subprocess, "Popen", start)
    with open_fallback(tmp_path / "a.m4a") as file:
        file.read(10)
    assert [process.poll() is not None for process in started] == [True, True]  # for the length, and for the audio


def test_the_version_of_the_decoder_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup takes as long as all else that is done for an unreadable file."""
    lookups: list[str] = []

    def version(name: str) -> str:
        lookups.append(name)
        return "1.2"

    monkeypatch.setattr(fallback_decoders, "version", version)
    fallback_decoders._av_version.cache_clear()
    assert [fallback_decoder(), fallback_decoder()] == ["PyAV 1.2"] * 2
    assert lookups == ["av"]
    fallback_decoders._av_version.cache_clear()
