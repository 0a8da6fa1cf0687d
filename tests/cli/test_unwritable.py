"""Places that cannot be read or written: one line that names the path and says what to do, and exit code 1."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from permissions import closed
from tiny_cli import SMALL, CommandLine

from genrekit.cli import libraries
from genrekit.cli.libraries import FOLDERS, configure_libraries

MLP = ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1")

STUDY = """
title = "Rates"
question = "Which one?"
seeds = 1
base = { arch = "mlp", hidden = [4, 4], epochs = 1, split = "track" }
[axes.rate]
low = { lr = 0.001 }
high = { lr = 0.01 }
"""

READ_ONLY, CLOSED = 0o555, 0o000


@pytest.fixture
def place(here: Path) -> Path:
    """A copy of the workspace with an empty folder, a study, a manifest and an unfinished run."""
    (here / "empty").mkdir()
    (here / "reports").mkdir()
    (here / "rates.toml").write_text(STUDY, encoding="utf-8")
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
        pytest.param(
            "data/cache.splits", READ_ONLY, (*MLP, "--split-seed", "7"), "data/cache.splits/track-7.json", id="split"
        ),
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
        pytest.param("reports", READ_ONLY, ("compare", "rates.toml"), "reports/rates", id="study, reports"),
        pytest.param("runs", READ_ONLY, ("compare", "rates.toml"), "cannot write runs", id="study, runs"),
        pytest.param("best_models", READ_ONLY, ("compare", "rates.toml"), "best_models", id="study, best models"),
        pytest.param("rates.toml", CLOSED, ("compare", "rates.toml"), "cannot read rates.toml", id="study"),
        pytest.param("data", CLOSED, ("compare", "--list"), "data/cache.h5", id="list of studies"),
        pytest.param("best_models", CLOSED, ("evaluate", "best_models"), "best_models", id="evaluate, models"),
        pytest.param("data/cache.h5", CLOSED, ("evaluate", "best_models"), "data/cache.h5", id="evaluate, cache"),
        pytest.param("data/cache.splits", READ_ONLY, ("evaluate", "best_models"), "data/cache.splits", id="readings"),
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
def test_a_place_that_cannot_be_used_is_one_line(
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
def test_one_of_many_that_cannot_be_read_is_a_warning(
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


def test_a_model_that_cannot_be_read_keeps_no_other_from_being_kept(place: Path, genrekit: CommandLine) -> None:
    first = sorted((place / "best_models").glob("[a-z]*"))[0]
    with closed(first, CLOSED):
        assert genrekit(*MLP, "--quiet", "--json").json["kept"]


def test_unwritable_best_models_are_found_out_before_the_training(place: Path, genrekit: CommandLine) -> None:
    with closed(place / "best_models", READ_ONLY):
        genrekit(*MLP, "--out", "runs/new")
    assert not Path("runs/new").exists()


def test_a_report_that_cannot_be_written_costs_no_reading(place: Path, genrekit: CommandLine) -> None:
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
        pytest.param("optuna", "search", ("compare", "--search", "search.toml"), id="optuna"),
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


class TestLibraries:
    """Where libraries keep their caches."""

    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A temporary folder of the test's own, and a home that can be written."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home").mkdir()
        libraries._scratch_folder.cache_clear()
        yield folder
        libraries._scratch_folder.cache_clear()

    @staticmethod
    def changes(**environment: str) -> dict[str, str]:
        """What the command line changes in an environment."""
        changed = dict(environment)
        configure_libraries(changed)
        return {name: value for name, value in changed.items() if environment.get(name) != value}

    @pytest.fixture
    def no_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A home directory that nobody can make."""
        (tmp_path / "file").touch()
        monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))

    def test_with_a_home_that_can_be_written_only_telemetry_is_off(self) -> None:
        assert self.changes() == {"ORT_DISABLE_TELEMETRY": "1"}
        assert self.changes(ORT_DISABLE_TELEMETRY="0") == {}
        assert not any(Path.home().iterdir())

    @pytest.mark.usefixtures("no_home")
    def test_without_one_libraries_write_into_a_folder_of_the_user_alone(self, temporary: Path) -> None:
        changed = self.changes()
        assert changed.keys() == {*FOLDERS, "ORT_DISABLE_TELEMETRY"}
        (folder,) = temporary.iterdir()
        assert {Path(changed[name]).parent for name in FOLDERS} == {folder}
        assert folder.stat().st_mode & 0o077 == 0
        libraries._scratch_folder.cache_clear()
        assert self.changes() == changed  # the next command finds what this one has cached

    @pytest.mark.usefixtures("no_home")
    def test_a_folder_of_that_name_which_others_can_write_is_not_used(self, temporary: Path) -> None:
        taken = Path(self.changes()["MPLCONFIGDIR"]).parent
        taken.chmod(0o777)
        libraries._scratch_folder.cache_clear()
        assert Path(self.changes()["MPLCONFIGDIR"]).parent != taken

    def test_only_the_folder_that_cannot_be_written_is_moved(self) -> None:
        (Path.home() / ".cache").touch()
        assert self.changes().keys() - {"ORT_DISABLE_TELEMETRY"} == {
            "MPLCONFIGDIR",
            "NUMBA_CACHE_DIR",
            "WANDB_CACHE_DIR",
        }

    def test_folders_that_are_set_and_can_be_written_stay(self, tmp_path: Path) -> None:
        (Path.home() / ".cache").touch()
        (tmp_path / "file").touch()
        there, gone = str(tmp_path / "mine"), str(tmp_path / "file" / "numba")
        changed = self.changes(MPLCONFIGDIR=there, NUMBA_CACHE_DIR=gone)
        assert "MPLCONFIGDIR" not in changed
        assert changed["NUMBA_CACHE_DIR"] != gone
        assert "WANDB_CACHE_DIR" not in self.changes(XDG_CACHE_HOME=str(tmp_path / "caches"))

    def test_settings_of_wandb_in_a_home_that_cannot_be_written_are_still_read(self) -> None:
        settings = Path.home() / ".config" / "wandb" / "settings"
        settings.parent.mkdir(parents=True)
        settings.touch()
        with closed(settings.parent, READ_ONLY), closed(Path.home(), READ_ONLY):
            changed = self.changes()
        assert "WANDB_DATA_DIR" in changed
        assert "WANDB_CONFIG_DIR" not in changed

    @pytest.mark.usefixtures("no_home")
    def test_without_a_temporary_folder_nothing_changes(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
        assert self.changes() == {"ORT_DISABLE_TELEMETRY": "1"}

    def test_where_there_is_no_home_at_all_standard_folders_are_set_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object) -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", unknown)
        assert {*FOLDERS, "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} <= self.changes().keys()


@pytest.mark.slow
def test_without_a_home_commands_work_and_print_nothing_about_it(here: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "MPL", "XDG_"))}
    environment |= {"HOME": str(tmp_path / "file" / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (
        ("prepare", *SMALL, "--overwrite", "--workers", "2"),
        (*MLP, "--out", "runs/tracked", "--device", "cpu"),
        ("compare",),
        ("evaluate", "best_models", "--report", "report.html", "--out", "tables"),
        ("predict", "data/jazz/jazz-0.wav"),
        ("info", "data/cache.h5", "--plot", "plots"),
        ("export", "runs/mlp/best"),
    ):
        command = [sys.executable, "-m", "genrekit", *arguments, "--quiet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert list(Path("runs/tracked/wandb").glob("offline-run-*/*.wandb"))
