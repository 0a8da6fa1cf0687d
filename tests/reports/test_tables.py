"""Tables can be read back, by programs and by people."""

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


def test_every_figure_of_every_model_is_in_the_tables_with_all_its_digits(tmp_path: Path) -> None:
    result = evaluation()
    places = write_tables(tmp_path, result)
    assert [place.name for place, _ in places] == [f"0{n}-{model.name}" for n, model in enumerate(result.models, 1)]
    table = rows(tmp_path / "models.csv")
    for row, (place, model) in zip(table, places, strict=True):
        assert float(row["track_accuracy"]) == model.track_accuracy.value
        assert float(row["track_balanced_accuracy_low"]) == model.track_figures.balanced_accuracy.low
        assert float(row["fragment_calibration_error_high"]) == model.fragment_figures.calibration.error.high
        genres = rows(place / "genres.csv")
        assert [one["genre"] for one in genres] == list(GENRES)
        assert [float(one["recall_low"]) for one in genres] == [one.recall.low for one in model.per_genre]
        confusion = rows(place / "confusion.csv")
        assert [[int(line[genre]) for genre in GENRES] for line in confusion] == [
            list(line) for line in model.confusion
        ]
        bins = rows(place / "calibration.csv")
        for level, count in (("tracks", model.tracks), ("fragments", model.fragments)):
            assert sum(int(line["answers"]) for line in bins if line["level"] == level) == count


def test_comparisons_name_both_models(tmp_path: Path) -> None:
    write_tables(tmp_path, evaluation())
    (row,) = rows(tmp_path / "comparisons.csv")
    assert (row["first"], row["tie"]) == ("best_models/first", "yes")
    assert float(row["difference"]) == pytest.approx(0.1)


def test_a_markdown_table_has_as_many_cells_in_every_line(tmp_path: Path) -> None:
    ((place, _), *_) = write_tables(tmp_path, evaluation())
    for path in (tmp_path / "models.md", place / "genres.md"):
        lines = path.read_text(encoding="utf-8").replace("\\|", "").splitlines()
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1


def test_names_that_are_markup_are_only_names_in_markdown(tmp_path: Path) -> None:
    ((_, first), (place, second)) = write_tables(tmp_path, evaluation())
    for path, names in ((tmp_path / "models.md", [first.name, second.name]), (place / "genres.md", list(GENRES))):
        markup = MarkdownIt("commonmark").enable("table").render(path.read_text(encoding="utf-8"))
        assert set(re.findall("<(/?[a-z]+)", markup)) <= {f"{end}{tag}" for tag in TABLE for end in ("", "/")}
        rows_ = [re.findall("<td[^>]*>(.*?)</td>", line) for line in markup.split("<tr>")[2:]]
        column = 1 if path.name == "models.md" else 0
        assert [html.unescape(row[column]) for row in rows_] == names


def test_figures_stand_to_the_right_with_three_decimals_and_counts_without(tmp_path: Path) -> None:
    ((place, model), *_) = write_tables(tmp_path, evaluation())
    _, rule, first, *_ = (place / "genres.md").read_text(encoding="utf-8").splitlines()
    assert rule == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    one = model.per_genre[0]
    assert first.startswith(f"| blues | {one.tracks} | {one.precision:.3f} | {one.recall.value:.3f} |")
