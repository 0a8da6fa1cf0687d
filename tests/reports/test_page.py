"""A page needs nothing but itself, and what is text in it stays text."""

import base64
import hashlib

import pytest
from page_reader import Reader

from genrekit.reports import page

NASTY = "<script>alert('1')</script> & \"x\""


def test_a_page_has_a_language_a_title_a_width_for_phones_and_a_link_to_its_content() -> None:
    title = "Genres & co"
    text = page.document(title, page.framed(title, page.element("p", "hello")))
    reader = Reader(text)
    assert text.startswith("<!doctype html>\n")
    assert reader.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.all("meta")
    assert reader.text.count("Genres & co") == 2
    assert reader.all("a") == [{"class": "skip", "href": "#main"}]
    assert reader.all("main")[0]["id"] == "main"
    assert reader.all("script") == []
    assert len(reader.all("h1")) == 1


@pytest.mark.parametrize("script", ["", "document.title = 'x'"])
def test_a_page_may_load_nothing(script: str) -> None:
    text = page.document("title", page.figure(b"\x89PNG", "a", "b"), script)
    reader = Reader(text)
    policy = next(meta["content"] for meta in reader.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    for name in ("http://", "https://", "@import", "url("):
        assert name not in text
    for _, attributes in reader.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "data:,"))


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("page.css", "genrekit.reports"),
        ("evaluation_report.css", "genrekit.reports"),
        ("report.css", "genrekit.studies"),
    ],
)
def test_styles_serve_dark_rooms_print_and_phones(name: str, package: str) -> None:
    style = page.asset(name, package)
    text = page.document("title", "", style=style)
    assert page.asset("page.css") in text
    assert style in text
    for part in ("prefers-color-scheme: dark", "@media print", "@media (max-width", ":focus-visible"):
        assert part in text


def test_text_is_harmless_wherever_it_stands() -> None:
    body = page.joined(
        [
            page.element("p", NASTY, title=NASTY),
            page.folded(NASTY, NASTY),
            page.figure(b"", NASTY, NASTY),
            page.facts([(NASTY, NASTY)]),
            page.code(NASTY),
            page.contents([("a", NASTY)]),
            page.section(NASTY, NASTY, anchor="a"),
        ]
    )
    reader = Reader(page.document(NASTY, body))
    assert reader.all("script") == []
    assert reader.text.count(NASTY) == 11
    assert reader.all("p")[0]["title"] == NASTY
    assert reader.all("img")[0]["alt"] == NASTY


def test_markup_is_not_escaped_twice() -> None:
    inner = page.element("b", "R&B")
    assert page.escaped(page.element("p", inner, "<")) == "<p><b>R&amp;B</b>&lt;</p>"
    assert page.joined(["<", inner], " & ") == "&lt; &amp; <b>R&amp;B</b>"


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT >", "<!-- <script>"])
def test_no_text_in_a_script_ends_it(text: str) -> None:
    reader = Reader(page.document("title", "", f"const name = '{text}'; 1 < 2"))
    assert len(reader.all("script")) == 1
    assert reader.text.rstrip().endswith("'; 1 < 2")


def test_a_picture_is_part_of_the_page() -> None:
    (image,) = Reader(page.figure(b"\x89PNG\r\n", "what it shows", "below it")).all("img")
    assert image == {"src": "data:image/png;base64,iVBORw0K", "alt": "what it shows"}
