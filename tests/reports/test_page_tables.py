"""A table of a page names its rows and columns, scrolls on its own, and holds text as text."""

import pytest
from page_reader import Reader

from genrekit.metrics.intervals import Interval
from genrekit.reports.page import element
from genrekit.reports.page_tables import Cell, Column, Row, number, share, table

NASTY = "<script>alert('1')</script> & \"x\""


def test_a_table_scrolls_in_a_box_that_the_keyboard_reaches() -> None:
    columns = [Column("arm", sortable=False), Column("accuracy", number=True, sortable=False)]
    reader = Reader(table("Arms", columns, [["cel", "0.5"], ["mlp", "0.4"]], kind="x"))
    assert reader.all("div") == [{"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Arms"}]
    assert reader.all("table") == [{"class": "x"}]
    assert reader.all("th") == [
        {"scope": "col"},
        {"scope": "col", "class": "number"},
        {"scope": "row"},
        {"scope": "row"},
    ]
    assert reader.all("td") == [{"class": "number"}] * 2


@pytest.mark.parametrize(("length", "look"), [(24, None), (25, "text"), (90, "text"), (91, "long")])
def test_long_texts_have_wide_columns_however_they_are_marked(length: int, look: str | None) -> None:
    cell = element("span", "x" * length, class_="a class that does not count")
    reader = Reader(table("c", [Column("a"), Column("b")], [["1", cell], ["2", ""]]))
    assert [attributes.get("class") for attributes in reader.all("td")] == [look, look]


def test_a_table_may_be_empty() -> None:
    reader = Reader(table("c", [Column("a"), Column("b")], []))
    assert len(reader.all("th")) == 2
    assert reader.all("td") == []


def test_text_is_harmless_wherever_it_stands() -> None:
    reader = Reader(table(NASTY, [Column(NASTY), Column(NASTY, sortable=False)], [[NASTY, Cell(NASTY, 1.0)]]))
    assert reader.all("script") == []
    assert reader.text.count(NASTY) == 5
    assert reader.all("div")[0]["aria-label"] == NASTY


def test_markup_is_not_escaped_twice() -> None:
    assert '<th scope="row"><b>R&amp;B</b></th>' in table("c", [Column("a")], [[element("b", "R&B")]])


def test_only_heads_of_sortable_columns_are_buttons() -> None:
    reader = Reader(table("c", [Column("a"), Column("b", sortable=False), Column("")], []))
    assert reader.all("button") == [{"type": "button"}]


def test_a_cell_is_sorted_by_its_value_with_all_digits_whatever_it_shows() -> None:
    row: Row = [
        Cell("3. name", 3),
        number(1_234),
        number(0.123456789, "0.12"),
        share(Interval(0.5, 0.41, 0.59)),
        "text",
    ]
    reader = Reader(table("c", [Column(name) for name in "abcde"], [row]))
    cells = [reader.all("th")[-1], *reader.all("td")]
    assert [cell.get("data-value") for cell in cells] == ["3", "1234", "0.123456789", "0.5", None]
    for shown in ("3. name", "1,234", "0.12\n", "50.0 41 to 59", "text"):
        assert shown in reader.text
