"""Tables contain all scores, as CSV with all digits and as Markdown."""

import csv
import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from evaluated import GENRES, evaluation
from markdown_it import MarkdownIt

from genrekit.io import latex
from genrekit.metrics.formatting import percent_with_interval
from genrekit.metrics.intervals import Interval
from genrekit.metrics.unknown import UnknownFigures, UnknownFile
from genrekit.reports.tables import write_tables

TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_scores_of_all_models_are_in_the_tables_with_all_digits(tmp_path: Path) -> None:
    result = evaluation()
    subfolders = write_tables(tmp_path, result)
    assert [subfolder.name for subfolder, _ in subfolders] == [
        f"0{n}-{model.name}" for n, model in enumerate(result.models, 1)
    ]
    table = rows(tmp_path / "models.csv")
    for row, (subfolder, model) in zip(table, subfolders, strict=True):
        assert float(row["track_accuracy"]) == model.track_accuracy.value
        assert float(row["track_balanced_accuracy_low"]) == model.track_figures.balanced_accuracy.low
        assert float(row["fragment_calibration_error_high"]) == model.fragment_figures.calibration.error.high
        genres = rows(subfolder / "genres.csv")
        assert [one["genre"] for one in genres] == list(GENRES)
        assert [float(one["recall_low"]) for one in genres] == [one.recall.low for one in model.per_genre]
        confusion = rows(subfolder / "confusion.csv")
        assert [[int(line[genre]) for genre in GENRES] for line in confusion] == [
            list(line) for line in model.confusion
        ]
        bins = rows(subfolder / "calibration.csv")
        for level, count in (("tracks", model.tracks), ("fragments", model.fragments)):
            assert sum(int(line["answers"]) for line in bins if line["level"] == level) == count


def test_unknown_audio_has_columns_and_a_table_of_its_files(tmp_path: Path) -> None:
    files = (UnknownFile("a, b.wav", "blues", 0.75, True), UnknownFile("silence", None, 0.0, False))
    half = Interval(0.5, 0.1, 0.9)
    measured = UnknownFigures("signals", files, Interval(0.8, 0.6, 1.0), 0.25, half, None)
    first, second = evaluation().models
    result = replace(evaluation(), models=(replace(first, unknown=measured), second))
    ((folder, _), (other, _)) = write_tables(tmp_path, result)
    with_figures, without = rows(tmp_path / "models.csv")
    assert (with_figures["unknown_files"], with_figures["confidence_threshold"]) == ("2", "0.25")
    assert (with_figures["unknown_auroc"], with_figures["unknown_auroc_low"]) == ("0.8", "0.6")
    assert (with_figures["false_acceptance_high"], with_figures["known_acceptance"]) == ("0.9", "")
    assert {without[name] for name in ("unknown_files", "unknown_auroc", "false_acceptance")} == {""}
    assert [tuple(row.values()) for row in rows(folder / "unknown.csv")] == [
        ("a, b.wav", "blues", "0.75", "yes"),
        ("silence", "", "0.0", "no"),
    ]
    assert not (other / "unknown.csv").exists()
    write_tables(tmp_path, evaluation())
    assert not (folder / "unknown.csv").exists()


def test_comparisons_name_both_models(tmp_path: Path) -> None:
    write_tables(tmp_path, evaluation())
    (row,) = rows(tmp_path / "comparisons.csv")
    assert (row["first"], row["tie"]) == ("best_models/first", "yes")
    assert float(row["difference"]) == pytest.approx(0.1)


def test_all_lines_of_a_markdown_table_have_equally_many_cells(tmp_path: Path) -> None:
    ((subfolder, _), *_) = write_tables(tmp_path, evaluation())
    for path in (tmp_path / "models.md", subfolder / "genres.md"):
        lines = path.read_text(encoding="utf-8").replace("\\|", "").splitlines()
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1


def cells_of_latex(text: str) -> list[list[str]]:
    """The cells of all rows of tabulars, without the rules."""
    return [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r" \\")]


def test_latex_tables_have_the_figures_that_the_command_line_prints(tmp_path: Path) -> None:
    ((subfolder, model), *_) = write_tables(tmp_path, evaluation())
    (head, first, second) = cells_of_latex((tmp_path / "models.tex").read_text(encoding="utf-8"))
    assert head[1:] == ["model", "validation", "tracks", "test tracks", "fragments", "macro F1"]
    assert first[:2] == ["1", latex.plain(model.name)]
    assert first[4] == percent_with_interval(model.track_accuracy)
    assert second[0] == "=2"
    genres = cells_of_latex((subfolder / "genres.tex").read_text(encoding="utf-8"))
    assert [row[3] for row in genres[1:]] == [percent_with_interval(one.recall) for one in model.per_genre]
    confusion = cells_of_latex((subfolder / "confusion.tex").read_text(encoding="utf-8"))
    assert [row[1:] for row in confusion[1:]] == [[str(count) for count in row] for row in model.confusion]


def test_each_test_set_has_its_own_latex_table(tmp_path: Path) -> None:
    result = evaluation()
    first, second = result.models
    write_tables(tmp_path, replace(result, models=(first, replace(second, split="artist, seed 1"))))
    text = (tmp_path / "models.tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{tabular}") == 2
    assert "(artist, seed 1 split)" in text


def test_markup_in_names_is_escaped_in_markdown(tmp_path: Path) -> None:
    ((_, first), (subfolder, second)) = write_tables(tmp_path, evaluation())
    for path, names in ((tmp_path / "models.md", [first.name, second.name]), (subfolder / "genres.md", list(GENRES))):
        markup = MarkdownIt("commonmark").enable("table").render(path.read_text(encoding="utf-8"))
        assert set(re.findall("<(/?[a-z]+)", markup)) <= {f"{end}{tag}" for tag in TABLE for end in ("", "/")}
        rows_ = [re.findall("<td[^>]*>(.*?)</td>", line) for line in markup.split("<tr>")[2:]]
        column = 1 if path.name == "models.md" else 0
        assert [html.unescape(row[column]) for row in rows_] == names


def test_numbers_are_aligned_right_and_scores_have_three_decimals(tmp_path: Path) -> None:
    ((subfolder, model), *_) = write_tables(tmp_path, evaluation())
    _, rule, first, *_ = (subfolder / "genres.md").read_text(encoding="utf-8").splitlines()
    assert rule == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    one = model.per_genre[0]
    assert first.startswith(f"| blues | {one.tracks} | {one.precision:.3f} | {one.recall.value:.3f} |")
