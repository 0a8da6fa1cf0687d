"""What became of the claims of the studies in docs/results/: one table, for the README and the results' own page.

Usage: python tools/results_table.py [FOLDER STUDY ...]

With a folder in which `genrekit compare STUDY` was run, the reports of those studies are put there first, and beside
them what their runs wrote, less the weights: from these records every figure and verdict can be computed again.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from genrekit import markdown
from genrekit.errors import unknown_name
from genrekit.evaluation import study_words as words
from genrekit.records import Finding
from genrekit.studies.schema import shipped_studies

ROOT = Path(__file__).parents[1]

RESULTS = ROOT / "docs" / "results"

RECORDS = RESULTS / "runs"
"""One folder for each run, which studies may share."""

RECORD = ("config.json", "result.json", "history.csv", "answers.safetensors")

PAGES = (ROOT / "README.md", RESULTS / "README.md")

START, END = "<!-- findings -->\n", "<!-- end of findings -->\n"


def studies() -> list[dict[str, Any]]:
    """The results there are, those with the most tested claims first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*/result.json")]
    return sorted(found, key=lambda study: (-len(tested(study)), study["study"]))


def tested(study: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of a study that met a verdict."""
    return [finding for finding in study["findings"] if finding["verdict"] != "not tested"]


def table(page: Path) -> str:
    """Every claim with its verdict, effect and p, as Markdown for a page."""
    rows = []
    for study in studies():
        report = (RESULTS / study["study"] / "report.md").relative_to(page.parent)
        if not study["findings"]:
            rows.append((f"[{study['study']}]({report})", "makes no claim", *[markdown.plain(words.NONE)] * 3))
        for place, finding in enumerate(study["findings"]):
            figures = words.effect(as_finding(finding))
            note = f" ({finding['note']})" if finding["note"] else ""
            rows.append(
                (
                    f"[{study['study']}]({report})" if place == 0 else "",
                    markdown.plain(finding["claim"]),
                    markdown.plain(words.verdict(finding["verdict"]) + note),
                    markdown.plain(figures),
                    markdown.plain(words.p_value(finding["p"])),
                )
            )
    lines = [("study", "claim", "verdict", "effect (95 % interval)", "p"), ("---",) * 5, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_finding(values: dict[str, Any]) -> Finding:
    """A finding as it was before it was written, without its other readings."""
    return Finding(**{**values, "readings": ()})


def renewed(page: Path) -> str:
    """A page with the table as it should be."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    return before + START + table(page) + END + after


def keep(folder: Path, study: str, results: Path = RESULTS) -> None:
    """Put a study's report, and the records of its runs, among the results; away with records that no study names.

    Nothing is changed where it cannot be done.
    Errors: UsageError for no study of genrekit's, FileNotFoundError where a file is missing.
    """
    if study not in shipped_studies():
        raise unknown_name("study", study, shipped_studies())
    report = folder / "reports" / study
    runs = runs_of(report)
    for path in (report / "result.json", *(folder / run / name for run in runs for name in RECORD)):
        if not path.is_file():
            raise FileNotFoundError(f"no {path}: run the study in {folder} first")
    shutil.rmtree(results / study, ignore_errors=True)
    shutil.copytree(report, results / study, ignore=shutil.ignore_patterns("report.html", ".*"))
    for run in runs:
        (results / run).mkdir(parents=True, exist_ok=True)
        for name in RECORD:
            shutil.copyfile(folder / run / name, results / run / name)
    named = {run for path in results.glob("*/result.json") for run in runs_of(path.parent)}
    for record in (results / "runs").iterdir():
        if f"runs/{record.name}" not in named:
            shutil.rmtree(record)


def runs_of(report: Path) -> list[str]:
    """The runs that the study of a report was judged by, as "runs/NAME"."""
    experiments = [json.loads(path.read_text(encoding="utf-8")) for path in report.glob("experiments/*.json")]
    return sorted({experiment["run"] for experiment in experiments})


def main() -> None:
    """Take over the studies that are named, and write the table into the pages."""
    folder, *names = sys.argv[1:] or ["."]
    if sys.argv[1:] and not names:
        sys.exit("name the studies to take over, after the folder in which they were run")
    for study in names:
        keep(Path(folder), study)
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
