"""The studies' results that are committed, and what the README says of them."""

import json
import re
from pathlib import Path

import pytest
from readme_output import README
from results_table import PAGES, RESULTS, renewed, studies, table

from genrekit.studies.schema import open_study, shipped_studies

NAMES = sorted(path.parent.name for path in RESULTS.glob("*/result.json"))

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
    assert {(item["arm"], item["seed"]) for item in experiments} == {
        (run["name"], seed) for run in runs for seed in run["seeds"]
    }


def test_results_name_no_place_of_the_machine_they_were_made_on() -> None:
    for path in (*RESULTS.rglob("*.json"), *RESULTS.rglob("*.md")):
        assert not re.search(r"[\"' (]/\w", path.read_text(encoding="utf-8")), path


def test_the_readme_leads_to_the_results() -> None:
    assert "(docs/results/README.md)" in README.read_text(encoding="utf-8")
