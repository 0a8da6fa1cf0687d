"""Artists from tags and folders."""

from dataclasses import replace
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.id3 import ID3, TPE1
from tiny_cli import SMALL, CommandLine

import genrekit
from genrekit.audio.tags import read_artist_tags
from genrekit.config import FeatureConfig
from genrekit.data.artists import artist_names, with_artists
from genrekit.data.cache.reader import open_cache
from genrekit.data.collection import Collection, Track, scan_folder
from genrekit.errors import GenrekitError, UsageError

PREPARE = ("prepare", *SMALL, "--workers", "1", "--out", "cache.h5")


def write_song(path: Path, *artists: str) -> Path:
    """Write noise with artists in its tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([*str(path).encode()]).uniform(-0.5, 0.5, 8_000)
    soundfile.write(path, noise, 8_000)
    if artists:
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        if isinstance(file.tags, ID3):
            file.tags.add(TPE1(encoding=3, text=list(artists)))
        else:
            file.tags["ARTIST"] = list(artists)
        file.save()
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three artists of two tracks each in two genres, in tags and in folders that disagree."""
    monkeypatch.chdir(tmp_path)
    for genre in ("blues", "jazz"):
        for number in range(6):
            write_song(Path("data", genre, f"Folder {genre} {number % 2}", f"{number}.wav"), f"{genre} {number // 2}")
    return Path("data")


def artists_in(cache: str = "cache.h5") -> dict[str, tuple[str, ...]]:
    return {track.id.rpartition("/")[0] + track.id[-2:]: track.artists for track in open_cache(cache).tracks}


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_artists_are_read_from_the_tags_of_every_format(suffix: str, tmp_path: Path) -> None:
    assert read_artist_tags(write_song(tmp_path / f"song.{suffix}", "Ella", "Louis")) == ["Ella", "Louis"]
    assert read_artist_tags(write_song(tmp_path / f"other.{suffix}")) == []


@pytest.mark.parametrize("content", [b"", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"fLaC\x04\x00\x00\x04\xff\xff\xff\xff"])
def test_a_damaged_file_has_no_artists(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(content)
    assert read_artist_tags(tmp_path / "song.mp3") == []


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["ABBA"], ("ABBA",)),
        (["ABBA; Abba", "abba"], ("ABBA",)),
        (["Various Artists"], ()),
        (["unknown artist", "VA", " ", ""], ()),
        (["A\0B\n"], ("A B",)),
        (["Bjo\u0308rk"], ("Bj\u00f6rk",)),
        (["AC/DC"], ("AC/DC",)),
    ],
)
def test_names_are_cleaned(values: list[str], names: tuple[str, ...]) -> None:
    assert artist_names(values) == names


def test_artists_of_tags_or_folders_are_in_the_cache_and_the_split_keeps_them(
    data: Path, genrekit: CommandLine
) -> None:
    first = genrekit(*PREPARE, "data", "--json").json
    assert first["notes"] == [
        "most tracks have an artist in their tags: --artists tags keeps the tracks of an artist in the same set"
    ]
    assert set(artists_in().values()) == {()}
    tags = genrekit(*PREPARE, "data", "--artists", "tags", "--json").json
    assert tags["notes"] == ["6 artists in tags, of 12 of 12 tracks"]
    assert (tags["reused"], tags["warnings"]) == (12, [])
    assert artists_in()["blues/Folder blues 0/4"] == ("blues 2",)
    trained = genrekit("train", "--cache", "cache.h5", "--arch", "lda", "--out", "run", "--json").json
    assert trained["split"] == "artist, seed 0"
    folders = genrekit(*PREPARE, "data", "--artists", "folders", "--json").json
    assert (folders["reused"], folders["notes"]) == (12, ["4 artists in folders, of 12 of 12 tracks"])
    assert artists_in()["blues/Folder blues 0/4"] == ("Folder blues 0",)
    refused = genrekit("train", "--cache", "cache.h5", "--split", "artist", "--arch", "lda", "--out", "other")
    assert refused.code == 1
    assert "of the artist split, because tracks changed after it was made: use another split seed" in refused.err


def test_artists_that_a_new_run_leaves_out_are_a_warning(data: Path, genrekit: CommandLine) -> None:
    genrekit(*PREPARE, "data", "--artists", "tags")
    outcome = genrekit(*PREPARE, "data", "--json").json
    assert outcome["warnings"] == [
        "12 tracks with an artist in cache.h5 before, but none now: pass --artists tags or folders again, or train "
        "with another split"
    ]


def test_the_python_api_has_the_option(data: Path) -> None:
    features = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)
    result = genrekit.prepare(data, out="cache.h5", features=features, workers=1, artists="folders")
    assert result.notes == ("4 artists in folders, of 12 of 12 tracks",)
    assert artists_in()["jazz/Folder jazz 1/1"] == ("Folder jazz 1",)


def test_folders_are_offered_if_tags_have_no_artists(tmp_path: Path) -> None:
    names = [f"{genre}/{artist}/{n}.wav" for genre in ("a", "b") for artist in ("Ann", "Bob") for n in range(2)]
    for name in names:
        write_song(tmp_path / name)
    collection = scan_folder(tmp_path)
    assert with_artists(collection, "auto").notes == (
        "most tracks are in folders GENRE/NAME/: if NAME is the artist, --artists folders keeps the tracks of an "
        "artist in the same set",
    )
    known = replace(collection, tracks=(replace(collection.tracks[0], artists=("Cy",)), *collection.tracks[1:]))
    assert with_artists(known, "auto").notes == ()
    assert with_artists(known, "folders").tracks[0].artists == ("Ann",)


@pytest.mark.parametrize("name", ["train/blues/Ann/1", "blues/train/Ann/1", "blues/train/Ann/An album/1"])
def test_the_folder_of_the_artist_is_below_subset_and_genre(name: str) -> None:
    track = Track(name, Path(f"{name}.wav"), "blues", subset="train")
    (found,) = with_artists(Collection(Path(), (track,)), "folders").tracks
    assert found.artists == ("Ann",)


def test_a_source_that_does_not_fit_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for genre in "ab":
        write_song(tmp_path / genre / "song.wav")
    collection = scan_folder(tmp_path)
    with pytest.raises(GenrekitError, match=r"has an artist in their tags: leave out --artists tags$"):
        with_artists(collection, "tags")
    with pytest.raises(GenrekitError, match=r"has an artist in folders GENRE/ARTIST/: leave out --artists folders$"):
        with_artists(collection, "folders")
    with pytest.raises(UsageError, match=r"tracks\.csv lists the tracks: leave it out"):
        with_artists(replace(collection, listed_in=tmp_path / "tracks.csv"), "folders")
    with pytest.raises(UsageError, match=r"unknown source of artists 'tag': did you mean tags\?"):
        with_artists(collection, "tag")  # type: ignore[arg-type]
    monkeypatch.setattr("genrekit.audio.tags.find_spec", lambda _: None)
    with pytest.raises(GenrekitError, match=r"^reading artists from tags needs mutagen.*'genrekit\[tags\]'$"):
        with_artists(collection, "tags")
    assert with_artists(collection, "auto").notes == ()
