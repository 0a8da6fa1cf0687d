"""The studies' results that are committed, and what the README says of them."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from readme_output import README
from results_table import PAGES, RECORD, RECORDS, RESULTS, keep, renewed, runs_of, studies, table

from genrekit.cli.app import run
from genrekit.errors import UsageError
from genrekit.studies.schema import open_study, shipped_studies

NAMES = sorted(path.parent.name for path in RESULTS.glob("*/result.json"))

MUSIC = Path(__file__).parents[2] / "shared" / "data" / "gtzan-resynth"
"""The music of the results, where it lies beside the checkout."""

TEXT = {name: (RESULTS / name / "report.md").read_text(encoding="utf-8") for name in NAMES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_pages_say_what_the_results_say(page: Path) -> None:
    assert renewed(page) == page.read_text(encoding="utf-8"), "nox -s results writes the table anew"


def test_a_study_without_claims_is_named_too() -> None:
    for study in studies():
        rows = table(README).count(f"[{study['study']}](")
        assert rows == 1


def test_every_result_is_of_a_study_that_comes_with_genrekit_and_claims_what_its_file_claims() -> None:
    assert NAMES
    assert set(NAMES) <= set(shipped_studies())
    for study in studies():
        claims = [claim.text for claim in open_study(study["study"]).claims]
        assert [finding["claim"] for finding in study["findings"]] == claims


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_its_pictures_its_command_and_one_file_an_experiment(name: str) -> None:
    for picture in re.findall(r"!\[[^\]]*\]\(<([^>]+)>\)", TEXT[name]):
        assert (RESULTS / name / picture).read_bytes().startswith(b"\x89PNG")
    assert re.search(rf"^genrekit compare {name} ", TEXT[name], re.MULTILINE)
    runs = json.loads((RESULTS / name / "result.json").read_text(encoding="utf-8"))["runs"]
    experiments = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob(f"{name}/experiments/*.json")]
    there = {(item["arm"], item["seed"]) for item in experiments}
    shown = {(run["name"], seed) for run in runs for seed in run["seeds"]}
    assert shown <= there
    assert shown == there or open_study(name).best  # which shows the best of all alone


def test_results_name_no_place_of_the_machine_they_were_made_on() -> None:
    for path in (*RESULTS.rglob("*.json"), *RESULTS.rglob("*.md")):
        assert not re.search(r"[\"' (]/\w", path.read_text(encoding="utf-8")), path


def test_the_readme_leads_to_the_results() -> None:
    assert "(docs/results/README.md)" in README.read_text(encoding="utf-8")


def test_a_record_of_a_run_is_whole_and_belongs_to_a_study() -> None:
    named = {run for name in NAMES for run in runs_of(RESULTS / name)}
    assert {f"runs/{path.name}" for path in RECORDS.iterdir()} == named
    for record in named:
        assert sorted(path.name for path in (RESULTS / record).iterdir()) == sorted(RECORD)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with caches of the music, and the records as its runs."""
    if not MUSIC.is_dir():
        pytest.skip(f"no music in {MUSIC}")
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(RECORDS, folder / "runs")
    for fragments in ("first", "all"):
        assert run(["prepare", str(MUSIC), "--fragments", fragments, "--out", str(folder / f"{fragments}.h5")]) == 0
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_records_of_its_runs_give_a_study_its_figures_and_verdicts_again(
    name: str, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that the report names, where it may train nothing."""
    monkeypatch.chdir(workshop)
    then = json.loads((RESULTS / name / "result.json").read_text(encoding="utf-8"))
    monkeypatch.setattr("sys.argv", [*shlex.split(then["head"]["command"]), "--report-only"])
    assert run(sys.argv[1:]) == 0
    assert_close(json.loads(Path("reports", name, "result.json").read_text(encoding="utf-8")), then)


def assert_close(found: Any, expected: Any) -> None:
    """Equal but for the last digits of figures, which another processor may round otherwise."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    elif isinstance(expected, (list, dict)):
        assert len(found) == len(expected)
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            assert_close(found[key], expected[key])
    else:
        assert found == expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where two studies were run, that share a run."""
    for study, runs in {"mlp": ["a", "b"], "cnn": ["b", "c"]}.items():
        report = tmp_path / "reports" / study
        (report / "experiments").mkdir(parents=True)
        for name in ("report.md", "report.html", "result.json"):
            (report / name).write_text(study, encoding="utf-8")
        for name in runs:
            (report / "experiments" / f"{name}.json").write_text(json.dumps({"run": f"runs/{name}"}), encoding="utf-8")
            (tmp_path / "runs" / name / "best").mkdir(parents=True, exist_ok=True)
            for file in (*RECORD, "last.safetensors", "best/model.safetensors"):
                (tmp_path / "runs" / name / file).write_text(name, encoding="utf-8")
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_report_is_taken_over_with_the_records_of_its_runs(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    keep(folder, "cnn", results)
    reports = {f"{study}/{name}" for study in ("mlp", "cnn") for name in ("report.md", "result.json")}
    reports |= {
        f"{study}/experiments/{run}.json" for study, run in zip(("mlp", "mlp", "cnn", "cnn"), "abbc", strict=True)
    }
    assert files(results) == reports | {f"runs/{run}/{name}" for run in "abc" for name in RECORD}
    (folder / "reports" / "mlp" / "experiments" / "a.json").unlink()
    keep(folder, "mlp", results)
    assert sorted(path.name for path in (results / "runs").iterdir()) == ["b", "c"]


def test_what_cannot_be_taken_over_leaves_the_results_alone(folder: Path) -> None:
    results = folder / "results"
    keep(folder, "mlp", results)
    before = files(results)
    (folder / "runs" / "b" / "answers.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"answers\.safetensors: run the study in"):
        keep(folder, "mlp", results)
    with pytest.raises(FileNotFoundError, match=r"result\.json: run the study in"):
        keep(folder / "elsewhere", "mlp", results)
    with pytest.raises(UsageError, match="study"):
        keep(folder, ".", results)
    assert files(results) == before
