"""librosa loads where numba finds no directory for its cache, and if it cannot be loaded that is one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from broken_library import OLD_NUMBA, shadow, write_package

from genrekit.audio.librosa_import import load_librosa
from genrekit.audio.mel_descriptors import mel_statistics
from genrekit.config import FeatureConfig
from genrekit.errors import GenrekitError

CACHED_FUNCTION = """
import numba
exec(compile("def one():\\n    return 1\\n", "/proc/version", "exec"))
one = numba.njit(cache=True)(one)
"""
"""A compiled function whose source file is in a folder that nobody can write to."""

LOAD = """
import numba
from genrekit.audio.librosa_import import load_librosa
assert load_librosa().one() == 1
assert numba.config.CACHE_DIR == ""
"""

DESCRIBE = """
import numpy as np
from genrekit.audio.mel_descriptors import mel_statistics
from genrekit.config import FeatureConfig
assert np.isfinite(mel_statistics(np.ones((1, 128, 20), np.float32), FeatureConfig())).all()
"""


@pytest.fixture(autouse=True)
def not_loaded() -> Iterator[None]:
    load_librosa.cache_clear()
    yield
    load_librosa.cache_clear()


def without_cache_folders(temporary: Path, *first: Path) -> dict[str, str]:
    """An environment in which the user's cache directory cannot be made, and with folders to import from first."""
    removed = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    path = os.pathsep.join([*map(str, first), kept.get("PYTHONPATH", "")])
    return {**kept, "HOME": "/proc/nonexistent", "TMPDIR": str(temporary), "PYTHONPATH": path}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is what not even root can write to")
def test_librosa_loads_where_numba_has_no_directory_for_its_cache(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "packages", "librosa", CACHED_FUNCTION)
    for name in ("feature", "onset"):
        (folder / "librosa" / f"{name}.py").touch()
    (tmp_path / "tmp").mkdir()
    environment = without_cache_folders(tmp_path / "tmp", folder)
    alone = subprocess.run(
        [sys.executable, "-c", "import librosa"], check=False, capture_output=True, text=True, env=environment
    )
    assert "no locator available" in alone.stderr
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is what not even root can write to")
def test_descriptors_are_computed_without_a_home(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE],
        check=False,
        capture_output=True,
        text=True,
        env=without_cache_folders(tmp_path),
    )
    assert done.returncode == 0, done.stderr


def test_a_librosa_that_cannot_be_loaded_is_named_with_what_it_must_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow(monkeypatch, tmp_path, "librosa", OLD_NUMBA)
    with pytest.raises(GenrekitError) as caught:
        mel_statistics(np.ones((1, 128, 20), np.float32), FeatureConfig())
    what, fix = str(caught.value).split(": pip install --upgrade ")
    assert what == (
        f"librosa {version('librosa')} cannot be loaded with numba {version('numba')} and numpy {version('numpy')} "
        "(Numba needs NumPy 2.2 or less. Got NumPy 2.4)"
    )
    assert "numba" in fix
    assert "librosa" in fix


def test_a_librosa_that_is_not_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(GenrekitError, match=r"^librosa is not installed: pip install --upgrade "):
        load_librosa()


def test_a_missing_progress_bar_of_notebooks_is_not_reported(tmp_path: Path) -> None:
    folder = write_package(tmp_path, "librosa", "import warnings; warnings.warn('IProgress not found. Please update')")
    for name in ("feature", "onset"):
        (folder / "librosa" / f"{name}.py").touch()
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    script = "from genrekit.audio.librosa_import import load_librosa; load_librosa()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
