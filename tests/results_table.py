"""What became of the claims of the studies in docs/results/: one table, for the README and the results' own page.

Usage: python tests/results_table.py [FOLDER STUDY ...]

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
from genrekit.evaluation import study_words as words

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
            figures = words.effect(finding["effect"], finding["low"], finding["high"], finding["statistic"])
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


def renewed(page: Path) -> str:
    """A page with the table as it should be."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    return before + START + table(page) + END + after


def keep(folder: Path, study: str) -> None:
    """Put a study's report, and the records of its runs, among the results."""
    shutil.rmtree(RESULTS / study, ignore_errors=True)
    shutil.copytree(folder / "reports" / study, RESULTS / study, ignore=shutil.ignore_patterns("report.html"))
    for run in runs_of(study):
        (RESULTS / run).mkdir(parents=True, exist_ok=True)
        for name in RECORD:
            shutil.copyfile(folder / run / name, RESULTS / run / name)


def runs_of(study: str) -> list[str]:
    """The runs that a study was judged by, as "runs/NAME"."""
    experiments = (RESULTS / study / "experiments").glob("*.json")
    return sorted({json.loads(path.read_text(encoding="utf-8"))["run"] for path in experiments})


def main() -> None:
    """Take over the studies that are named, and write the table into the pages."""
    folder, *names = sys.argv[1:] or ["."]
    for study in names:
        keep(Path(folder), study)
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
