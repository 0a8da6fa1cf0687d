"""The files that contributors and services read: workflows, templates, hooks and metadata."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import genrekit

ROOT = Path(__file__).parents[1]

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

YAML_FILES = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]

SESSION_FILES = [ROOT / ".github" / "workflows" / "ci.yml", ROOT / ".pre-commit-config.yaml", ROOT / "CONTRIBUTING.md"]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(workflow: Path) -> dict[str, Any]:
    by_name: dict[str, Any] = load(workflow)["jobs"]
    return by_name


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job["steps"]]


def supported_pythons() -> set[str]:
    allowed = SpecifierSet(PROJECT["requires-python"])
    return {version for version in (f"3.{minor}" for minor in range(100)) if version in allowed}


def nox_sessions() -> set[str]:
    """The names of the functions that noxfile.py decorates with nox.session."""
    sessions = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if ast.unparse(call.func if call else decorator) == "nox.session":
                names = [keyword.value for keyword in call.keywords if keyword.arg == "name"] if call else []
                sessions.add(ast.literal_eval(names[0]) if names else node.name)
    return sessions


def named_sessions(text: str) -> set[str]:
    """The sessions that a text runs with `nox -s`, or lists in the first column of a table."""
    runs = re.findall(r"\bnox -s ([\w ]+)", text)
    return {name for run in runs for name in run.split()} | set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_sessions_are_found_in_commands_and_in_tables() -> None:
    text = "`nox -s a_b`, then\n    nox -s c d -- -k e  # f\n\n| session | |\n|---|---|\n| `g` | Run `h`. |\n"
    assert named_sessions(text) == {"a_b", "c", "d", "g"}


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_yaml_files_are_mappings(path: Path) -> None:
    assert isinstance(load(path), dict)


@pytest.mark.parametrize("path", SESSION_FILES, ids=lambda path: path.name)
def test_named_nox_sessions_exist(path: Path) -> None:
    names = named_sessions(path.read_text(encoding="utf-8"))
    assert names
    assert names <= nox_sessions()


def test_ci_runs_the_tests_on_every_supported_python() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "ci.yml")["tests"]["strategy"]["matrix"]
    assert set(matrix["python-version"]) == supported_pythons()


def test_classifiers_name_every_supported_python() -> None:
    classifiers = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.M)
    assert set(classifiers) == supported_pythons()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_use_supported_pythons_only(workflow: Path) -> None:
    versions = {step["with"]["python-version"] for step in steps(workflow) if "python-version" in step.get("with", {})}
    assert versions
    assert versions <= supported_pythons() | {"${{ matrix.python-version }}"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_read_only_and_their_jobs_end(workflow: Path) -> None:
    assert load(workflow)["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] for job in jobs(workflow).values())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_major_version(workflow: Path) -> None:
    for step in steps(workflow):
        assert "run" in step or re.search(r"@(release/)?v\d+$", step["uses"]), step


@pytest.mark.parametrize(("tag", "code"), [("v1.2.3", 0), ("v1.2.4", 1), ("v1.2", 1)])
def test_a_tag_that_is_not_the_version_is_refused(tmp_path: Path, tag: str, code: int) -> None:
    (script,) = [
        step["run"]
        for step in steps(ROOT / ".github" / "workflows" / "release.yml")
        if "GITHUB_REF_NAME" in step.get("run", "")
    ]
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "genrekit-1.2.3-py3-none-any.whl").touch()
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        check=False,
        cwd=tmp_path,
        env={"GITHUB_REF_NAME": tag},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert done.stdout.startswith(f"::error::tag {tag} does not match") == bool(code)


def test_hooks_are_pinned_to_a_release() -> None:
    repositories = [entry for entry in load(ROOT / ".pre-commit-config.yaml")["repos"] if entry["repo"] != "local"]
    assert repositories
    for entry in repositories:
        assert re.fullmatch(r"v\d+(\.\d+)+", entry["rev"]), entry["repo"]


def test_the_citation_has_the_version_and_the_license_of_the_package() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert citation["version"] == genrekit.__version__
    own_license, _, others = PROJECT["license"].partition(" AND ")
    assert (citation["title"], citation["license"]) == (PROJECT["name"], own_license)
    assert others == "ISC"  # of the pretrained weights


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_linked_files_exist(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


@pytest.fixture(scope="module")
def banned() -> list[str]:
    """The words and phrases of the project's dictionary."""
    lines = (ROOT / "tools" / "plain-english.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition("->")[0] for line in lines]


def test_codespell_reads_every_phrase_of_the_dictionary_as_one_word(banned: list[str]) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["codespell"]
    assert [re.findall(settings["regex"], phrase) for phrase in banned] == [[phrase] for phrase in banned]


def test_codespell_finds_the_words_of_the_dictionary(banned: list[str], tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["codespell"]
    checked = [phrase for phrase in banned if phrase not in settings["ignore-words-list"].split(",")]
    (tmp_path / "text.md").write_text("\n".join(["A sentence without them.", *checked, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path / "text.md")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == [str(n) for n in range(2, len(checked) + 2)]
