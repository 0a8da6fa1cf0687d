"""A table of a page names its rows and columns, scrolls in its own box, and escapes its texts."""

from pathlib import Path

import pytest
from markupsafe import Markup
from page_reader import Reader

from genrekit.metrics.intervals import Interval
from genrekit.reports.page import render
from genrekit.reports.page_tables import Cell, Column, Row, Table, number, share

NASTY = "<script>alert('1')</script> & \"x\""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "table_page" / "templates").mkdir(parents=True)
    (tmp_path / "table_page" / "__init__.py").write_text("")
    template = '{% from "macros.html" import table %}{{ table(shown) }}'
    (tmp_path / "table_page" / "templates" / "table.html").write_text(template)
    monkeypatch.syspath_prepend(tmp_path)
    return "table_page"


def read(package: str, table: Table) -> Reader:
    return Reader(render("table.html", package=package, shown=table))


def test_a_table_scrolls_in_a_box_that_the_keyboard_reaches(package: str) -> None:
    columns = [Column("model", sortable=False), Column("accuracy", number=True, sortable=False)]
    reader = read(package, Table("Models", columns, [["cel", "0.5"], ["mlp", "0.4"]], kind="x"))
    assert reader.all("div") == [{"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Models"}]
    assert reader.all("table") == [{"class": "x"}]
    assert reader.all("th") == [
        {"scope": "col"},
        {"scope": "col", "class": "number"},
        {"scope": "row"},
        {"scope": "row"},
    ]
    assert reader.all("td") == [{"class": "number"}] * 2


@pytest.mark.parametrize(("length", "look"), [(24, None), (25, "text"), (90, "text"), (91, "long")])
def test_columns_with_long_texts_are_wide(package: str, length: int, look: str | None) -> None:
    reader = read(package, Table("c", [Column("a"), Column("b")], [["1", Cell("x" * length, kind="k")], ["2", ""]]))
    assert [attributes.get("class") for attributes in reader.all("td")] == [look, look]


def test_markup_does_not_make_a_column_wide() -> None:
    assert Table("c", [Column("a")], [[Markup(f"<b>{'x' * 100}</b>")]]).classes == [None]


def test_a_table_may_be_empty(package: str) -> None:
    reader = read(package, Table("c", [Column("a"), Column("b")], []))
    assert len(reader.all("th")) == 2
    assert reader.all("td") == []


def test_text_is_harmless_everywhere(package: str) -> None:
    columns = [Column(NASTY), Column(NASTY, sortable=False)]
    reader = read(package, Table(NASTY, columns, [[NASTY, Cell(NASTY, 1.0, note=NASTY, kind=NASTY)]], kind=NASTY))
    assert reader.all("script") == []
    assert reader.text.count(NASTY) == 6
    assert reader.all("div")[0]["aria-label"] == NASTY
    assert reader.all("span")[1]["class"] == NASTY


def test_markup_is_not_escaped_twice(package: str) -> None:
    table = Table("c", [Column("a")], [[Cell(Markup("<b>{}</b>").format("R&B"))]])
    assert '<th scope="row"><b>R&amp;B</b></th>' in render("table.html", package=package, shown=table)


def test_only_headings_of_sortable_columns_are_buttons(package: str) -> None:
    reader = read(package, Table("c", [Column("a"), Column("b", sortable=False), Column("")], []))
    assert reader.all("button") == [{"type": "button"}]


def test_a_cell_is_sorted_by_its_value_with_all_digits_whatever_it_shows(package: str) -> None:
    row: Row = [
        Cell("3. name", 3),
        number(1_234),
        number(0.123456789, "0.12"),
        share(Interval(0.5, 0.41, 0.59)),
        "text",
    ]
    reader = read(package, Table("c", [Column(name) for name in "abcde"], [row]))
    cells = [reader.all("th")[-1], *reader.all("td")]
    assert [cell.get("data-value") for cell in cells] == ["3", "1234", "0.123456789", "0.5", None]
    for text in ("3. name", "1,234", "0.12\n", "50.0 41 to 59", "text"):
        assert text in reader.text
