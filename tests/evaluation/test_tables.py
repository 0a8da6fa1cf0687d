"""Tables can be read back, by programs and by people."""

import csv
from pathlib import Path

import pytest
from evaluated import GENRES, evaluation

from genrekit.evaluation.tables import markdown_text, write_tables


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


def test_numbers_stand_to_the_right() -> None:
    assert markdown_text(["a", "b"], [["x", 1], ["y", 2]]).splitlines()[1] == "| :--- | ---: |"
