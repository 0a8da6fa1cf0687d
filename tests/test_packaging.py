"""The wheel and the source archive: what is in them, and that an installed genrekit works without its checkout."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from tiny_cli import SMALL
from tiny_music import write_collection

from genrekit._version import __version__
from genrekit.studies.study_files import shipped_studies

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def build(target: str, source: Path, folder: Path) -> Path:
    """Build a wheel or a source archive into an empty folder."""
    if find_spec("hatchling") is None:
        pytest.skip("building needs hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, check=True, cwd=source, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive."""
    packed = build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(packed) as file:
        file.extractall(folder, filter="data")
    return folder / f"genrekit-{__version__}"


def content(wheel: Path) -> dict[str, bytes]:
    """The package's files and their bytes."""
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if name.startswith("genrekit/")}


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        return Parser().parsestr(file.read(f"genrekit-{__version__}.dist-info/METADATA").decode())


def package_in_git() -> set[str]:
    """Files below genrekit/ that git tracks, or would if they were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "genrekit"]
    try:
        listed = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return {name for name in listed if (ROOT / name).is_file()}


def test_the_wheel_holds_the_files_of_the_package_and_no_others(wheel: Path) -> None:
    expected = package_in_git()
    suffixes = {Path(name).suffix for name in expected}
    assert {".py", ".typed", ".toml", ".css", ".js", ".html", ".csv"} <= suffixes
    assert content(wheel).keys() == expected


def test_a_wheel_from_the_source_archive_is_the_same(wheel: Path, archive: Path, tmp_path: Path) -> None:
    assert content(build("wheel", archive, tmp_path)) == content(wheel)


def test_the_source_archive_holds_the_tests_but_not_the_results_of_the_studies(archive: Path) -> None:
    assert (archive / "tests" / "test_packaging.py").is_file()
    assert (archive / "tools").is_dir()
    assert (archive / "docs").is_dir()
    assert not (archive / "docs" / "results").exists()


def test_the_metadata_name_authors_links_and_every_supported_python(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Version"] == __version__
    assert found["Author"] == "The genrekit authors"
    links = dict(link.split(", ") for link in found.get_all("Project-URL", []))
    assert links.keys() == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert all(link.startswith("https://github.com/genrekit/genrekit") for link in links.values())
    supported = SpecifierSet(PROJECT["requires-python"])
    classifiers = found.get_all("Classifier", [])
    for version in (f"3.{minor}" for minor in range(30)):
        named = f"Programming Language :: Python :: {version}" in classifiers
        assert named == supported.contains(f"{version}.0"), version


class Installed:
    """The wheel in a folder of its own, used from another one."""

    def __init__(self, site: Path, folder: Path) -> None:
        self.site, self.folder = site, folder

    def run(self, *command: object) -> str:
        """Run a command that must succeed, where only the installed package can be imported; return its stdout."""
        environment = {**os.environ, "PYTHONPATH": str(self.site), "WANDB_MODE": "disabled"}
        done = subprocess.run(
            [*map(str, command)], check=False, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(sys.executable, "-m", "genrekit", *arguments, "--json"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    if find_spec("pip") is None:
        pytest.skip("installing needs pip")
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return Installed(site, tmp_path_factory.mktemp("elsewhere"))


@pytest.mark.slow
def test_the_installed_package_is_the_one_that_is_used(installed: Installed) -> None:
    where = installed.run(sys.executable, "-c", "import genrekit; print(genrekit.__file__)")
    assert Path(where.strip()) == installed.site / "genrekit" / "__init__.py"
    assert "prepare" in installed.run(sys.executable, "-m", "genrekit", "--help")
    assert installed.run(installed.site / "bin" / "genrekit", "--version") == f"genrekit {__version__}\n"


@pytest.mark.slow
def test_an_installed_genrekit_lists_the_studies_that_come_with_it(installed: Installed) -> None:
    listed = installed.run(sys.executable, "-m", "genrekit", "study", "list", "--all")
    assert all(name in listed for name in shipped_studies())


@pytest.mark.slow
def test_an_installed_genrekit_has_recipes_and_a_model(installed: Installed) -> None:
    assert "pretrained" in installed.run(sys.executable, "-m", "genrekit", "train", "--list-recipes")
    write_collection(installed.folder / "songs", {"jazz": 1}, duration_s=6, sample_rate=22_050)
    predicted = installed.json("predict", "songs")
    assert (Path(predicted["bundle"]).name, len(predicted["files"])) == ("shipped_model", 1)


@pytest.mark.slow
def test_an_installed_genrekit_prepares_trains_and_evaluates(installed: Installed) -> None:
    write_collection(
        installed.folder / "data", {"blues": 10, "jazz": 10, "metal": 10}, duration_s=1.1, sample_rate=8_000
    )
    assert installed.json("prepare", *SMALL, "--workers", "1")["tracks"] == 30
    trained = installed.json("train", "--arch", "mlp", "--hidden", "8,8", "--epochs", "1", "--device", "cpu")
    assert (installed.folder / trained["bundle"] / "model.safetensors").is_file()
    assert len(installed.json("evaluate", "best_models", "--report", "report.html")["models"]) == 1
    page = (installed.folder / "report.html").read_text(encoding="utf-8")
    for name in ("page.css", "evaluation_report.css", "evaluation_report.js"):
        assert (ROOT / "genrekit" / "reports" / name).read_text(encoding="utf-8").strip() in page
