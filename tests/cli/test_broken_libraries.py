"""If torchaudio or librosa cannot be loaded, only commands that need them fail, with an error of one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken_library import OLD_NUMBA, UNDEFINED_SYMBOL, shadow, write_package
from tiny_cli import SMALL, CommandLine

from genrekit.audio.librosa_import import load_librosa
from genrekit.models.torchaudio_import import load_torchaudio

COMMANDS = """
import sys
from genrekit.cli.app import run

for command in (
    "prepare data --out new.h5 --workers 1 --quiet {small}",
    "train --cache new.h5 --arch cel --channels 4,8 --epochs 1 --out runs/new --quiet",
    "evaluate runs/new/best --cache new.h5 --quiet",
    "predict data/jazz/jazz-0.wav --model runs/new/best --quiet",
):
    assert run(command.split()) == 0, command
assert not {{"torchaudio", "librosa", "numba"}} & set(sys.modules)
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import a torchaudio and a librosa that raise."""
    for load in (load_torchaudio, load_librosa):
        load.cache_clear()
    shadow(monkeypatch, tmp_path / "first", "torchaudio", UNDEFINED_SYMBOL)
    shadow(monkeypatch, tmp_path / "second", "librosa", OLD_NUMBA)
    yield
    for load in (load_torchaudio, load_librosa):
        load.cache_clear()


def test_networks_need_neither_torchaudio_nor_librosa(here: Path, tmp_path: Path) -> None:
    folders = [
        write_package(tmp_path / "first", "torchaudio", UNDEFINED_SYMBOL),
        write_package(tmp_path / "second", "librosa", OLD_NUMBA),
    ]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS.format(small=" ".join(SMALL))],
        check=False,
        capture_output=True,
        text=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("broken")
def test_masks_need_torchaudio_before_a_run_is_made(here: Path, genrekit: CommandLine) -> None:
    done = genrekit("train", "--arch", "cel", "--channels", "4,8", "--spec-time-mask", "3", "--out", "runs/masked")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("genrekit: torchaudio ")
    assert "undefined symbol: torch_exception_get_what): pip install --upgrade" in done.err
    assert done.err.count("\n") == 1
    assert not (here / "runs" / "masked").exists()


@pytest.mark.usefixtures("broken")
def test_exporting_needs_torchaudio(here: Path, genrekit: CommandLine) -> None:
    done = genrekit("export", "runs/cel/best", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("genrekit: torchaudio ")
    assert done.err.count("\n") == 1
    assert not list(here.rglob("*.onnx"))


@pytest.mark.usefixtures("broken")
def test_a_classical_model_needs_librosa(here: Path, genrekit: CommandLine) -> None:
    done = genrekit("train", "--arch", "lda", "--out", "runs/classical", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("genrekit: librosa ")
    assert "Numba needs NumPy 2.2 or less. Got NumPy 2.4): pip install --upgrade" in done.err
    assert done.err.count("\n") == 1
    assert not (here / "runs" / "classical" / "best").exists()
