"""Where libraries keep their caches and settings if the home directory cannot be written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from permissions import closed
from tiny_cli import SMALL

from genrekit.cli import libraries
from genrekit.cli.libraries import FOLDERS, configure_libraries


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own, and a home that can be written."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    libraries._scratch_folder.cache_clear()
    yield folder
    libraries._scratch_folder.cache_clear()


def changes(**environment: str) -> dict[str, str]:
    """What the command line changes in an environment."""
    changed = dict(environment)
    configure_libraries(changed)
    return {name: value for name, value in changed.items() if environment.get(name) != value}


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory that cannot be created."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))


QUIET = {"ORT_DISABLE_TELEMETRY": "1", "DASK_LOGGING__DISTRIBUTED": "critical", "WANDB_DISABLE_GIT": "true"}
"""What is always set, unless the user has set it."""


def test_with_a_home_that_can_be_written_only_telemetry_logs_and_git_are_off() -> None:
    assert changes() == QUIET
    assert changes(ORT_DISABLE_TELEMETRY="0", DASK_LOGGING__DISTRIBUTED="info", WANDB_DISABLE_GIT="false") == {}
    assert not any(Path.home().iterdir())


@pytest.mark.usefixtures("no_home")
def test_without_a_writable_home_libraries_use_a_private_folder(temporary: Path) -> None:
    changed = changes()
    assert changed.keys() == {*FOLDERS, *QUIET}
    (folder,) = temporary.iterdir()
    assert {Path(changed[name]).parent for name in FOLDERS} == {folder}
    assert folder.stat().st_mode & 0o077 == 0
    libraries._scratch_folder.cache_clear()
    assert changes() == changed  # the next command finds what this one has cached


@pytest.mark.usefixtures("no_home")
def test_a_temporary_folder_that_others_can_write_is_not_used(temporary: Path) -> None:
    taken = Path(changes()["MPLCONFIGDIR"]).parent
    taken.chmod(0o777)
    libraries._scratch_folder.cache_clear()
    assert Path(changes()["MPLCONFIGDIR"]).parent != taken


def test_only_the_folder_that_cannot_be_written_is_moved() -> None:
    (Path.home() / ".cache").touch()
    assert changes().keys() - QUIET.keys() == {
        "MPLCONFIGDIR",
        "NUMBA_CACHE_DIR",
        "WANDB_CACHE_DIR",
    }


def test_folders_that_are_set_and_can_be_written_stay(tmp_path: Path) -> None:
    (Path.home() / ".cache").touch()
    (tmp_path / "file").touch()
    writable, unwritable = str(tmp_path / "mine"), str(tmp_path / "file" / "numba")
    changed = changes(MPLCONFIGDIR=writable, NUMBA_CACHE_DIR=unwritable)
    assert "MPLCONFIGDIR" not in changed
    assert changed["NUMBA_CACHE_DIR"] != unwritable
    assert "WANDB_CACHE_DIR" not in changes(XDG_CACHE_HOME=str(tmp_path / "caches"))


def test_settings_of_wandb_in_a_home_that_cannot_be_written_are_still_read() -> None:
    settings = Path.home() / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.touch()
    with closed(settings.parent, 0o555), closed(Path.home(), 0o555):
        changed = changes()
    assert "WANDB_DATA_DIR" in changed
    assert "WANDB_CONFIG_DIR" not in changed


@pytest.mark.usefixtures("no_home")
def test_without_a_temporary_folder_nothing_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    assert changes() == QUIET


def test_without_a_home_standard_folders_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert {*FOLDERS, "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} <= changes().keys()


@pytest.mark.slow
def test_without_a_home_commands_work_and_print_nothing_about_it(here: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "MPL", "XDG_"))}
    environment |= {"HOME": str(tmp_path / "file" / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (
        ("prepare", *SMALL, "--overwrite", "--workers", "2"),
        ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--out", "runs/tracked", "--device", "cpu"),
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
