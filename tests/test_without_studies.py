"""The package without studies: only the commands for studies and searches are missing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_cli import SMALL
from tiny_music import write_collection

PACKAGE = Path(__file__).parents[1] / "genrekit"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package without studies, and with audio in data/."""
    folder = tmp_path_factory.mktemp("site")
    copy = folder / "genrekit"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(copy / "studies")
    for module in [*(copy / "cli").glob("study*.py"), *(copy / "cli").glob("search*.py")]:
        module.unlink()
    write_collection(folder / "data", {"blues": 10, "jazz": 10, "metal": 10}, duration_s=1.1, sample_rate=8_000)
    return folder


def run(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python where the copy is imported instead of the package."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=site, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_the_package_can_be_imported_and_only_names_of_studies_cannot(site: Path) -> None:
    script = "import genrekit; print(genrekit.__file__); genrekit.compare; genrekit.run_study"
    done = run(site, "-c", script)
    assert done.stdout.strip() == str(site / "genrekit" / "__init__.py")
    assert "ModuleNotFoundError: No module named 'genrekit.studies'" in done.stderr


@pytest.mark.slow
def test_the_help_page_lists_the_other_commands(site: Path) -> None:
    done = run(site, "-m", "genrekit", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = {line.strip("│ ").partition(" ")[0] for line in done.stdout.splitlines()}
    assert {"prepare", "train", "compare", "evaluate", "predict"} <= listed
    assert not {"study", "search"} & listed


@pytest.mark.slow
def test_a_study_is_an_unknown_command(site: Path) -> None:
    done = run(site, "-m", "genrekit", "study", "list")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown command 'study'" in done.stderr


@pytest.mark.slow
def test_music_is_prepared_trained_compared_evaluated_and_predicted(site: Path) -> None:
    outputs = []
    for arguments in (
        ("prepare", *SMALL, "--workers", "1"),
        ("train", "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--device", "cpu", "--out", "runs/mlp"),
        ("compare",),
        ("evaluate", "best_models"),
        ("predict", "data/jazz/jazz-0.wav"),
    ):
        done = run(site, "-m", "genrekit", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(done.stdout))
    prepared, _, compared, evaluated, predicted = outputs
    assert prepared["tracks"] == 30
    assert compared["ranking"] == ["mlp"]
    assert len(evaluated["models"]) == 1
    assert predicted["files"][0]["genre"] in ("blues", "jazz", "metal")
