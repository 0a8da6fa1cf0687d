"""On a Python that is too old, genrekit prints one line and no traceback."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import genrekit
from genrekit.cli.main import MIN_PYTHON, main, python_problem

PACKAGE = Path(genrekit.__file__).parent
REQUIRED = f"{MIN_PYTHON[0]}.{MIN_PYTHON[1]}"


def test_the_oldest_python_is_the_one_that_pyproject_names() -> None:
    content = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert content["project"]["requires-python"].startswith(f">={REQUIRED},")
    assert content["tool"]["mypy"]["python_version"] == REQUIRED


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2), (4, 0, 0)])
def test_newer_pythons_are_accepted(version: tuple[int, int, int]) -> None:
    assert python_problem(version) == ""


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13)])
def test_an_older_python_is_named_with_the_one_that_is_needed(version: tuple[int, int, int]) -> None:
    here = ".".join(map(str, version))
    assert python_problem(version) == f"genrekit needs Python {REQUIRED} or newer, this is {here}"


def test_the_entry_point_ends_with_that_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == python_problem((3, 10, 13))  # a text as the code: Python prints it on stderr, and exits 1


@pytest.mark.parametrize("name", ["__init__.py", "_version.py", "__main__.py", "cli/__init__.py", "cli/main.py"])
def test_modules_that_an_old_python_reads_are_in_its_grammar(name: str) -> None:
    source = (PACKAGE / name).read_text(encoding="utf-8")
    imported = [node for node in ast.parse(source, feature_version=(3, 6)).body if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in [node.module for node in imported]  # 3.6 has no annotations there


@pytest.mark.parametrize("version", ["3.8", "3.10"])
def test_an_old_python_prints_one_line(version: str, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}")
    version_command = [python or "", "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]
    answer = subprocess.run(version_command, capture_output=True, text=True, check=False) if python else None
    if answer is None or not answer.stdout.startswith(version):
        pytest.skip(f"there is no python{version} here")
    command = [version_command[0], "-m", "genrekit", "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE.parent)}
    )
    line = f"genrekit needs Python {REQUIRED} or newer, this is {answer.stdout.strip()}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
