"""The documentation site builds without warnings, and its reference lists everything that the code has."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reference_pages
import typer
from typer.main import get_command

import genrekit
from genrekit.cli.app import COMMANDS, app
from genrekit.studies.search_schema import read_search
from genrekit.studies.study_files import read_study

ROOT = Path(__file__).parents[1]


def options(command: Any) -> Iterator[str]:
    """The long options of a command, and of the commands in it."""
    for parameter in command.params:
        if not parameter.hidden and parameter.param_type_name == "option":
            yield max(parameter.opts, key=len)
    for below in getattr(command, "commands", {}).values():
        yield from options(below)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_lists_every_command_and_option(name: str) -> None:
    page = reference_pages.commands()
    assert f"## genrekit {name}\n" in page
    root: Any = get_command(app)
    for option in options(root.get_command(typer.Context(root), name)):
        assert option in page


def test_the_reference_shows_no_markup_of_the_help_pages() -> None:
    assert "[dim]" not in reference_pages.commands()


@pytest.mark.parametrize("schema", reference_pages.CONFIGURATIONS, ids=lambda schema: schema.__name__)
def test_the_reference_lists_every_field_of_a_configuration(schema: Any) -> None:
    page = reference_pages.configurations()
    section = page[page.index(f"## {schema.__name__}\n") :].split("\n## ")[0]
    assert {name for name, field in schema.model_fields.items() if f"| `{name}` |" not in section} <= {
        name for name, field in schema.model_fields.items() if field.exclude
    }


STUDY_SCHEMAS = [*reference_pages.STUDY_TABLES.values(), *reference_pages.SEARCH_TABLES.values()]


@pytest.mark.parametrize("schema", STUDY_SCHEMAS, ids=lambda schema: schema.__name__)
def test_the_reference_describes_every_key_of_study_and_search_files(schema: Any) -> None:
    rows = [line for page in (reference_pages.study_keys(), reference_pages.search_keys()) for line in page.split("\n")]
    for name, field in schema.model_fields.items():
        if not field.exclude:
            assert field.description, name
            assert any(row.startswith(f"| `{name}` |") and row.endswith(f"| {field.description} |") for row in rows)


def test_every_example_of_a_study_or_search_file_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "study-files.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    for number, example in enumerate(examples):
        path = tmp_path / f"example{number}.toml"
        path.write_text(example, encoding="utf-8")
        if "[space]" in example:
            assert len(read_search(path).dimensions) == 6
        else:
            assert len(read_study(path).own_configurations()) == 4


def test_the_examples_have_every_key() -> None:
    page = (ROOT / "docs" / "reference" / "study-files.md").read_text(encoding="utf-8")
    examples = "".join(re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    left_out = {"sampler_seed", "startup"}
    keys = {name for schema in STUDY_SCHEMAS for name, field in schema.model_fields.items() if not field.exclude}
    assert {key for key in keys if not re.search(rf"\b{key}\b", examples)} == left_out


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}, "integer, at least 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1_000}, "number, above 0, at most 1,000"),
        ({"anyOf": [{"enum": ["all", "first"], "type": "string"}, {"type": "null"}]}, "`all`, `first` or none"),
        ({"type": "array", "items": {"type": "integer"}}, "list of: integer"),
        ({"type": "array", "items": {"$ref": "#/$defs/Override"}}, "list of: table"),
        ({"type": "array", "items": {}}, "list of: value"),
        ({"const": 1, "type": "integer"}, "`1`"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]}, "two numbers"),
    ],
)
def test_limits_and_choices_of_a_field_are_described(schema: dict[str, Any], text: str) -> None:
    assert reference_pages.allowed(schema) == text


def test_the_reference_lists_every_public_name_and_every_result() -> None:
    page = reference_pages.python_api()
    for name in genrekit.__all__:
        assert name.startswith("_") or f":: genrekit.{name}" in page
    assert "PrepareResult()" in page
    assert "TrainResult()" in page


class Visible(HTMLParser):
    """The text of a page, and the targets of its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.links = "", list[str]()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Warnings are errors, also about links and names that do not resolve."""
    if not (ROOT / "docs" / "results").exists():
        pytest.skip("a source archive has no docs/results")
    for module in ("sphinx", "myst_nb", "furo", "sphinx_copybutton"):
        pytest.importorskip(module, reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder / "html")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.docs
@pytest.mark.xdist_group("site")
def test_the_site_builds_without_warnings_and_its_files_exist(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {page.stem for page in pages} >= {"index", "tour", "install", "command-line", "report"}
    for page in pages:
        for link in Visible(page.read_text(encoding="utf-8")).links:
            path = link.partition("#")[0].partition("?")[0]
            if path and ":" not in path:
                assert (page.parent / path).exists(), (page.name, link)


@pytest.mark.docs
@pytest.mark.xdist_group("site")
def test_the_generated_pages_show_the_reference(site: Path) -> None:
    pages = {
        name: Visible((site / "reference" / f"{name}.html").read_text(encoding="utf-8"))
        for name in ("command-line", "configuration", "python")
    }
    assert "--spec-freq-mask" in pages["command-line"].text
    assert "hop_length" in pages["configuration"].text
    assert "TrainResult" in pages["python"].text
