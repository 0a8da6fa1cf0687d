"""Writing genre tags changes the metadata and never the audio."""

import os
import shutil
import stat
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TCON, TIT2, TYER
from signals import sine

from genrekit.audio import tags
from genrekit.audio.audio_bytes import audio_digest
from genrekit.audio.riff_info import info_genre
from genrekit.audio.tags import GenreMode, tag_genre
from genrekit.errors import GenrekitError

RATE = 22_050
MUSIC = np.stack([sine(440, RATE, RATE), sine(330, RATE, RATE)], axis=1)

FORMATS = [
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "FLOAT"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
]


def write(path: Path, form: str, subtype: str) -> Path:
    soundfile.write(path, MUSIC, RATE, format=form, subtype=subtype)
    return path


def genre_of(path: Path) -> list[str]:
    found = mutagen.File(path).tags
    return list(found["TCON"].text if "TCON" in found else found["genre"])


def audio_bytes(path: Path) -> bytes:
    """The audio bytes of a file, without using the library that writes tags."""
    content = path.read_bytes()
    if path.suffix in (".wav", ".aiff"):
        name, order = (b"data", "little") if path.suffix == ".wav" else (b"SSND", "big")
        at, place = content.index(name), 12
        while content[place : place + 4] != name:
            place += 8 + int.from_bytes(content[place + 4 : place + 8], order)  # type: ignore[arg-type]
        assert place == at
        return content[at : at + 8 + int.from_bytes(content[at + 4 : at + 8], order)]  # type: ignore[arg-type]
    if path.suffix == ".flac":
        place, last = 4, False
        while not last:
            last = bool(content[place] & 128)
            place += 4 + int.from_bytes(content[place + 1 : place + 4], "big")
        return content[place:]
    if path.suffix == ".mp3" and content.startswith(b"ID3"):
        size = sum(byte << 7 * (3 - place) for place, byte in enumerate(content[6:10]))
        return content[10 + size :]
    return content


@pytest.mark.parametrize(("suffix", "form", "subtype"), FORMATS, ids=[f"{row[1]}-{row[2]}" for row in FORMATS])
@pytest.mark.parametrize("in_place", [False, True])
def test_the_genre_is_written_and_the_audio_unchanged(
    tmp_path: Path, suffix: str, form: str, subtype: str, in_place: bool
) -> None:
    source = write(tmp_path / f"song.{suffix}", form, subtype)
    before, bytes_before, whole = soundfile.read(source)[0], audio_bytes(source), source.read_bytes()
    target = source if in_place else tmp_path / "copies" / source.name
    for genre in ("jazz", "Drum & Bass", "ロック"):
        tag_genre(source if genre == "jazz" else target, target, genre)
        assert genre_of(target) == [genre]
        np.testing.assert_array_equal(soundfile.read(target)[0], before)
        if suffix != "ogg":  # Ogg pages are renumbered
            assert audio_bytes(target) == bytes_before
    assert in_place or source.read_bytes() == whole
    assert [path.name for path in target.parent.iterdir() if path.name != "copies"] == [source.name]


@pytest.mark.parametrize(("suffix", "form", "subtype"), [FORMATS[0], FORMATS[2], FORMATS[4]])
def test_other_tags_and_permissions_stay(tmp_path: Path, suffix: str, form: str, subtype: str) -> None:
    source = write(tmp_path / f"song.{suffix}", form, subtype)
    file = mutagen.File(source)
    if file.tags is None:
        file.add_tags()
    if suffix == "flac":
        file.tags["title"] = "Blue"
    else:
        file.tags.add(TIT2(encoding=3, text=["Blue"]))
    file.save()
    source.chmod(0o640)
    tag_genre(source, source, "jazz")
    assert stat.S_IMODE(source.stat().st_mode) == 0o640
    found = mutagen.File(source).tags
    assert list(found["title"] if suffix == "flac" else found["TIT2"].text) == ["Blue"]
    assert genre_of(source) == ["jazz"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    source = write(tmp_path / "song.flac", "FLAC", "PCM_16")
    (tmp_path / "link.flac").symlink_to(source)
    tag_genre(tmp_path / "link.flac", tmp_path / "link.flac", "jazz")
    assert (tmp_path / "link.flac").is_symlink()
    assert genre_of(source) == ["jazz"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("song.au", "tags cannot be written into au files"), ("absent.wav", "tags cannot be written: ")],
)
def test_a_file_that_cannot_be_tagged_is_an_error_and_unchanged(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path / "song.au", "AU", "PCM_16")
    before = (tmp_path / "song.au").read_bytes()
    with pytest.raises(GenrekitError, match=message):
        tag_genre(tmp_path / name, tmp_path / name, "jazz")
    assert [path.name for path in tmp_path.iterdir()] == ["song.au"]
    assert (tmp_path / "song.au").read_bytes() == before


def test_an_interrupted_write_leaves_the_file_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "song.wav", "WAV", "PCM_16")
    before = source.read_bytes()

    def half(_kind: object, path: Path, *_: str) -> list[str]:
        path.write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(tags, "_write", half)
    with pytest.raises(KeyboardInterrupt):
        tag_genre(source, source, "jazz")
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    assert source.read_bytes() == before


def test_a_file_whose_audio_would_change_is_left_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "song.wav", "WAV", "PCM_16")
    before = source.read_bytes()

    def shorten(_kind: object, path: Path, *_: str) -> list[str]:
        soundfile.write(path, MUSIC[:-1], RATE, format="WAV")
        return []

    monkeypatch.setattr(tags, "_write", shorten)
    with pytest.raises(GenrekitError, match="without changing its audio"):
        tag_genre(source, source, "jazz")
    assert source.read_bytes() == before


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write(tmp_path / "song.wav", "WAV", "PCM_16")


@pytest.fixture
def mp3(tmp_path: Path) -> Path:
    return write(tmp_path / "song.mp3", "MP3", "MPEG_LAYER_III")


def refused(path: Path, message: str) -> None:
    """Tagging the file itself is an error that leaves it and its folder unchanged."""
    before, names = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(GenrekitError, match=message):
        tag_genre(path, path, "jazz")
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (before, names)


def test_a_wav_from_a_pipe_is_one_error(wav: Path) -> None:
    content = bytearray(wav.read_bytes())
    content[4:8] = b"\xff" * 4
    at = content.index(b"data")
    content[at + 4 : at + 8] = b"\xff" * 4
    wav.write_bytes(content)
    refused(wav, "the sizes in its header are wrong, as in a WAV from a pipe")


def test_any_error_of_mutagen_is_an_error_of_the_file(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(tags, "_write", fail)
    refused(wav, "tags cannot be written: IndexError")


@pytest.mark.parametrize(("mode", "expected"), [("replace", "Drum & Bass"), ("add", "Rock; Drum & Bass")])
def test_the_genre_of_list_info_is_updated(wav: Path, mode: GenreMode, expected: str) -> None:
    with soundfile.SoundFile(wav, "r+") as file:
        file.genre, file.title = "Rock", "Blue"
    assert info_genre(wav) == "Rock"
    samples = soundfile.read(wav)[0]
    assert tag_genre(wav, wav, "Drum & Bass", mode) == ([] if mode == "add" else ["Rock"])
    assert info_genre(wav) == expected
    np.testing.assert_array_equal(soundfile.read(wav)[0], samples)
    with soundfile.SoundFile(wav) as file:
        assert (file.genre, file.title) == (expected, "Blue")
    assert genre_of(wav) == ["Drum & Bass"]


def test_id3_keeps_its_version_and_old_and_unknown_frames(mp3: Path) -> None:
    found = ID3()
    found.add(TYER(encoding=0, text=["1959"]))
    found.add(TIT2(encoding=0, text=["So What"]))
    found.save(mp3, v2_version=3)
    content = bytearray(mp3.read_bytes())
    at = content.index(b"TIT2")
    content[at : at + 4] = b"XYZ1"
    mp3.write_bytes(content)
    tag_genre(mp3, mp3, "jazz")
    after = ID3(mp3, translate=False)
    assert after.version == (2, 3, 0)
    assert after["TYER"].text == ["1959"]
    assert after.unknown_frames[0].startswith(b"XYZ1")
    assert b"So What" in after.unknown_frames[0]
    assert after["TCON"].text == ["jazz"]


@pytest.mark.parametrize(("mode", "expected"), [("replace", ["Jazz"]), ("add", ["Rock", "Jazz"])])
def test_id3v1_and_apev2_have_the_same_genres(mp3: Path, mode: GenreMode, expected: list[str]) -> None:
    audio = audio_digest(mp3)
    ape = APEv2()
    ape["Genre"], ape["Title"] = "Rock", "Blue"
    ape.save(mp3)
    found = ID3()
    found.add(TCON(encoding=0, text=["Rock"]))
    found.add(TIT2(encoding=0, text=["Blue"]))
    found.save(mp3, v1=2, v2_version=4)
    assert tag_genre(mp3, mp3, "Jazz", mode) == ([] if mode == "add" else ["Rock"])
    assert list(APEv2(mp3)["Genre"]) == expected
    assert str(APEv2(mp3)["Title"]) == "Blue"
    assert genre_of(mp3) == expected
    last = mp3.read_bytes()[-128:]
    assert last.startswith(b"TAGBlue\0")
    assert last[127] == {"Rock": 17, "Jazz": 8}[expected[0]]
    assert audio_digest(mp3) == audio


@pytest.mark.parametrize(("suffix", "form", "subtype"), [FORMATS[2], FORMATS[3], FORMATS[4]])
def test_a_genre_is_added_once(tmp_path: Path, suffix: str, form: str, subtype: str) -> None:
    source = write(tmp_path / f"song.{suffix}", form, subtype)
    for genre in ("Rock", "jazz", "JAZZ"):
        assert tag_genre(source, source, genre, "add") == []
    assert genre_of(source) == ["Rock", "jazz"]
    assert tag_genre(source, source, "metal") == ["Rock", "jazz"]


def test_an_mp3_without_a_xing_header_can_be_tagged(mp3: Path) -> None:
    """Its length is estimated from the size of the file, which tags change."""
    frame = bytes.fromhex("fffb9064") + bytes(413)  # MPEG 1, layer III, 128 kbit/s, 44,100 Hz
    mp3.write_bytes(frame * 100)
    tag_genre(mp3, mp3, "jazz")
    assert genre_of(mp3) == ["jazz"]
    assert audio_bytes(mp3) == frame * 100


@pytest.mark.parametrize(("suffix", "form", "subtype"), FORMATS, ids=[f"{row[1]}-{row[2]}" for row in FORMATS])
def test_the_digest_of_the_audio_changes_with_one_bit(tmp_path: Path, suffix: str, form: str, subtype: str) -> None:
    source = write(tmp_path / f"song.{suffix}", form, subtype)
    before = audio_digest(source)
    tag_genre(source, source, "jazz")
    assert audio_digest(source) == before
    content = bytearray(source.read_bytes())
    content[-50 if suffix == "ogg" else len(content) // 2] ^= 1
    source.write_bytes(content)
    assert audio_digest(source) != before


def test_a_read_only_file_is_refused(wav: Path) -> None:
    wav.chmod(0o444)
    refused(wav, "the file is read-only: make it writable")


def test_hard_links_stay_and_all_have_the_tag(wav: Path) -> None:
    other = wav.with_name("other.wav")
    other.hardlink_to(wav)
    tag_genre(wav, wav, "jazz")
    assert wav.samefile(other)
    assert genre_of(other) == ["jazz"]
    assert sorted(path.name for path in wav.parent.iterdir()) == ["other.wav", "song.wav"]


def test_an_interrupted_write_into_a_file_leaves_a_complete_copy(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav.with_name("other.wav").hardlink_to(wav)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", stop)
    with pytest.raises(KeyboardInterrupt):
        tag_genre(wav, wav, "jazz")
    assert genre_of(wav.with_name("song.wav.genrekit-tagged")) == ["jazz"]
    refused(wav, "interrupted earlier: move song.wav.genrekit-tagged to song.wav, or remove it")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root of Linux changes owners")
def test_the_owner_and_extended_attributes_stay(wav: Path) -> None:
    os.chown(wav, 12_345, 54_321)
    try:
        os.setxattr(wav, "user.rating", b"5")
    except OSError:
        pytest.skip("no extended attributes here")
    wav.chmod(0o604)
    tag_genre(wav, wav, "jazz")
    status = wav.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12_345, 54_321, 0o604)
    assert os.getxattr(wav, "user.rating") == b"5"


def test_an_owner_that_cannot_be_given_stays_too(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(shutil, "copystat", refuse)
    before = wav.stat().st_ino
    tag_genre(wav, wav, "jazz")
    assert (wav.stat().st_ino, genre_of(wav)) == (before, ["jazz"])


def test_copies_that_a_kill_left_are_removed(wav: Path) -> None:
    with tags._hidden_copy(wav) as copy:
        torn = copy.with_name(copy.name.replace(".tagging", "0.tagging"))
        torn.touch()
        kept = wav.with_name(".mine.tagging")
        kept.touch()
    tag_genre(wav, wav, "jazz")
    assert sorted(path.name for path in wav.parent.iterdir()) == [".mine.tagging", "song.wav"]
