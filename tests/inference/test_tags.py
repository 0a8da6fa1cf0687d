"""Writing genre tags changes the metadata and never the audio."""

import stat
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.id3 import TIT2
from signals import sine

from genrekit.errors import GenrekitError
from genrekit.inference import tags
from genrekit.inference.tags import tag_genre

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

    def half(_kind: object, path: Path, _genre: str) -> bool:
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

    def shorten(_kind: object, path: Path, _genre: str) -> bool:
        soundfile.write(path, MUSIC[:-1], RATE, format="WAV")
        return True

    monkeypatch.setattr(tags, "_write", shorten)
    with pytest.raises(GenrekitError, match="without changing its audio"):
        tag_genre(source, source, "jazz")
    assert source.read_bytes() == before
