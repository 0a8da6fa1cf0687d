"""Formats that only PyAV or ffmpeg read, through the same functions as all others."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio import fallback_decoders
from genrekit.audio.decode import decode, probe, stream
from genrekit.errors import UnreadableAudioError

RATE = 22_050
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")

CORPUS = {
    "aac.m4a": ["-c:a", "aac"],
    "alac.m4a": ["-c:a", "alac"],
    "adts.aac": ["-c:a", "aac"],
    "windows.wma": ["-c:a", "wmav2"],
    "opus.webm": ["-c:a", "libopus"],
    "vorbis.mka": ["-c:a", "libvorbis"],
    "flac.mkv": ["-c:a", "flac"],
    "dolby.ac3": ["-c:a", "ac3"],
    "wavpack.wv": ["-c:a", "wavpack"],
    "true.tta": ["-c:a", "tta"],
    "video.mp4": ["-f", "lavfi", "-i", "color=s=32x32:r=5", "-shortest", "-c:a", "aac", "-c:v", "mpeg4"],
    "dolby.avi": ["-c:a", "ac3"],
    "adpcm.wav": ["-c:a", "adpcm_ima_wav"],
    "layer2.mp2": ["-c:a", "mp2"],
}
"""Names of files, and ffmpeg's options to encode them."""


def by_ffmpeg(*arguments: str | Path) -> bytes:
    command = [str(FFMPEG), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and a half of stereo."""
    path = tmp_path_factory.mktemp("original") / "x.wav"
    length = RATE * 3 // 2
    left = sine(440, length, RATE, 0.3) + 0.02 * white_noise(length)
    soundfile.write(path, np.stack([left, 0.5 * left], axis=1), RATE)
    return path


def level_db(samples: FloatArray) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.fixture(params=["PyAV", "ffmpeg"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use one of the two decoders."""
    if request.param == "ffmpeg":
        monkeypatch.setattr(fallback_decoders, "_load_av", lambda: None)
    else:
        pytest.importorskip("av", reason="PyAV is not installed")
    return str(request.param)


@needs_ffmpeg
@pytest.mark.parametrize("name", CORPUS)
def test_a_file_has_the_level_that_ffmpeg_decodes(name: str, wav: Path, decoder: str, tmp_path: Path) -> None:
    path = tmp_path / name
    by_ffmpeg("-i", wav, *CORPUS[name], path)
    raw = by_ffmpeg("-i", path, "-vn", "-f", "f32le", "-c:a", "pcm_f32le", "-")
    reference = np.frombuffer(raw, "<f4").reshape(-1, 2).mean(axis=1)
    decoded = decode(path, probe(path).sample_rate)
    assert level_db(decoded.waveform) == pytest.approx(level_db(reference), abs=0.1)
    assert len(decoded.waveform) == pytest.approx(len(reference), abs=0.1 * RATE)
    assert decoded.notes == ()
    native = path.suffix in (".mp2", ".wav")
    assert decoded.decoder == "" if native else decoded.decoder.startswith(decoder)


@needs_ffmpeg
def test_blocks_are_the_decoded_waveform(wav: Path, decoder: str, tmp_path: Path) -> None:
    by_ffmpeg("-i", wav, tmp_path / "x.m4a")
    blocks = [*stream(tmp_path / "x.m4a", 16_000)]
    np.testing.assert_array_equal(np.concatenate(blocks), decode(tmp_path / "x.m4a", 16_000).waveform)
    header = probe(tmp_path / "x.m4a")
    assert header.frames / header.sample_rate == pytest.approx(1.5, abs=0.1), decoder


@needs_ffmpeg
def test_a_cut_file_is_refused_as_in_all_formats(wav: Path, decoder: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mka"
    by_ffmpeg("-stream_loop", "3", "-i", wav, "-c:a", "flac", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableAudioError, match=r"^damaged: .* s of 6 s can be decoded, less than 90%"):
        decode(path, RATE)
    assert decoder


def test_without_a_decoder_the_reason_names_what_to_install(tmp_path: Path, no_other_decoder: None) -> None:
    (tmp_path / "x.m4a").write_bytes(b"no audio")
    (tmp_path / "x.mp3").write_bytes(b"no audio")
    for read in (probe, lambda path: decode(path, RATE)):
        with pytest.raises(
            UnreadableAudioError, match=r"^m4a needs PyAV or ffmpeg: pip install 'genrekit\[formats\]'$"
        ):
            read(tmp_path / "x.m4a")
        with pytest.raises(UnreadableAudioError, match=r"^not decodable: Format not recognised$"):
            read(tmp_path / "x.mp3")


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        ("aifc", "AIFF"),
        ("caf", "CAF"),
        ("w64", "W64"),
        ("rf64", "RF64"),
        ("snd", "AU"),
        ("voc", "VOC"),
        ("sph", "NIST"),
    ],
)
def test_other_formats_of_libsndfile_are_read_without_another_decoder(
    suffix: str, form: str, tmp_path: Path, no_other_decoder: None
) -> None:
    samples = sine(440, RATE, RATE, 0.3)
    soundfile.write(tmp_path / f"x.{suffix}", samples, RATE, format=form, subtype="PCM_16")
    np.testing.assert_allclose(decode(tmp_path / f"x.{suffix}", RATE).waveform, samples, atol=1e-4)
