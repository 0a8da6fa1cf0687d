"""Tables contain all scores, as CSV with all digits and as Markdown."""

import csv
import html
import re
from pathlib import Path

import pytest
from evaluated import GENRES, evaluation
from markdown_it import MarkdownIt

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
