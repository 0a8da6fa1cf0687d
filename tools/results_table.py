"""Maintain docs/results/: write the table of findings into docs/results/README.md, and add studies.

    python tools/results_table.py                       Write the table.
    python tools/results_table.py FOLDER STUDY ...      Copy studies that were run in FOLDER, then write the table.
    python tools/results_table.py --unpack FOLDER       Write runs/ and reports/ into FOLDER, to continue a study there.
    python tools/results_table.py --tracks CACHE        Write the list of tracks, from a cache with all fragments.

Of a study, the report, its charts, `result.json` and an archive of its runs are kept (see result_records.py). The
archives do not hold the weights. recompute_results.py computes every figure and verdict from them again.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from result_records import RUN_FILES, read_records, runs_of, unpack, write_records, write_tracks

from genrekit.data.cache.reader import open_cache
from genrekit.errors import GenrekitError, unknown_name
from genrekit.io import markdown
from genrekit.studies.findings import Finding
from genrekit.studies.formatting import NONE, effect, p_value
from genrekit.studies.study_files import shipped_studies
from genrekit.studies.verdict_text import verdict

ROOT = Path(__file__).parents[1]

RESULTS = ROOT / "docs" / "results"

REPORT_FILES = ("report.md", "result.json")

PAGES = (RESULTS / "README.md",)

START, END = "<!-- findings -->\n", "<!-- end of findings -->\n"


def studies() -> list[dict[str, Any]]:
    """Return the results, those with the most tested hypotheses first."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*/result.json")]
    return sorted(results, key=lambda study: (-len(tested(study)), study["study"]))


def tested(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of a study that are tested."""
    return [finding for finding in study["findings"] if finding["verdict"] != "not tested"]


def table(page: Path) -> str:
    """Return every hypothesis with its verdict, effect and p, as Markdown for a page."""
    rows = []
    for study in studies():
        report = (RESULTS / study["study"] / "report.md").relative_to(page.parent)
        if not study["findings"]:
            rows.append((f"[{study['study']}]({report})", "no hypotheses", *[markdown.plain(NONE)] * 3))
        for index, finding in enumerate(map(as_finding, study["findings"])):
            note = f" ({finding.note})" if finding.note else ""
            rows.append(
                (
                    f"[{study['study']}]({report})" if index == 0 else "",
                    markdown.plain(finding.hypothesis),
                    markdown.plain(verdict(finding) + note),
                    markdown.plain(effect(finding)),
                    markdown.plain(p_value(finding.p)),
                )
            )
    lines = [("study", "hypothesis", "verdict", "effect (95 % interval)", "p"), ("---",) * 5, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_finding(values: dict[str, Any]) -> Finding:
    """Return a finding in result.json as an object, without its judgements at other epochs."""
    fields = {name: value for name, value in values.items() if name not in ("claim", "readings")}
    return Finding(hypothesis=values["claim"], **fields)


def renewed(page: Path) -> str:
    """Return the text of a page with the current table."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    return before + START + table(page) + END + after


def keep(folder: Path, study: str, results: Path = RESULTS) -> None:
    """Copy a study that was run in a folder to the results: its report, charts and `result.json`, and its records.

    Nothing is changed if it cannot be copied.
    Errors: UsageError for an unknown study, FileNotFoundError for a missing file, GenrekitError for unusable archives.
    """
    if study not in shipped_studies():
        raise unknown_name("study", study, shipped_studies())
    report = folder / "reports" / study
    for path in (report / name for name in REPORT_FILES):
        _require_file(path, folder)
    others = {name: content for name, content in read_records(results).items() if _study_of(name) != study}
    records = others | _study_records(folder, study)
    write_records(results, records)
    for chart in (results / study).glob("*.png"):
        chart.unlink()
    for name in REPORT_FILES:
        shutil.copyfile(report / name, results / study / name)
    for path in report.glob("*.png"):
        (results / study / path.name).write_bytes(small_chart(path))


def small_chart(path: Path) -> bytes:
    """Return a chart as PNG with a palette of 256 colours, which takes about a third of the bytes.

    The colours of thin lines change slightly. A chart that has a palette is returned as it is.
    """
    with Image.open(path) as image:
        if image.mode == "P":
            return path.read_bytes()
        packed = io.BytesIO()
        image.convert("RGB").quantize(256).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _study_of(name: str) -> str:
    """The study of a record, or "" if it is a run's."""
    folder, study, *_ = name.split("/")
    return study if folder == "reports" else ""


def _study_records(folder: Path, study: str) -> dict[str, bytes]:
    """Read the records of a study from the folder in which it was run.

    Errors: FileNotFoundError for a missing file, GenrekitError for runs that are not in runs/.
    """
    report = folder / "reports" / study
    paths = [report / "plan.json", *report.glob("experiments/*.json")]
    records = {path.relative_to(folder).as_posix(): _require_file(path, folder).read_bytes() for path in paths}
    for run in runs_of(records, study):
        if not run.startswith("runs/"):
            raise GenrekitError(f"{study} has the run {run}; run studies with --runs runs")
        records |= {f"{run}/{name}": _require_file(folder / run / name, folder).read_bytes() for name in RUN_FILES}
    return records


def _require_file(path: Path, folder: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: run the study in {folder} first")
    return path


def main() -> None:
    """Write the table of findings, and do what the options ask for first."""
    parser = argparse.ArgumentParser(description="Maintain docs/results/ and its table of findings.")
    parser.add_argument("folder", nargs="?", type=Path, help="folder in which studies were run")
    parser.add_argument("studies", nargs="*", metavar="study", help="study to copy from there")
    parser.add_argument("--unpack", metavar="FOLDER", type=Path, help="write runs/ and reports/ into a folder")
    parser.add_argument("--tracks", metavar="CACHE", type=Path, help="write the list of tracks of a cache")
    given = parser.parse_args()
    if given.folder and not given.studies:
        parser.error(f"name the studies to copy from {given.folder}")
    try:
        if given.unpack:
            unpack(RESULTS, given.unpack)
        if given.tracks:
            write_tracks(RESULTS, open_cache(given.tracks))
        for study in given.studies:
            keep(given.folder, study)
    except (GenrekitError, FileNotFoundError) as error:
        sys.exit(str(error))
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
