"""Settings for all tests, made before any library reads them, and the folder that the tests of commands work in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# pytest-xdist runs one process per core, so each process computes with one thread.
for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Typer would style help texts, and so split options with escape codes, if FORCE_COLOR or GITHUB_ACTIONS is set.
os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"

# pytest-xdist passes on the width of its terminal; tests that need a width set one.
os.environ.pop("COLUMNS", None)

os.environ["WANDB_MODE"] = "disabled"

import pytest
from matplotlib.figure import Figure
from tiny_cache import AUGMENTED, build
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

from genrekit.cli.app import run
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.reports.plots import save_figure


@pytest.fixture(autouse=True)
def _restored_environment() -> Iterator[None]:
    """Undo what the command line changes in the environment of its process, which here is that of all tests."""
    os.environ.pop("PYTHONSAFEPATH", None)  # set while a fixture of more than one test ran a command
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def genrekit(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def no_other_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither PyAV nor ffmpeg were installed."""
    for name in ("_load_av", "_ffmpeg", "_ffmpeg_version"):
        monkeypatch.setattr(f"genrekit.audio.fallback_decoders.{name}", lambda: None)


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all figures of a study's report were empty. Saving them takes most of the time of a small study."""
    monkeypatch.setattr(
        "genrekit.studies.report.save_figure",
        lambda _, folder, name: save_figure(Figure(figsize=(0.1, 0.1)), folder, name),
    )


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with two tracks of each of two genres."""
    return write_collection(tmp_path / "music", {"blues": 2, "rock": 2}, duration_s=1.1, sample_rate=8_000)


@pytest.fixture
def cache(tmp_path: Path, music: Path) -> Cache:
    """The cache of `music`, with variants."""
    build(music, tmp_path / "cache.h5", AUGMENTED)
    return open_cache(tmp_path / "cache.h5")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ (10 tracks of each of three genres), data/cache.h5, runs/ and best_models/."""
    root = tmp_path_factory.mktemp("workspace")
    write_collection(root / "data", {"blues": 10, "jazz": 10, "metal": 10}, duration_s=1.1, sample_rate=8_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert run(["prepare", *SMALL, "--augment", "--workers", "1", "--quiet"]) == 0
        for arch, options in {"mlp": ("--hidden", "16,8"), "cel": ("--channels", "4,8")}.items():
            common = ("--epochs", "2", "--out", f"runs/{arch}", "--quiet")
            assert run(["train", "--arch", arch, *options, *common]) == 0
    return root


@pytest.fixture
def here(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a copy of the workspace."""
    copy = tmp_path / "here"
    shutil.copytree(workspace, copy)
    monkeypatch.chdir(copy)
    return copy
