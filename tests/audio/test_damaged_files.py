"""Joined files, wrong headers and damaged bytes: one rule for all formats."""

import re
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.byte_ranges import Part, PartFile
from genrekit.audio.decode import FileFacts, decode, probe, stream
from genrekit.errors import UnreadableAudioError

RATE = 24_000
"""A rate that Opus has, too."""

FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "opus": "OPUS"}
SECONDS = 16


def music(seconds: float = SECONDS, pitch: float = 220) -> FloatArray:
    length = round(seconds * RATE)
    return (sine(pitch, length, RATE, 0.4) + 0.05 * white_noise(length)).astype(np.float32)


def write(path: Path, samples: FloatArray) -> Path:
    suffix = path.suffix[1:]
    container = "OGG" if suffix == "opus" else suffix.upper()
    with soundfile.SoundFile(path, "w", RATE, 1, FORMATS[suffix], format=container) as file:
        for start in range(0, len(samples), RATE):  # libsndfile crashes when Vorbis gets much at once
            file.write(samples[start : start + RATE])
    return path


@cache
def encoded(suffix: str, seconds: float, pitch: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder, f"x.{suffix}"), music(seconds, pitch)).read_bytes()


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of each format."""
    path = tmp_path / f"x.{request.param}"
    path.write_bytes(encoded(request.param, SECONDS, 220))
    return path


def damage(path: Path, share: float) -> None:
    """Overwrite a share of the bytes in the middle."""
    content = bytearray(path.read_bytes())
    size = round(len(content) * share)
    start = len(content) // 2
    content[start : start + size] = np.random.default_rng(0).bytes(size)
    path.write_bytes(content)


def seconds_of(path: Path) -> float:
    return len(decode(path, RATE).waveform) / RATE


def test_a_healthy_file_has_no_notes(path: Path) -> None:
    decoded = decode(path, RATE)
    assert decoded.notes == ()
    assert decoded.decoder == ""
    assert len(decoded.waveform) == SECONDS * RATE


class TestJoined:
    def test_all_files_are_read_one_after_the_other(self, path: Path) -> None:
        other = write(path.with_name(f"other.{path.suffix[1:]}"), music(7, 660))
        alone = [decode(file, RATE).waveform for file in (path, other)]
        path.write_bytes(path.read_bytes() + other.read_bytes())
        decoded = decode(path, RATE)
        np.testing.assert_array_equal(decoded.waveform, np.concatenate(alone))
        (note,) = decoded.notes
        assert re.fullmatch(r"2 joined files: its header declares 16[.0-9]* s, but all 23 s are used", note)
        assert probe(path).frames == pytest.approx(len(decoded.waveform), abs=0.2 * RATE)

    def test_blocks_are_the_decoded_waveform(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("genrekit.audio.decode._BLOCK", 30_011)
        path.write_bytes(path.read_bytes() * 2)
        damage(path, 0.01)
        facts = FileFacts()
        blocks = [*stream(path, 22_050, facts=facts)]
        whole = decode(path, 22_050)
        np.testing.assert_array_equal(np.concatenate(blocks), whole.waveform)
        assert facts.notes == whole.notes != ()

    def test_a_second_file_at_another_rate_is_missing(self, tmp_path: Path) -> None:
        first = write(tmp_path / "a.mp3", music(20))
        soundfile.write(tmp_path / "b.mp3", sine(440, 16_000, 16_000), 16_000)
        soundfile.write(tmp_path / "c.mp3", sine(440, 10 * 16_000, 16_000), 16_000)
        content = first.read_bytes()
        first.write_bytes(content + (tmp_path / "b.mp3").read_bytes())
        assert decode(first, RATE).notes == ("damaged: 20 s of 21.2 s can be decoded and are used",)
        first.write_bytes(content + (tmp_path / "c.mp3").read_bytes())
        with pytest.raises(UnreadableAudioError, match=r"^damaged: 20 s of 30\.\d s can be decoded"):
            decode(first, RATE)

    def test_tags_between_mp3_files_are_not_damage(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mp3", music(3))
        tag = b"ID3\x03\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
        content = tag + path.read_bytes() + b"TAG" + bytes(125)
        path.write_bytes(content * 3)
        (note,) = decode(path, RATE).notes
        assert note.startswith("3 joined files")
        assert seconds_of(path) == 9


class TestWrongHeader:
    def test_a_xing_header_that_counts_a_part_of_the_frames(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.mp3", music())
        content = bytearray(path.read_bytes())
        at = max(content.find(b"Xing"), content.find(b"Info")) + 8
        frames = int.from_bytes(content[at : at + 4], "big")
        content[at : at + 4] = (frames // 3).to_bytes(4, "big")
        path.write_bytes(content)
        decoded = decode(path, RATE)
        assert len(decoded.waveform) / RATE == pytest.approx(SECONDS, abs=0.1)
        assert decoded.notes == ("a wrong header: its header declares 5.4 s, but all 16 s are used",)
        assert probe(path).frames / RATE == pytest.approx(SECONDS, abs=0.1)

    @pytest.mark.parametrize(
        ("declared", "notes"),
        [
            (0, ()),
            (0xFFFF_FFFF, ()),
            (2 * RATE * 3, ("a wrong header: its header declares 3 s, but all 16 s are used",)),
        ],
        ids=["0", "unknown", "3 s"],
    )
    def test_a_wav_file_with_a_wrong_size_is_read_to_its_end(
        self, declared: int, notes: tuple[str, ...], tmp_path: Path
    ) -> None:
        path = write(tmp_path / "x.wav", music())
        whole = decode(path, RATE)
        content = bytearray(path.read_bytes())
        content[40:44] = declared.to_bytes(4, "little")
        path.write_bytes(content)
        decoded = decode(path, RATE)
        assert decoded.digest == whole.digest
        assert decoded.notes == notes
        assert probe(path).frames == SECONDS * RATE

    @pytest.mark.parametrize("rest", [b"LIST\x04\0\0\0INFO", b"id3 " + (40_000).to_bytes(4, "little") + bytes(40_000)])
    def test_chunks_after_the_audio_of_a_wav_file_are_not_audio(self, rest: bytes, tmp_path: Path) -> None:
        path = write(tmp_path / "x.wav", music())
        path.write_bytes(path.read_bytes() + rest)
        assert seconds_of(path) == SECONDS
        assert decode(path, RATE).notes == ()


class TestDamaged:
    def test_a_little_damage_is_left_out_with_a_note(self, path: Path) -> None:
        if path.suffix == ".wav":
            path.write_bytes(path.read_bytes()[:-20_000])  # samples have no structure that damage can break
        damage(path, 0.01)
        decoded = decode(path, RATE)
        (note,) = decoded.notes
        assert re.fullmatch(r"damaged: 1[4-6][.0-9]* s of 16[.0-9]* s can be decoded and are used", note)
        assert 14.4 < len(decoded.waveform) / RATE < 16

    def test_much_damage_makes_a_file_unusable(self, path: Path) -> None:
        if path.suffix == ".wav":
            path.write_bytes(path.read_bytes()[:-200_000])
        damage(path, 0.4)
        with pytest.raises(UnreadableAudioError, match=r"^damaged: .* s of 16[.0-9]* s can be decoded, less than 90%"):
            decode(path, RATE)

    def test_several_damaged_bytes_cost_only_their_frames(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.flac", music())
        content = bytearray(path.read_bytes())
        for tenth in range(1, 5):
            content[len(content) * tenth // 10] ^= 0xFF
        path.write_bytes(content)
        lost = SECONDS - seconds_of(path)
        assert 0 < lost <= 4 * 2 * 4_096 / RATE

    def test_a_tag_before_a_damaged_flac_file(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.flac", music())
        damage(path, 0.01)
        notes = decode(path, RATE).notes
        path.write_bytes(b"ID3\x03\0\0" + bytes([0, 0, 2, 0]) + bytes(256) + path.read_bytes())
        assert decode(path, RATE).notes == notes


def test_a_part_is_read_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(range(100)))
    with PartFile(tmp_path / "x", Part(((10, 13), (50, 52)), b"ab")) as file:
        assert file.read() == b"ab\x0a\x0b\x0c\x32\x33"
        assert file.seek(-2, 2) == 5
        assert file.read(9) == b"\x32\x33"
        assert file.read(1) == b""
        assert file.seek(1) == 1
        assert file.read(3) == b"b\x0a\x0b"
        assert file.tell() == 4
