"""What became of the claims of the studies in docs/results/: one table, for the README and the results' own page.

Usage: python tests/results_table.py

A study's report is put there by hand: the folder that `genrekit compare STUDY` writes, less report.html.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genrekit import markdown
from genrekit.evaluation import study_words as words

ROOT = Path(__file__).parents[1]

RESULTS = ROOT / "docs" / "results"

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


def main() -> None:
    """Write the table into the pages."""
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
