"""Text in Markdown is shown as it is, whatever characters it has."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from genrekit.io import markdown

NASTY = [
    "a|b",
    "<script>x</script>",
    "*a* _b_ `c` ~~d~~",
    "[x](y)",
    "# 1",
    "1. a",
    "2024) b",
    "- c",
    "+ d",
    "a\\|b",
    "$x$",
]


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def words(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", markup)).strip()


@pytest.mark.parametrize(
    "text", [*NASTY, "&amp;", "![x](y)", "<b>", "a  \n b", "-1.5", "cel_mel_x", "__0__", "a__b__c", "---", "1.", "#"]
)
def test_a_text_is_read_as_it_was_meant(text: str) -> None:
    markup = rendered(markdown.plain(text))
    assert re.sub("<(?!/?p>)", "", markup) == markup
    assert words(markup) == " ".join(text.split())


@pytest.mark.slow
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30))
def test_no_text_becomes_an_element(text: str) -> None:
    assert not re.search("<(?!/?p>)", rendered(markdown.plain(text)))


@given(st.lists(st.sampled_from(NASTY), min_size=4, max_size=4))
def test_a_table_has_the_cells_that_it_was_given(cells: list[str]) -> None:
    markup = rendered(markdown.table(cells[:2], [cells[2:]]))
    found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", markup)
    assert [words(cell) for cell in found] == cells


def test_numbers_are_set_to_the_right() -> None:
    assert markdown.table(["a", "b"], [["x", "1"]], numeric={1}) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


@pytest.mark.parametrize("text", ["genrekit compare", "echo ```\necho <b>", "a `````` b"])
def test_lines_to_type_stand_as_they_are(text: str) -> None:
    markup = rendered(markdown.code(text))
    assert html.unescape(markup) == f'<pre><code class="language-sh">{text}\n</code></pre>\n'
