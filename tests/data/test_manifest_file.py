"""Manifests that spreadsheets and other systems wrote."""

from pathlib import Path

import pytest

from genrekit.data.manifest_file import ManifestLine, existing_name, read_table
from genrekit.errors import GenrekitError

TEXT = "path,genre\nblues/a.wav,blues\nsalsa/b.wav,m\u00fasica\n"
VALUES = [("blues/a.wav", "blues"), ("salsa/b.wav", "m\u00fasica")]


def listed(path: Path) -> list[tuple[str, str]]:
    return [(line.values["path"], line.values["genre"]) for line in read_table(path).lines]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        pytest.param(TEXT.encode(), None, id="plain"),
        pytest.param(TEXT.encode("utf-8-sig"), None, id="byte order mark"),
        pytest.param(TEXT.replace("\n", "\r\n").encode(), None, id="Windows line ends"),
        pytest.param(TEXT.replace("path,genre", " Path , GENRE").encode(), None, id="capitals"),
        pytest.param(TEXT.replace(",", ";").encode(), "its values are separated by ;", id="semicolons"),
        pytest.param(("sep=;\n" + TEXT.replace(",", ";")).encode(), "its values are separated by ;", id="Excel"),
        pytest.param(TEXT.replace(",", "\t").encode(), "its values are separated by tabs", id="tabs"),
        pytest.param(TEXT.encode("utf-16"), "its encoding is UTF-16", id="UTF-16"),
        pytest.param(TEXT.encode("utf-16-be"), "its encoding is UTF-16", id="UTF-16 without a mark"),
        pytest.param(TEXT.encode("latin-1"), "its encoding is not UTF-8, so it is read as Windows-1252", id="Latin-1"),
    ],
)
def test_usual_forms_are_read_and_unusual_ones_noted(content: bytes, note: str | None, tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_bytes(content)
    assert listed(path) == VALUES
    assert read_table(path).notes == (() if note is None else (f"{path}: {note}",))


def test_columns_that_are_not_used_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("path,genre,year,label\na.wav,blues,1990,x\n")
    assert read_table(path).notes == (f"{path}: its columns year, label are not used",)
    values = {"path": "a.wav", "genre": "blues", "artist": "", "split": ""}
    assert read_table(path).lines == (ManifestLine(2, values),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("file,genre\na.wav,blues\n", "missing: path; the first line has file, genre: write", id="names"),
        pytest.param("a.wav,blues\nb.wav,jazz\n", "missing: genre, path; the first line has a.wav, blues", id="none"),
        pytest.param(
            "path,genre,Genre\na.wav,blues,x\n", "has the column genre twice: remove or rename one", id="twice"
        ),
        pytest.param(
            "path,genre\na, b.wav,blues\n",
            "line 2: 3 values for 2 columns; write values that contain , in double quotes",
            id="unquoted",
        ),
        pytest.param("RIFF\0\1\2\3WAVE", "cannot read the manifest .*: it is not a text file", id="audio"),
    ],
)
def test_other_mistakes_are_one_line_with_what_was_found(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    with pytest.raises(GenrekitError, match=problem):
        read_table(path)


def test_a_name_that_does_not_exist_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.wav").touch()
    assert existing_name(tmp_path, "a\\b.wav") == "a/b.wav"
    assert existing_name(tmp_path, "a\\c.wav") == "a\\c.wav"
    assert existing_name(tmp_path, "x" * 300) == "x" * 300
