"""Paths that cannot be read or written: one line with the path and what to do, and exit code 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from permissions import closed
from tiny_cli import RATES, SMALL, CommandLine

MLP = ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1")

READ_ONLY, CLOSED = 0o555, 0o000


@pytest.fixture
def place(here: Path) -> Path:
    """A copy of the workspace with an empty folder, a study, a manifest and an unfinished run."""
    (here / "empty").mkdir()
    (here / "reports").mkdir()
    (here / "rates.toml").write_text(RATES, encoding="utf-8")
    (here / ".env").touch()
    tracks = sorted((here / "data").rglob("*.wav"))
    rows = [f"{track.relative_to(here).as_posix()},{track.parent.name}" for track in tracks]
    (here / "tracks.csv").write_text("\n".join(["path,genre", *rows]), encoding="utf-8")
    (here / "runs" / "half").mkdir()
    (here / "runs" / "half" / "config.json").write_bytes((here / "runs" / "mlp" / "config.json").read_bytes())
    return here


NEW = ("prepare", *SMALL, "--workers", "1", "--out", "new/cache.h5")


@pytest.mark.parametrize(
    ("path", "mode", "arguments", "named"),
    [
        pytest.param("data", READ_ONLY, ("prepare", *SMALL, "--overwrite", "--n-mels", "8"), "data/cache.h5", id="out"),
        pytest.param(".", READ_ONLY, NEW, "new/cache.h5", id="new out"),
        pytest.param("data", CLOSED, NEW, "cannot list data", id="collection"),
        pytest.param("tracks.csv", CLOSED, (*NEW, "--manifest", "tracks.csv"), "tracks.csv", id="manifest"),
        pytest.param("data/cache.h5", CLOSED, ("prepare", *SMALL), "cannot read data/cache.h5", id="old cache"),
        pytest.param("data/cache.h5", CLOSED, MLP, "cannot read data/cache.h5", id="train, cache"),
        pytest.param("data", CLOSED, MLP, "data/cache.h5", id="train, folder of the cache"),
        pytest.param("data/cache.splits/track-0.json", CLOSED, MLP, "track-0.json", id="closed split"),
        pytest.param("runs", READ_ONLY, MLP, "cannot use runs/", id="runs"),
        pytest.param(".", READ_ONLY, (*MLP, "--out", "new/run"), "new/run", id="current folder"),
        pytest.param("empty", READ_ONLY, (*MLP, "--out", "empty"), "cannot use empty", id="run"),
        pytest.param("best_models", READ_ONLY, MLP, "cannot write best_models", id="best models"),
        pytest.param(
            "empty", READ_ONLY, (*MLP, "--best-models", "empty/best"), "cannot write empty/best", id="new best models"
        ),
        pytest.param("rates.toml", CLOSED, ("train", "--config", "rates.toml"), "cannot read rates.toml", id="config"),
        pytest.param(".env", CLOSED, MLP, "cannot read .env", id="env file"),
        pytest.param("runs/half", READ_ONLY, ("train", "--resume", "--out", "runs/half"), "runs/half", id="resume"),
        pytest.param(
            "runs/half/config.json", CLOSED, ("train", "--resume", "--out", "runs/half"), "config.json", id="closed run"
        ),
        pytest.param("runs", CLOSED, ("compare",), "cannot use runs", id="compare, runs"),
        pytest.param("reports", READ_ONLY, ("study", "run", "rates.toml"), "reports/rates", id="study, reports"),
        pytest.param("runs", READ_ONLY, ("study", "run", "rates.toml"), "cannot write runs", id="study, runs"),
        pytest.param("best_models", READ_ONLY, ("study", "run", "rates.toml"), "best_models", id="study, best models"),
        pytest.param("rates.toml", CLOSED, ("study", "run", "rates.toml"), "cannot read rates.toml", id="study"),
        pytest.param("data", CLOSED, ("study", "list"), "data/cache.h5", id="list of studies"),
        pytest.param("best_models", CLOSED, ("evaluate", "best_models"), "best_models", id="evaluate, models"),
        pytest.param("data/cache.h5", CLOSED, ("evaluate", "best_models"), "data/cache.h5", id="evaluate, cache"),
        pytest.param(
            "empty", READ_ONLY, ("evaluate", "best_models", "--report", "empty/r.html"), "empty/r.html", id="report"
        ),
        pytest.param("empty", READ_ONLY, ("evaluate", "best_models", "--out", "empty/n"), "empty/n", id="tables"),
        pytest.param("best_models", CLOSED, ("predict", "data/jazz/jazz-0.wav"), "best_models", id="predict, models"),
        pytest.param("data/jazz/jazz-0.wav", CLOSED, ("predict", "data/jazz/jazz-0.wav"), "jazz-0.wav", id="file"),
        pytest.param("data/jazz", CLOSED, ("predict", "data/jazz"), "cannot list data/jazz", id="folder of files"),
        pytest.param(
            "empty",
            READ_ONLY,
            ("predict", "data/jazz/jazz-0.wav", "--write-tags", "--tags-out", "empty/tagged"),
            "cannot write empty/tagged",
            id="tags",
        ),
        pytest.param("runs/cel/best", CLOSED, ("export", "runs/cel/best"), "runs/cel/best", id="export, bundle"),
        pytest.param("data/cache.h5", CLOSED, ("info", "data/cache.h5"), "data/cache.h5", id="info, cache"),
        pytest.param("runs/cel", CLOSED, ("info", "runs/cel"), "runs/cel", id="info, run"),
        pytest.param("runs", CLOSED, ("info", "runs/cel/best"), "runs/cel/best", id="info, bundle"),
        pytest.param("empty", READ_ONLY, ("info", "data/cache.h5", "--plot", "empty/p"), "empty/p", id="plots"),
        pytest.param(".", READ_ONLY, ("demo",), "genrekit-demo", id="demo"),
        pytest.param("empty", READ_ONLY, ("demo", "empty"), "empty/demo.json", id="demo, folder"),
        pytest.param("empty", CLOSED, ("demo", "empty"), "empty", id="demo, closed folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_one_line(
    place: Path, genrekit: CommandLine, path: str, mode: int, arguments: tuple[str, ...], named: str
) -> None:
    with closed(place / path, mode):
        outcome = genrekit(*arguments, "--quiet")
    lines = [line for line in outcome.err.splitlines() if not line.startswith("warning: skipped data/jazz")]
    assert (outcome.code, outcome.out, len(lines)) == (1, "", 1)
    assert named in lines[0]
    assert "Permission denied" in lines[0]
    assert "check its permissions" in lines[0] or "data/jazz/jazz-0.wav" in lines[0]
    assert ".tmp" not in lines[0]


@pytest.mark.parametrize(
    ("path", "arguments", "warned"),
    [
        pytest.param("data/blues", ("prepare", *SMALL, "--workers", "1", "--out", "new.h5"), "blues", id="genre"),
        pytest.param("data/blues/blues-0.wav", (*NEW,), "blues/blues-0.wav", id="track"),
        pytest.param("runs/mlp", ("compare",), "runs/mlp", id="run"),
        pytest.param("data/jazz/jazz-0.wav", ("predict", "data/jazz"), "data/jazz/jazz-0.wav", id="file"),
        pytest.param("data/blues", ("evaluate", "best_models", "--data", "data"), "blues", id="labelled genre"),
    ],
)
def test_one_unreadable_path_of_several_is_a_warning(
    place: Path, genrekit: CommandLine, path: str, arguments: tuple[str, ...], warned: str
) -> None:
    with closed(place / path, CLOSED):
        outcome = genrekit(*arguments, "--quiet")
    warnings = [line for line in outcome.err.splitlines() if "Permission denied" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: skipped {warned}: ")
    assert outcome.out
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", [("evaluate", "best_models"), ("predict", "data/jazz/jazz-0.wav")], ids=" ".join)
def test_a_model_that_cannot_be_read_is_left_out(place: Path, genrekit: CommandLine, command: tuple[str, ...]) -> None:
    first = sorted((place / "best_models").glob("[a-z]*"))[0]
    with closed(first, CLOSED):
        outcome = genrekit(*command, "--quiet")
    assert outcome.code == 0
    assert f"cannot read best_models/{first.name}: Permission denied" in outcome.err


@pytest.mark.parametrize("command", ["prepare", "train", "compare", "demo"])
def test_a_current_directory_that_was_removed_is_one_line(
    tmp_path: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = genrekit(command)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "genrekit: the current directory no longer exists: change to another one\n"


def test_an_unreadable_model_does_not_prevent_others_from_being_kept(place: Path, genrekit: CommandLine) -> None:
    first = sorted((place / "best_models").glob("[a-z]*"))[0]
    with closed(first, CLOSED):
        assert genrekit(*MLP, "--quiet", "--json").json["kept"]


def test_unwritable_best_models_are_an_error_before_training(place: Path, genrekit: CommandLine) -> None:
    with closed(place / "best_models", READ_ONLY):
        genrekit(*MLP, "--out", "runs/new")
    assert not Path("runs/new").exists()


def test_a_report_that_cannot_be_written_counts_no_evaluation(place: Path, genrekit: CommandLine) -> None:
    with closed(place / "empty", READ_ONLY):
        genrekit("evaluate", "best_models", "--report", "empty/report.html")
    assert not Path("data/cache.splits/readings.json").exists()


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        *(
            pytest.param(module, "export", ("export", "runs/cel/best"), id=module)
            for module in ("onnx", "onnxscript", "onnxruntime")
        ),
        pytest.param("mutagen", "tags", ("predict", "data/jazz", "--write-tags", "--in-place"), id="mutagen"),
        pytest.param("optuna", "search", ("search", "search.toml"), id="optuna"),
    ],
)
def test_a_missing_extra_is_one_line(
    place: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, module: str, extra: str, arguments: Any
) -> None:
    (place / "search.toml").write_text(
        'title = "T"\nquestion = "Q?"\ntrials = 1\nbase = { arch = "mlp" }\n[space.lr]\nlow = 0.1\nhigh = 0.2\n'
    )
    monkeypatch.setitem(sys.modules, module, None)
    outcome = genrekit(*arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert f"needs {module}, which is not installed: pip install 'genrekit[{extra}]'" in outcome.err


@contextmanager
def read_only_cache(place: Path) -> Iterator[None]:
    with closed(place / "data", READ_ONLY), closed(place / "data" / "cache.splits", READ_ONLY):
        yield


def test_a_cache_in_a_read_only_folder_can_be_used(place: Path, genrekit: CommandLine) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    commands = (
        (*MLP, "--split-seed", "7", "--input", "waveform", "--altered-tempo", "1.1", "--no-random-start"),
        ("train", "--arch", "lda", "--split-seed", "7"),
        ("evaluate", "runs/cel/best"),
    )
    with read_only_cache(place):
        outcomes = [genrekit(*command) for command in commands]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0], outcomes
    (splits,) = Path().glob("cache-*.splits")
    split = splits / "track-7.json"
    assert f"the folder of data/cache.h5 is read-only, so the split is stored in {split}" in outcomes[0].err
    assert f"is read-only, so the evaluation is counted in {splits}" in outcomes[2].err
    assert sorted(path.suffix for path in Path().glob("cache-*")) == [".altered", ".npz", ".splits"]
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == before
    stored = split.read_bytes()
    with read_only_cache(place):
        assert genrekit(*MLP, "--split-seed", "7").code == 0
        assert genrekit("info", "data/cache.h5", "--json").json["facts"]
    assert split.read_bytes() == stored
    assert not Path("data/cache.splits/track-7.json").exists()


def test_if_no_folder_can_be_written_the_split_is_one_error(place: Path, genrekit: CommandLine) -> None:
    with read_only_cache(place), closed(place, READ_ONLY):
        outcome = genrekit(*MLP, "--split-seed", "7", "--out", "runs/new")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "Permission denied" in outcome.err
    assert "track-7.json" in outcome.err


def test_a_stored_split_in_a_read_only_folder_is_read_from_there(place: Path, genrekit: CommandLine) -> None:
    with read_only_cache(place):
        outcome = genrekit(*MLP)
    assert outcome.code == 0
    assert "read-only" not in outcome.err
    assert not list(Path().glob("cache-*"))
