"""A page contains everything that it needs, and text in it stays text."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from page_reader import Reader

from genrekit.reports.page import asset, render

TEMPLATES = [
    path
    for package in ("genrekit.reports", "genrekit.studies")
    for path in sorted(Path(str(files(package) / "templates")).iterdir())
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package outside genrekit that contains a template."""
    name = f"pages_{abs(hash(request.node.name))}"
    (tmp_path / name / "templates").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("")
    template = '{% extends "page.html" %}{% block main %}<p title="{{ text }}">{{ text }}</p>{% endblock %}'
    (tmp_path / name / "templates" / "test.html").write_text(template)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_page_has_a_language_a_title_a_width_for_phones_and_a_link_to_its_content(package: str) -> None:
    text = render("test.html", package=package, title="Genres & co", text="hello")
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
def test_a_page_loads_nothing_and_allows_its_own_script_alone(package: str, script: str) -> None:
    text = render("test.html", package=package, script=script, title="title", text="text")
    reader = Reader(text)
    (policy,) = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert len(reader.all("script")) == bool(script)
    for name in ("http://", "https://", "@import", "url("):
        assert name not in text


def test_text_is_harmless_in_elements_attributes_and_the_title(package: str) -> None:
    nasty = "<script>alert('1')</script> & \"x\" onload=y"
    reader = Reader(render("test.html", package=package, title=nasty, text=nasty))
    assert reader.all("script") == []
    assert reader.all("p") == [{"title": nasty}]
    assert reader.text.count(nasty) == 3


def test_a_value_that_is_missing_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="text"):
        render("test.html", package=package, title="title")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_only_the_style_and_the_script_of_the_page_are_exempt_from_escaping(path: Path) -> None:
    template = path.read_text(encoding="utf-8")
    assert re.findall(r"\w+ *\| *safe", template) == (["style|safe", "script|safe"] if path.name == "page.html" else [])
    assert "autoescape" not in template


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT >", "<!-- <script>"])
def test_no_text_in_a_script_ends_it(package: str, text: str) -> None:
    page = render("test.html", package=package, script=f"const name = '{text}'; 1 < 2", title="title", text="text")
    reader = Reader(page)
    assert len(reader.all("script")) == 1
    assert reader.text.rstrip().endswith("'; 1 < 2")


@pytest.mark.parametrize(
    ("name", "package_"),
    [
        ("page.css", "genrekit.reports"),
        ("evaluation_report.css", "genrekit.reports"),
        ("report.css", "genrekit.studies"),
    ],
)
def test_styles_support_dark_mode_print_and_phones(package: str, name: str, package_: str) -> None:
    style = asset(name, package_)
    text = render("test.html", package=package, style=style, title="title", text="text")
    assert asset("page.css") in text
    assert style in text
    for part in ("prefers-color-scheme: dark", "@media print", "@media (max-width", ":focus-visible"):
        assert part in text
