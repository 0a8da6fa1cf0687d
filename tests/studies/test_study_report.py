"""The report of a study is complete and self-contained, as Markdown and as HTML."""

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.image import imread
from page_reader import Reader
from tiny_study import CONFUSION, FINDINGS, HEAD, bare, histories, study

from genrekit.data.collection import SkippedFile
from genrekit.io.json_values import to_json
from genrekit.io.markdown import plain
from genrekit.studies import report as study_report
from genrekit.studies.report import safe_names, write_report
from genrekit.studies.report_html import to_html
from genrekit.studies.report_markdown import to_markdown
from genrekit.studies.results import StudyResult
from genrekit.studies.table_files import table_files

SIZES = [
    pytest.param(study(1, ("",)), id="one configuration"),
    pytest.param(study(), id="twelve configurations in two groups"),
    pytest.param(study(20, ("",)), id="twenty configurations"),
    pytest.param(bare(), id="no figures"),
    pytest.param(replace(study(), findings=()), id="no hypotheses"),
    pytest.param(replace(study(), ranking=(), ties=()), id="no ranking"),
    pytest.param(replace(study(), skipped=(SkippedFile("runs/x", "cannot read it"),)), id="a run left out"),
]

FILES = {"accuracy": "accuracy.png", "figures": "figures.png", "curves": "curves.png"}
FIGURES = {name: Figure(figsize=(4, 3)) for name in FILES}

NASTY = '<script>alert(1)</script>|*x* `y` $z$ "q" & https:'


def as_markdown(result: StudyResult) -> str:
    """Return the visible text of the report in Markdown."""
    markup = MarkdownIt("commonmark").enable("table").render(to_markdown(result, figures=FILES))
    assert "<script" not in markup
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", markup)).split())


def as_html(result: StudyResult) -> str:
    """Return the visible text of the page."""
    reader = Reader(to_html(result, FIGURES))
    assert not reader.all("script")
    return " ".join(reader.text.split())


def nasty() -> StudyResult:
    """Return a study in which every text could break a page or a table."""
    result = study(3, (NASTY,))
    names = {run.name: f"{NASTY} {index}" for index, run in enumerate(result.runs)}
    head = replace(HEAD, title=NASTY, question=NASTY, source=NASTY, notes=(NASTY,), genres=(NASTY, "rock"), name=NASTY)
    return replace(
        result,
        runs=tuple(replace(run, name=names[run.name], cut=NASTY, config={NASTY: run.name}) for run in result.runs),
        ranking=tuple(names[name] for name in result.ranking),
        ties=(),
        findings=(replace(FINDINGS[0], hypothesis=NASTY, note=NASTY),),
        head=replace(head, command=f"genrekit study run '{NASTY}'", split=NASTY, resampled=NASTY),
        skipped=(SkippedFile(NASTY, NASTY),),
    )


@pytest.mark.parametrize("seen", [as_markdown, as_html])
@pytest.mark.parametrize("result", SIZES)
def test_every_configuration_finding_and_fact_is_shown(seen: Callable[[StudyResult], str], result: StudyResult) -> None:
    text = seen(result)
    for run in result.runs:
        assert run.name in text
        assert f"{run.parameters:,}" in text
    for finding in result.findings:
        assert finding.hypothesis in text
        assert finding.verdict in text
        assert finding.note in text
    for said in (HEAD.title, HEAD.question, HEAD.source, *HEAD.notes, HEAD.command, HEAD.split, *HEAD.genres):
        assert said in text
    for said in ("443 tracks", "197 to validate", "5 seeds, 30 epochs", "95 %, over seeds and artists", "Holm"):
        assert said in text
    for item in result.skipped:
        assert f"{item.path}: {item.reason}" in text


def test_markdown_and_html_have_the_same_figures() -> None:
    figure = re.compile(r"[+\N{MINUS SIGN}]?\d+\.\d+")
    pairs = [as_markdown(study()), as_html(study())]
    first, second = (sorted(figure.findall(text.rpartition("References")[0])) for text in pairs)
    assert len(first) > 200
    assert first == second


@pytest.mark.parametrize("result", SIZES)
def test_the_page_is_self_contained(result: StudyResult) -> None:
    text = to_html(result, FIGURES)
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    reader = Reader(text)
    for _, attributes in reader.elements:
        assert "src" not in attributes
    anchors = {attributes["id"] for _, attributes in reader.elements if "id" in attributes}
    links = [attributes["href"] for attributes in reader.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= anchors
    assert len(reader.all("svg")) == 3
    assert all(figure["aria-label"] for figure in reader.all("svg"))


def test_headings_do_not_skip_a_level() -> None:
    levels = [int(tag[1]) for tag, _ in Reader(to_html(study(), FIGURES)).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_verdict_has_a_word_a_symbol_and_a_colour() -> None:
    text = to_html(study(), FIGURES)
    for css_class, words in (
        ("good", "✓ upheld"),
        ("bad", "✗ refuted"),
        ("even", "≈ equivalent"),
        ("open", "? undecided"),
    ):
        assert f'<span class="verdict {css_class}">{words}</span>' in text


@pytest.mark.parametrize("seen", [as_markdown, as_html])
def test_no_name_can_break_the_report(seen: Callable[[StudyResult], str]) -> None:
    result = nasty()
    text = seen(result)
    assert text.count(NASTY) > 15
    for run in result.runs:
        assert run.name in text


@pytest.mark.parametrize("result", [*SIZES, pytest.param(nasty(), id="nasty names")])
def test_tables_in_markdown_have_equal_columns(result: StudyResult) -> None:
    text = to_markdown(result, figures=FILES)
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert tables
    for table in tables:
        rows = [re.sub(r"\\.", "", line).count("|") for line in table.splitlines()]
        assert len(set(rows)) == 1
        assert len(rows) > 2


def test_pictures_are_shown_only_if_they_exist() -> None:
    assert re.findall(r"\(<(.*?)>\)", to_markdown(study(), figures=FILES)) == list(FILES.values())
    assert "![" not in to_markdown(study(), figures={})
    assert "<svg" not in to_html(study(), {})
    assert "Learning curves" not in to_html(study(), {})


@pytest.mark.slow
@pytest.mark.parametrize("result", [study(3), bare()], ids=["three configurations in two groups", "no figures"])
def test_a_report_is_a_folder_of_complete_files(result: StudyResult, tmp_path: Path) -> None:
    configs = {f"{run.name}-seed{seed}": {"seed": seed, "lr": 0.1} for run in result.runs for seed in run.seeds}
    write_report(result, histories(result), configs, tmp_path / "report")
    pictures = {"accuracy.png", "curves.png"} | ({"figures.png"} if result.runs[0].last_accuracy else set())
    names = {path.name for path in (tmp_path / "report").iterdir()}
    vectors = {picture.replace(".png", ending) for picture in pictures for ending in (".pdf", ".svg")}
    tables = {"configurations.csv", "configurations.tex", "ranking.tex"}
    tables |= {"findings.csv", "findings.tex"} if result.findings else set()
    names -= {"settings.tex"}  # only if settings differ
    assert names == {"report.md", "report.html", "result.json", "experiments", *pictures, *vectors, *tables}
    assert (tmp_path / "report" / "accuracy.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "report" / "accuracy.svg").read_text(encoding="utf-8")
    for picture in pictures:
        assert imread(tmp_path / "report" / picture)[..., :3].std() > 0.02
    assert json.loads((tmp_path / "report" / "result.json").read_text()) == to_json(result)
    page = Reader((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("svg")) == len(pictures)
    experiments = sorted((tmp_path / "report" / "experiments").iterdir())
    assert len(experiments) == len(configs)
    assert all(path.suffix == ".json" for path in experiments)


def test_experiments_are_written_with_null_for_figures_that_are_not_finite(tmp_path: Path) -> None:
    given = {"lr": 0.1, "run": Path("runs/a"), "loss": math.nan, "seen": [{"low": -math.inf, "n": 3}], "on": True}
    result = replace(study(2, ("",)), findings=(replace(FINDINGS[0], effect=math.nan),))
    write_report(result, {}, {"cel/sgd seed 0": given}, tmp_path)
    expected = {"lr": 0.1, "run": "runs/a", "loss": None, "seen": [{"low": None, "n": 3}], "on": True}
    assert json.loads((tmp_path / "experiments" / "cel-sgd-seed-0.json").read_text()) == expected
    assert json.loads((tmp_path / "result.json").read_text())["findings"][0]["effect"] is None
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("result", [*SIZES, pytest.param(nasty(), id="nasty names")])
def test_latex_tables_have_equal_columns_and_no_special_characters(result: StudyResult) -> None:
    files = {name: text for name, text in table_files(result).items() if name.endswith(".tex")}
    assert files
    for text in files.values():
        columns = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)[0]
        rows = [line for line in text.splitlines() if line.endswith(" \\\\")]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
            assert not re.search(r"(?<!\\)[%#_]", row)


def test_csv_tables_have_the_figures_of_the_result() -> None:
    result = study(3)
    files = table_files(result)
    rows = list(csv.DictReader(io.StringIO(files["configurations.csv"])))
    assert {row["configuration"]: float(row["track_accuracy"]) for row in rows} == {
        run.name: run.track_accuracy.value for run in result.runs
    }
    findings = list(csv.DictReader(io.StringIO(files["findings.csv"])))
    assert [row["verdict"] for row in findings] == [finding.verdict for finding in result.findings]
    effects = ["" if finding.effect is None else str(finding.effect) for finding in result.findings]
    assert [row["effect"] for row in findings] == effects


@pytest.mark.slow
def test_a_report_replaces_the_one_before_and_no_other_files(tmp_path: Path) -> None:
    (tmp_path / ".report-killed").mkdir()
    mine = [tmp_path / "notes.png", tmp_path / "experiments" / "notes.txt"]
    for result, names in ((study(3, ("",)), "abc"), (study(2, ("",)), "a")):
        write_report(result, histories(result), {name: {"arm": name} for name in names}, tmp_path)
        for path in mine:
            path.write_text("mine")
    assert "2 configurations" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert not list(tmp_path.rglob(".*"))
    assert {path.name for path in (tmp_path / "experiments").iterdir()} == {"a.json", "notes.txt"}
    write_report(study(2, ("",)), {}, {"a": {}}, tmp_path)
    assert not list(tmp_path.glob("curves.*"))
    assert all(path.exists() for path in mine)


def test_the_report_shows_the_best_confusion_matrices_and_links_to_all(tmp_path: Path) -> None:
    """Of many configurations, the page stays readable."""
    names = [f"cel, lr={number}" for number in range(3)]
    write_report(study(3, ("",)), {}, {}, tmp_path, dict.fromkeys(names, CONFUSION))
    files = {f"confusion/cel-lr-{number}{ending}" for number in range(3) for ending in (".png", ".pdf", ".svg")}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("confusion/*")} == files
    assert all((tmp_path / f"confusion{ending}").exists() for ending in (".png", ".pdf", ".svg"))
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    links = {attributes["href"] for attributes in page.all("a")}
    for number, name in enumerate(names):
        assert f"[{plain(name)}](<confusion/cel-lr-{number}.png>)" in markdown
        assert f"confusion/cel-lr-{number}.png" in links
    assert "](<confusion.png>)" in markdown
    assert "figure-confusion" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_confusion_matrices_of_an_earlier_report_are_removed(tmp_path: Path) -> None:
    for names in (("a", "b"), ("b",)):
        write_report(study(2, ("",)), {}, {}, tmp_path, dict.fromkeys(names, CONFUSION))
        (tmp_path / "confusion" / "mine.png").write_text("mine")
    assert {path.name for path in tmp_path.glob("confusion/*")} == {"b.png", "b.pdf", "b.svg", "mine.png"}
    write_report(study(2, ("",)), {}, {}, tmp_path)
    assert {path.name for path in tmp_path.glob("confusion*/*")} == {"mine.png"}
    assert not list(tmp_path.glob("confusion.*"))


def test_at_most_forty_confusion_matrices_have_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    monkeypatch.setattr(
        study_report, "save_figure", lambda _figure, folder, name: saved.append(f"{folder.name}/{name}")
    )
    confusions = {f"c{number}": [[3, 1], [0, 4]] for number in range(50)}
    result = study(2, ("",))
    head = replace(HEAD, genres=("blues", "jazz"))
    write_report(replace(result, head=head), {}, {}, tmp_path, confusions)
    assert [name for name in saved if name.startswith("confusion/")] == [f"confusion/c{number}" for number in range(40)]


@pytest.mark.slow
def test_a_failed_write_keeps_the_report_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(study(3, ("",)), {}, {}, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("save_figure", "to_html", "to_json"):
        monkeypatch.setattr(study_report, name, full)
        with pytest.raises(OSError, match="No space"):
            write_report(study(2, ("",)), {}, {"a": {}}, tmp_path)
        monkeypatch.undo()
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert not list(tmp_path.glob(".report-*"))


@pytest.mark.slow
def test_a_failed_write_names_the_file_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is written in a temporary folder first."""

    def full(path: Path, _text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(study_report, "write_text", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_report(study(2, ("",)), {}, {"a": {}}, tmp_path)
    assert Path(caught.value.filename).parent == tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cel3-sgd-seed0", "cel3-sgd-seed0"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\\b:c*?<d>|", "a-b-c-d"),
        ("lr 0.01, 5 epochs", "lr-0.01-5-epochs"),
        ("...", "experiment"),
        ("", "experiment"),
        ("música 音", "música-音"),
    ],
)
def test_an_experiment_s_name_becomes_a_safe_file_name(name: str, file: str) -> None:
    assert safe_names([name]) == {name: file}


def test_file_names_are_short_and_unique() -> None:
    names = [f"{'音' * 300}-seed{seed}" for seed in range(3)] + ["A b", "a/b", "a b"]
    files = list(safe_names(names).values())
    assert len({file.casefold() for file in files}) == len(names)
    assert all(len(f".{file}.json.12345678.tmp".encode()) <= 255 for file in files)
    assert files[0].endswith("-seed0")


@pytest.mark.parametrize("seen", [as_markdown, as_html])
def test_a_verdict_on_shortened_runs_names_their_epochs(seen: Callable[[StudyResult], str]) -> None:
    refuted = replace(FINDINGS[1], epochs=30, planned_epochs=100, note="missing: x", missing=("x",))
    text = seen(replace(study(), findings=(refuted,)))
    assert "1 hypothesis: 1 refuted. All verdicts are at 30 of 100 epochs." in text
    assert "✗ refuted at 30 of 100 epochs" in text
    assert "missing: x" in text
    assert "the runs were shorter than planned" in text
    assert "of 100 epochs" not in seen(replace(study(), findings=FINDINGS[1:2]))


def test_result_json_has_the_epochs_beside_the_verdict(tmp_path: Path) -> None:
    refuted = replace(FINDINGS[1], epochs=30, planned_epochs=100, missing=("x",))
    write_report(replace(study(2, ("",)), findings=(refuted,)), {}, {}, tmp_path)
    (finding,) = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["findings"]
    assert (finding["claim"], finding["verdict"]) == (refuted.hypothesis, "refuted")
    assert (finding["epochs"], finding["planned_epochs"], finding["missing"]) == (30, 100, ["x"])
    assert [judgement["at"] for judgement in finding["readings"]] == ["last", "best", "equal steps"]
