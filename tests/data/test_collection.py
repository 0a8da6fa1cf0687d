import errno
import os
import socket
import tempfile
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.data.collection import Collection, SkippedFile, read_manifest, scan_folder
from genrekit.data.file_types import SUFFIXES
from genrekit.errors import GenrekitError


def fill(root: Path, *names: str) -> Path:
    """Make files that are empty: nothing here opens audio."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(collection: Collection) -> list[str]:
    return [track.id for track in collection.tracks]


def skipped(collection: Collection) -> dict[str, str]:
    return {file.path: file.reason for file in collection.skipped}


def refuse_listing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a folder without permissions is to all but root."""
    scandir = os.scandir

    def listed(path: Path) -> Any:
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", listed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "music", "blues/a.wav", "jazz/b.wav")


class TestFolder:
    """Tracks of a folder that has one folder per genre."""

    def test_the_genre_is_the_first_folder_and_the_id_is_the_path_without_the_suffix(self, tmp_path: Path) -> None:
        fill(tmp_path, "rock/song.mp3", "blues/King/Live/one.wav", "blues/blues.00000.wav")
        collection = scan_folder(tmp_path)
        assert [(track.id, track.genre) for track in collection.tracks] == [
            ("blues/King/Live/one", "blues"),
            ("blues/blues.00000", "blues"),
            ("rock/song", "rock"),
        ]
        assert collection.tracks[0].path == tmp_path / "blues/King/Live/one.wav"
        assert collection.genres == ("blues", "rock")
        assert collection.root == tmp_path
        assert collection.skipped == ()

    def test_size_and_time_of_a_file_are_noted(self, root: Path) -> None:
        (root / "blues" / "a.wav").write_bytes(bytes(12))
        os.utime(root / "blues" / "a.wav", ns=(1, 1_700_000_000_000_000_000))
        track = scan_folder(root).tracks[0]
        assert (track.size, track.mtime_ns) == (12, 1_700_000_000_000_000_000)

    @pytest.mark.parametrize("suffix", sorted(SUFFIXES))
    def test_each_suffix_is_found_in_either_case(self, suffix: str, root: Path) -> None:
        fill(root, f"jazz/low{suffix}", f"jazz/up{suffix.upper()}")
        assert ids(scan_folder(root)) == ["blues/a", "jazz/b", "jazz/low", "jazz/up"]

    def test_a_dot_in_a_name_is_part_of_it(self, root: Path) -> None:
        fill(root, "jazz/b.live.wav", "jazz/b.studio.wav")
        assert ids(scan_folder(root)) == ["blues/a", "jazz/b", "jazz/b.live", "jazz/b.studio"]

    def test_hidden_and_appledouble_files_and_hidden_folders_are_no_tracks(self, root: Path) -> None:
        fill(root, "blues/._a.wav", "blues/.hidden.wav", "jazz/.trash/c.wav", ".cache/d.wav", "._jazz/e.wav")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert collection.skipped == ()

    def test_files_that_are_no_audio_are_passed_over(self, root: Path) -> None:
        fill(root, "README.txt", "blues/cover.jpg", "jazz/notes", "jazz/b.wav.asd")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert collection.skipped == ()

    @pytest.mark.parametrize("suffix", ["zip", "mid", "mod", "part"])
    def test_a_file_that_may_be_music_is_skipped_with_a_reason(self, suffix: str, root: Path) -> None:
        fill(root, f"jazz/c.{suffix}")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert skipped(collection) == {f"jazz/c.{suffix}": f".{suffix} is not a supported audio format"}

    def test_a_file_without_suffix_is_skipped_if_it_is_not_text(self, root: Path) -> None:
        fill(root, "jazz/LICENSE")
        (root / "jazz" / "README").write_text("all takes of 1959")
        (root / "jazz" / "track 1").write_bytes(bytes(100))
        assert skipped(scan_folder(root)) == {"jazz/track 1": "a file without suffix is not a supported audio format"}

    def test_very_many_files_of_a_kind_are_summarized(self, root: Path) -> None:
        fill(root, *(f"jazz/{number:02}.mid" for number in range(30)), "blues/a.zip")
        assert skipped(scan_folder(root)) == {
            "blues/a.zip": ".zip is not a supported audio format",
            "jazz/00.mid": ".mid is not a supported audio format; 29 more files like it are not used",
        }

    def test_a_file_beside_the_genres_is_skipped(self, root: Path) -> None:
        fill(root, "c.wav")
        assert skipped(scan_folder(root)) == {"c.wav": "not in a genre's folder"}

    def test_folders_whose_names_differ_only_in_unicode_form_are_one_genre(self, root: Path) -> None:
        fill(root, "M\u00fasica/c.wav", "Mu\u0301sica/d.wav")
        assert scan_folder(root).genres == ("M\u00fasica", "blues", "jazz")

    def test_a_folder_whose_name_is_a_space_is_not_a_genre(self, root: Path) -> None:
        fill(root, " /c.wav")
        assert skipped(scan_folder(root)) == {" /c.wav": "the name of its genre's folder is empty"}

    def test_of_two_files_with_one_id_the_second_is_skipped(self, root: Path) -> None:
        fill(root, "blues/a.mp3", "jazz/a.flac")
        collection = scan_folder(root)
        assert [track.path.name for track in collection.tracks] == ["a.mp3", "a.flac", "b.wav"]
        assert skipped(collection) == {"blues/a.wav": "same id as blues/a.mp3"}

    def test_of_two_files_with_one_id_a_broken_one_does_not_stand_in_the_way(self, root: Path) -> None:
        soundfile.write(root / "blues" / "a.wav", np.zeros(8_000), 8_000)
        fill(root, "blues/a.flac", "blues/a.ogg")
        collection = scan_folder(root)
        assert [track.path.name for track in collection.tracks] == ["a.wav", "b.wav"]
        assert skipped(collection) == {
            "blues/a.flac": "same id as blues/a.wav",
            "blues/a.ogg": "same id as blues/a.wav",
        }

    @pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "socket", "device"])
    def test_what_would_block_whoever_opens_it_is_skipped(
        self, kind: str, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(root / "jazz")  # a socket's path must be short
        if kind == "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind("odd.wav")
        elif kind == "device":
            Path("odd.wav").symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo("odd.wav")
        else:
            os.mkfifo("pipe")
            Path("odd.wav").symlink_to("pipe")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        named = "named pipe" if "pipe" in kind else kind
        assert skipped(collection) == {"jazz/odd.wav": f"a {named} is not an audio file"}

    def test_a_folder_that_cannot_be_listed_is_skipped_with_the_reason(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(root, "jazz/closed/c.wav")
        refuse_listing(root / "jazz" / "closed", monkeypatch)
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert skipped(collection) == {"jazz/closed": "Permission denied"}

    def test_a_collection_that_cannot_be_listed_is_refused_with_the_reason(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_listing(root, monkeypatch)
        with pytest.raises(GenrekitError, match=r"cannot list .*music: Permission denied; check its permissions"):
            scan_folder(root)

    def test_a_time_that_64_bits_cannot_say_is_the_last_that_they_can(self, root: Path) -> None:
        os.utime(root / "blues" / "a.wav", (0, 14_000_000_000))
        assert scan_folder(root).tracks[0].mtime_ns in {2**63 - 1, (root / "blues" / "a.wav").stat().st_mtime_ns}
        assert scan_folder(root).tracks[0].mtime_ns < 2**63

    def test_a_folder_with_the_name_of_a_track_is_not_a_track(self, root: Path) -> None:
        fill(root, "jazz/album.wav/c.wav")
        assert ids(scan_folder(root)) == ["blues/a", "jazz/album.wav/c", "jazz/b"]

    @pytest.mark.parametrize(
        ("name", "printed"),
        [("one\ntwo.wav", r"jazz/one\ntwo.wav"), ("\x1b[31mred.wav", r"jazz/\x1b[31mred.wav")],
        ids=["line-break", "escape"],
    )
    def test_a_name_that_cannot_be_printed_is_skipped_and_printed_with_escapes(
        self, name: str, printed: str, root: Path
    ) -> None:
        fill(root, f"jazz/{name}")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert skipped(collection) == {printed: "its name has characters that cannot be printed: rename it"}

    def test_a_name_that_is_not_unicode_is_skipped_and_printed_with_escapes(self, root: Path) -> None:
        try:
            fill(root, os.fsdecode(b"jazz/caf\xe9.wav"))
        except OSError:
            pytest.skip("this file system has Unicode names only")
        assert list(skipped(scan_folder(root))) == [r"jazz/caf\udce9.wav"]

    @pytest.mark.parametrize(
        "name",
        [
            "東京\u3000夜",
            "Caf\u00e9\u00a0Noir",
            "Sigur Rós",
            "Бумбокс",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "👩\u200d🎤",
        ],
        ids=["ideographic", "no-break", "plain", "none", "non-joiner", "joiner"],
    )
    def test_a_name_of_any_script_with_any_space_is_a_track(self, name: str, root: Path) -> None:
        fill(root, f"jazz/{name}.wav", f"jazz/{name}.zip")
        collection = scan_folder(root)
        assert sorted(ids(collection)) == sorted(["blues/a", "jazz/b", f"jazz/{name}"])
        assert list(skipped(collection)) == [f"jazz/{name}.zip"]

    @given(
        st.sets(
            st.tuples(
                st.sampled_from(["blues", "jazz", "rock"]),
                st.sampled_from(["a", "a b", "a-b", "a.b", "ab", "z"]),
                st.sampled_from(["wav", "mp3", "zip"]),
            ),
            max_size=12,
        )
    )
    @settings(max_examples=30)
    def test_tracks_are_ordered_by_their_ids_and_each_file_is_a_track_or_skipped(
        self, files: set[tuple[str, str, str]]
    ) -> None:
        names = {f"{genre}/{stem}.{suffix}" for genre, stem, suffix in files} | {"jazz/a.wav", "rock/a.wav"}
        with tempfile.TemporaryDirectory() as folder:
            collection = scan_folder(fill(Path(folder), *names))
            found = [track.path.relative_to(folder).as_posix() for track in collection.tracks]
        assert ids(collection) == sorted({name.rpartition(".")[0] for name in names if not name.endswith("zip")})
        assert sorted([*found, *skipped(collection)]) == sorted(names)
        assert list(skipped(collection)) == sorted(skipped(collection))


class TestLinks:
    """Links are followed, and no file is listed twice."""

    def test_links_to_files_and_folders_are_followed(self, root: Path, tmp_path: Path) -> None:
        elsewhere = fill(tmp_path / "elsewhere", "album/c.wav", "d.wav")
        (root / "jazz" / "album").symlink_to(elsewhere / "album")
        (root / "jazz" / "linked.wav").symlink_to(elsewhere / "d.wav")
        assert ids(scan_folder(root)) == ["blues/a", "jazz/album/c", "jazz/b", "jazz/linked"]

    @pytest.mark.parametrize("target", [".", "..", "../blues"], ids=["itself", "the root", "another genre"])
    def test_a_link_to_a_folder_that_is_visited_anyway_finds_nothing_twice(self, target: str, root: Path) -> None:
        (root / "jazz" / "loop").symlink_to(target, target_is_directory=True)
        assert ids(scan_folder(root)) == ["blues/a", "jazz/b"]

    def test_a_link_that_leads_nowhere_is_skipped(self, root: Path) -> None:
        (root / "jazz" / "gone.wav").symlink_to(root / "nowhere.wav")
        (root / "jazz" / "lost").symlink_to(root / "nowhere")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert skipped(collection) == {"jazz/gone.wav": "No such file or directory"}

    def test_a_link_to_itself_is_skipped(self, root: Path) -> None:
        (root / "jazz" / "self.wav").symlink_to("self.wav")
        collection = scan_folder(root)
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert list(skipped(collection)) == ["jazz/self.wav"]


class TestNoCollection:
    """A folder without genres is refused with the remedy."""

    @pytest.mark.parametrize("kind", ["missing", "file"])
    def test_a_missing_folder(self, kind: str, tmp_path: Path) -> None:
        if kind == "file":
            (tmp_path / "music").touch()
        with pytest.raises(GenrekitError, match=r"no folder .*music: make it, with one folder .* per genre"):
            scan_folder(tmp_path / "music")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(GenrekitError, match=r"has no audio: put one folder of audio files per genre in it$"):
            scan_folder(tmp_path)

    def test_a_folder_without_a_file_that_can_be_read(self, tmp_path: Path) -> None:
        fill(tmp_path, "blues/a.zip", "jazz/b.zip", "jazz/c.txt")
        with pytest.raises(GenrekitError, match=r"has no usable audio; blues/a\.zip: \.zip is not a supported"):
            scan_folder(tmp_path)

    def test_music_without_folders_of_genres(self, tmp_path: Path) -> None:
        fill(tmp_path, "a.wav", "b.wav")
        with pytest.raises(GenrekitError, match=r"has no usable audio; a\.wav: not in a genre's folder$"):
            scan_folder(tmp_path)

    def test_one_genre_only(self, tmp_path: Path) -> None:
        fill(tmp_path, "blues/a.wav", "blues/album/b.wav", "jazz/cover.jpg")
        with pytest.raises(GenrekitError, match=r"has only one genre \(blues\): .* at least two$"):
            scan_folder(tmp_path)

    def test_the_folder_above_the_genres_gets_the_right_folder_in_the_error(self, tmp_path: Path) -> None:
        fill(tmp_path, "genres_original/blues/blues.00000.wav", "genres_original/jazz/jazz.00000.wav")
        with pytest.raises(GenrekitError) as caught:
            scan_folder(tmp_path)
        assert str(caught.value).endswith(f"; did you mean {tmp_path / 'genres_original'}?")
        assert len(scan_folder(tmp_path / "genres_original").tracks) == 2


def manifest(folder: Path, text: str) -> Path:
    (folder / "tracks.csv").write_text(text, encoding="utf-8")
    return folder / "tracks.csv"


class TestManifest:
    """Tracks that a CSV file lists."""

    def test_it_names_path_genre_artists_and_split(self, root: Path) -> None:
        path = manifest(
            root,
            "genre,year,path,artist,split\n"
            "swing,1940,jazz/b.wav, Ella Fitzgerald ; Louis Armstrong;,TEST\n"
            "blues,1930,./blues/a.wav,,\n",
        )
        first, second = read_manifest(path).tracks
        assert (first.id, first.path, first.genre) == ("blues/a", root / "blues/a.wav", "blues")
        assert (first.artists, first.subset) == ((), None)
        assert (second.id, second.genre) == ("jazz/b", "swing")
        assert (second.artists, second.subset) == (("Ella Fitzgerald", "Louis Armstrong"), "test")

    @pytest.mark.parametrize(
        ("value", "subset"),
        [
            ("train", "train"),
            ("training", "train"),
            ("valid", "validation"),
            ("val", "validation"),
            ("Validation", "validation"),
            ("dev", "validation"),
            ("DEVELOPMENT", "validation"),
            ("test", "test"),
            ("Testing", "test"),
            ("eval", "test"),
            ("evaluation", "test"),
            (" ", None),
        ],
    )
    def test_usual_names_of_the_sets_are_accepted(self, value: str, subset: str | None, root: Path) -> None:
        path = manifest(root, f"path,genre,split\nblues/a.wav,blues,{value}\njazz/b.wav,jazz,train\n")
        assert read_manifest(path).tracks[0].subset == subset

    def test_artists_and_split_need_no_column(self, root: Path) -> None:
        tracks = read_manifest(manifest(root, "path,genre\nblues/a.wav,blues\njazz/b.wav,jazz\n")).tracks
        assert [(track.artists, track.subset) for track in tracks] == [((), None)] * 2

    @pytest.mark.parametrize("column", ["subset", "Fold"])
    def test_a_column_that_may_be_a_split_is_noted(self, column: str, root: Path) -> None:
        path = manifest(root, f"path,genre,{column}\nblues/a.wav,blues,train\njazz/b.wav,jazz,train\n")
        (note,) = read_manifest(path).notes
        assert note.endswith(f"call the column {column.lower()} split if it is one")

    @pytest.mark.parametrize("column", ["year", "split", "Split"])
    def test_other_columns_have_no_such_note(self, column: str, root: Path) -> None:
        path = manifest(root, f"path,genre,{column}\nblues/a.wav,blues,train\njazz/b.wav,jazz,train\n")
        assert "if it is one" not in " ".join(read_manifest(path).notes)

    def test_a_byte_order_mark_is_ignored(self, root: Path) -> None:
        path = manifest(root, "\ufeffpath,genre\r\nblues/a.wav,blues\r\njazz/b.wav,jazz\r\n")
        assert ids(read_manifest(path)) == ["blues/a", "jazz/b"]

    def test_a_path_may_be_absolute(self, root: Path, tmp_path: Path) -> None:
        elsewhere = fill(tmp_path / "elsewhere", "c.flac") / "c.flac"
        path = manifest(root, f"path,genre\n{elsewhere},rock\njazz/b.wav,jazz\n")
        track = next(track for track in read_manifest(path).tracks if track.genre == "rock")
        assert track.path == elsewhere
        assert track.id == elsewhere.with_suffix("").as_posix().lstrip("/")

    def test_files_that_cannot_be_tracks_are_skipped_with_the_reason(self, root: Path) -> None:
        fill(root, "jazz/c.zip", "jazz/d.mid", "jazz/e", "jazz/folder.wav/f.wav", "jazz/line\nbreak.wav")
        names = ["blues/a.wav", "jazz/b.wav", "jazz/c.zip", "jazz/d.mid", "jazz/e", "jazz/folder.wav", "jazz/no.wav"]
        rows = [f'"{name}",{number % 2}' for number, name in enumerate([*names, "jazz/line\nbreak.wav"])]
        collection = read_manifest(manifest(root, "\n".join(["path,genre", *rows])))
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert skipped(collection) == {
            "jazz/c.zip": ".zip is not a supported audio format",
            "jazz/d.mid": ".mid is not a supported audio format",
            "jazz/e": "a file without suffix is not a supported audio format",
            "jazz/folder.wav": "no such file",
            "jazz/no.wav": "no such file",
            r"jazz/line\nbreak.wav": "its name has characters that cannot be printed: rename it",
        }

    def test_a_name_that_no_file_can_have_is_skipped(self, root: Path) -> None:
        name = "x" * 300 + ".wav"
        collection = read_manifest(manifest(root, f"path,genre\nblues/a.wav,blues\n{name},blues\njazz/b.wav,jazz\n"))
        assert ids(collection) == ["blues/a", "jazz/b"]
        assert list(skipped(collection)) == [name]

    def test_a_file_that_is_listed_twice_is_one_track(self, root: Path) -> None:
        path = manifest(root, "path,genre\nblues/a.wav,blues\njazz/b.wav,jazz\n./blues/a.wav,blues\n")
        collection = read_manifest(path)
        assert [(track.id, track.genre) for track in collection.tracks] == [("blues/a", "blues"), ("jazz/b", "jazz")]
        assert collection.skipped == (SkippedFile("blues/a.wav", "same id as blues/a.wav"),)

    def test_a_file_that_is_listed_with_two_genres_is_an_error_that_names_both(self, root: Path) -> None:
        path = manifest(root, "path,genre\nblues/a.wav,blues\njazz/b.wav,jazz\n./blues/a.wav,jazz\n")
        with pytest.raises(
            GenrekitError,
            match=r"tracks\.csv, line 4: \./blues/a\.wav is jazz here, but blues in line 2: remove one of the lines$",
        ):
            read_manifest(path)

    @pytest.mark.parametrize(("listed", "existing"), [("NFC", "NFD"), ("NFD", "NFC")])
    def test_a_path_in_the_other_unicode_form_is_found(
        self, listed: Literal["NFC", "NFD"], existing: Literal["NFC", "NFD"], root: Path
    ) -> None:
        fill(root, unicodedata.normalize(existing, "jazz/M\u00fasica.wav"))
        text = unicodedata.normalize(listed, "path,genre\nblues/a.wav,blues\njazz/M\u00fasica.wav,m\u00fasica\n")
        collection = read_manifest(manifest(root, text))
        assert collection.skipped == ()
        assert collection.genres == ("blues", "m\u00fasica")

    def test_backslashes_in_paths_are_separators(self, root: Path) -> None:
        assert ids(read_manifest(manifest(root, "path,genre\nblues\\a.wav,blues\njazz\\b.wav,jazz\n"))) == [
            "blues/a",
            "jazz/b",
        ]

    def test_a_genre_that_cannot_be_printed_is_refused(self, root: Path) -> None:
        path = manifest(root, "path,genre\nblues/a.wav,\x1b[31mblues\n")
        with pytest.raises(GenrekitError, match=r"line 2: the genre '\\x1b\[31mblues' has characters that cannot"):
            read_manifest(path)

    def test_of_two_files_with_one_id_the_order_of_the_rows_does_not_decide(self, root: Path) -> None:
        fill(root, "blues/a.mp3")
        rows = ["blues/a.wav,blues", "blues/a.mp3,blues", "jazz/b.wav,jazz"]
        collections = [read_manifest(manifest(root, "\n".join(["path,genre", *order]))) for order in (rows, rows[::-1])]
        assert collections[0] == collections[1]
        assert skipped(collections[0]) == {"blues/a.wav": "same id as blues/a.mp3"}

    @pytest.mark.parametrize(
        ("text", "missing"),
        [
            pytest.param("file,genre\nblues/a.wav,blues\n", "path", id="path"),
            pytest.param("path,style\nblues/a.wav,blues\n", "genre", id="genre"),
            pytest.param("", "genre, path", id="empty"),
        ],
    )
    def test_a_missing_column_is_named(self, text: str, missing: str, root: Path) -> None:
        with pytest.raises(GenrekitError, match=rf"columns path and genre; missing: {missing}; the first line has"):
            read_manifest(manifest(root, text))

    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            pytest.param("jazz/b.wav,", "path and genre must not be empty", id="no genre"),
            pytest.param(" ,jazz", "path and genre must not be empty", id="no path"),
            pytest.param("jazz/b.wav", "path and genre must not be empty", id="short"),
            pytest.param(
                "jazz/b.wav,jazz,fold1", "split must be train, validation or test, got 'fold1'", id="unknown split"
            ),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, row: str, problem: str, root: Path) -> None:
        path = manifest(root, f"path,genre,split\nblues/a.wav,blues,train\n{row}\n")
        with pytest.raises(GenrekitError, match=rf"tracks\.csv, line 3: {problem}$"):
            read_manifest(path)

    def test_lines_are_counted_as_an_editor_counts_them(self, root: Path) -> None:
        path = manifest(root, 'path,genre,note\n\nblues/a.wav,blues,"two\nlines"\n\njazz/b.wav,,\n')
        with pytest.raises(GenrekitError, match=r"tracks\.csv, line 6: "):
            read_manifest(path)

    def test_no_rows(self, root: Path) -> None:
        with pytest.raises(GenrekitError, match=r"tracks\.csv has no audio: list one file per line, with its genre$"):
            read_manifest(manifest(root, "path,genre\n"))

    def test_no_file_that_is_there(self, root: Path) -> None:
        with pytest.raises(GenrekitError, match=r"no usable audio; music/blues/a\.wav: no such file$"):
            read_manifest(manifest(root, "path,genre\nmusic/blues/a.wav,blues\nmusic/jazz/b.wav,jazz\n"))

    def test_one_genre_only(self, root: Path) -> None:
        with pytest.raises(GenrekitError, match=r"tracks\.csv has only one genre \(blues\): .* at least two$"):
            read_manifest(manifest(root, "path,genre\nblues/a.wav,blues\njazz/b.wav,blues\n"))

    def test_a_file_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "tracks.csv").write_bytes(b"RIFF\0\0\1\0WAVEfmt \xff")
        with pytest.raises(GenrekitError, match=r"cannot read the manifest .*tracks\.csv: it is not a text file"):
            read_manifest(tmp_path / "tracks.csv")

    @pytest.mark.parametrize(
        ("name", "reason"), [("none.csv", "No such file or directory"), (".", "Is a directory")], ids=["none", "folder"]
    )
    def test_what_cannot_be_opened_is_refused(self, name: str, reason: str, tmp_path: Path) -> None:
        with pytest.raises(GenrekitError, match=rf"cannot read the manifest .*: {reason}; check the path$"):
            read_manifest(tmp_path / name)
