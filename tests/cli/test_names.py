"""Names in, names out: what a stranger calls a genre, a file or a run does nothing to a terminal, and is not lost."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import h5py
import pytest
from hostile import CLEAR, CONTROLS, FORMULAS, MARKUP, TITLE, unsafe
from tiny_bundle import edit
from tiny_cli import COMMAND_LINES, SMALL, CommandLine
from tiny_music import write_collection

MODEL = ("--model", "runs/mlp/best")


def rename_genres(here: Path, *genres: str) -> None:
    edit(here / "runs" / "mlp" / "best", lambda values: values.update(genres=sorted(genres)))


@pytest.fixture
def song(here: Path) -> Path:
    return Path(shutil.copy(here / "data" / "jazz" / "jazz-0.wav", here / "song.wav"))


@pytest.mark.slow
def test_markup_in_names_is_printed_by_every_command_that_prints_names(
    genrekit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    genres = dict.fromkeys((*MARKUP, *FORMULAS), 4)
    write_collection(tmp_path / "data [x]", genres, duration_s=0.6, sample_rate=8_000)
    run, cache, best = "runs [a]/r [b]", "cache [b].h5", "best [b]"
    prepared = genrekit("prepare", "data [x]", "--out", cache, *SMALL, "--workers", "1")
    assert (prepared.code, *[genre for genre in genres if genre not in prepared.out]) == (0,)
    trained = genrekit(
        *("train", "--cache", cache, "--arch", "mlp", "--hidden", "8,8", "--epochs", "1", "--out", run),
        *("--best-models", best, "--wandb", "off"),
    )
    assert trained.code == 0
    assert run in trained.out
    assert f"run {run}\n" in trained.err
    compared = genrekit("compare", "runs [a]", "--best-models", best, "--csv", "ranking.csv", "--latex", "ranking.tex")
    assert "r [b]" in compared.out
    assert best in compared.out
    evaluated = genrekit("evaluate", f"{run}/best", "--cache", cache, "--report", "report", "--details")
    assert [genre for genre in genres if genre not in evaluated.out] == []
    predicted = genrekit("predict", "data [x]", "--model", f"{run}/best", "--top", "9")
    assert [genre for genre in genres if predicted.out.count(genre) < 9] == []
    described = genrekit("info", cache)
    assert [f"{genre} 4" for genre in genres if f"{genre} 4" not in described.out] == []
    exists = genrekit("train", "--cache", cache, "--out", run)
    assert (exists.code, run in exists.err) == (1, True)
    for outcome in (prepared, trained, compared, evaluated, predicted, described, exists):
        assert unsafe(outcome.out + outcome.err) == set()


def test_a_closing_tag_in_a_genre_is_printed(genrekit: CommandLine, here: Path, song: Path) -> None:
    genres = ("[/b]", "Rock [demo]", "Rock [live]")
    rename_genres(here, *genres)
    for options in ([], ["--csv"], ["--json"]):
        outcome = genrekit("predict", song, *MODEL, *options)
        assert (outcome.code, [genre for genre in genres if genre not in outcome.out]) == (0, [])


def test_cells_that_a_spreadsheet_would_run_are_quoted(genrekit: CommandLine, here: Path, song: Path) -> None:
    rename_genres(here, *FORMULAS[:3])
    dangerous = song.rename("=cmd.wav")
    lines = list(csv.reader(genrekit("predict", dangerous, *MODEL, "--csv").out.splitlines()))
    assert lines[1][0] == "'=cmd.wav"
    assert sorted(lines[1][column] for column in (1, 4, 6)) == sorted(f"'{genre}" for genre in FORMULAS[:3])
    assert all(0 <= float(lines[1][column]) <= 1 for column in (2, 5, 7))


def test_a_manifest_with_quoted_cells_is_read_as_it_was_meant(genrekit: CommandLine, here: Path) -> None:
    for subset in ("train", "test"):
        write_collection(here / "c" / subset, {"=1+1": 2, "jazz": 2}, duration_s=0.6, sample_rate=8_000)
    assert genrekit("manifest", "folders", "c", "--out", "m.csv").code == 0
    assert {row["genre"] for row in csv.DictReader(Path("m.csv").read_text().splitlines())} == {"'=1+1", "jazz"}
    prepared = genrekit("prepare", "--manifest", "m.csv", "--out", "m.h5", *SMALL, "--workers", "1", "--json")
    assert prepared.json["tracks_per_genre"] == {"=1+1": 4, "jazz": 4}


@pytest.mark.parametrize("name", CONTROLS, ids=ascii)
def test_file_names_reach_no_terminal_raw(genrekit: CommandLine, here: Path, song: Path, name: str) -> None:
    path = Path(os.fsdecode(os.fsencode(f"{name}.wav") if name == "\udcff" else f"{name}.wav".encode()))
    song.rename(path)
    Path(f"{name}-broken.wav").write_bytes(b"RIFF no audio")
    for options in ([], ["--csv"], ["--json"]):
        outcome = genrekit("predict", path, f"{name}-broken.wav", *MODEL, *options)
        assert outcome.code == 1
        assert unsafe(outcome.out + outcome.err) == set()
        assert "broken.wav" in outcome.err
    assert name == "\udcff" or json.loads(outcome.out)["files"][0]["path"] == str(path)


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_every_command_escapes_the_names_in_its_errors(
    genrekit: CommandLine, here: Path, line: tuple[str, ...]
) -> None:
    if line == ("demo",):
        pytest.skip("it works in any folder")
    for name in (f"{TITLE}[/b]{CLEAR}", "a\x9b[live]\u202e", "\udcff[x]"):
        for arguments in ([name], [f"--{name}", "1"], ["--cache", name], ["--model", name], ["--out", f"{name}/x\0"]):
            outcome = genrekit(*line, *arguments)
            assert outcome.code in (0, 1, 2)
            assert unsafe(outcome.out + outcome.err) == set()


@pytest.mark.parametrize("genre", ["", " ", "a\x1b[2J", "\u202ea", "JAZZ", " rock"])
def test_a_bundle_or_cache_with_a_genre_that_is_no_name_is_refused(
    genrekit: CommandLine, here: Path, song: Path, genre: str
) -> None:
    rename_genres(here, genre, "jazz", "blues")
    outcome = genrekit("predict", song, *MODEL)
    assert outcome.code == 1
    assert "genre" in outcome.err
    assert unsafe(outcome.err) == set()
    with h5py.File("data/cache.h5", "r+") as file:
        file["tracks/genre"][0] = genre
    outcome = genrekit("info", "data/cache.h5")
    assert outcome.code == 1
    assert "genre" in outcome.err
    assert unsafe(outcome.err) == set()


@pytest.mark.parametrize("dataset", ["id", "artist"])
def test_a_cache_with_an_id_or_artist_that_cannot_be_printed_is_refused(
    genrekit: CommandLine, here: Path, dataset: str
) -> None:
    with h5py.File("data/cache.h5", "r+") as file:
        file[f"tracks/{dataset}"][0] = TITLE
    outcome = genrekit("info", "data/cache.h5")
    assert outcome.code == 1
    assert "characters that cannot be printed" in outcome.err
    assert unsafe(outcome.err) == set()


def test_an_artist_that_cannot_be_printed_is_refused_in_a_manifest(genrekit: CommandLine, here: Path) -> None:
    Path("m.csv").write_text(f"path,genre,artist\ndata/jazz/jazz-0.wav,jazz,{CLEAR}\n")
    outcome = genrekit("prepare", "--manifest", "m.csv", "--out", "m.h5")
    assert outcome.code == 1
    assert "line 2: the artist '\\x1b[2J\\x1b[H' has characters that cannot be printed" in outcome.err


def test_the_names_of_runs_reach_no_table_raw(genrekit: CommandLine, here: Path) -> None:
    for name in (f"{CLEAR}[live]", "a\u202e[demo]", "=1+1"):
        shutil.copytree("runs/mlp", f"runs/{name}")
    compared = genrekit("compare", "--csv", "ranking.csv", "--latex", "ranking.tex")
    assert unsafe(compared.out + compared.err) == set()
    assert unsafe(Path("ranking.csv").read_text() + Path("ranking.tex").read_text()) == set()
    name = f"runs/{CLEAR}[live]"
    evaluated = genrekit("evaluate", f"{name}/best", "--report", "report")
    assert (evaluated.code, unsafe(evaluated.out + evaluated.err)) == (0, set())
    for path in [Path("report"), *Path("report").rglob("*")]:
        if path.suffix in (".csv", ".md", ".html", ".svg"):
            assert unsafe(path.read_text()) == set(), path


def test_many_skipped_files_are_summarized(genrekit: CommandLine, here: Path) -> None:
    for number in range(50):
        (here / "data" / "jazz" / f"broken-{number}.wav").write_bytes(b"RIFF no audio")
    outcome = genrekit("prepare", "data", "--out", "new.h5", *SMALL, "--workers", "1", "--quiet")
    assert outcome.err.count("warning: skipped data") + outcome.err.count("warning: skipped jazz") == 20
    assert re.search(r"warning: skipped 30 more files: .+ \(30\); --json lists all", outcome.err)
    assert len(genrekit("prepare", "data", "--out", "new.h5", *SMALL, "--json").json["skipped"]) == 50
    assert "and 30 more" in " ".join(genrekit("info", "new.h5").out.split())
