"""The pictures of the README and the docs exist, are small, and agree with the text beside them."""

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pictures import COLUMNS, COMMANDS, PICTURES, PNG_BYTES, drawn, on_terminal
from readme_output import README, ROOT, RUN_PAGES

from genrekit.demo.synthesizer import GENRES

PAGES = (README, *RUN_PAGES)

MARKDOWN = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)]+)\)")

MODELS = ("lda-mel-", "cel-mel-adam-onecycle-", "mlp-mel-adam-none-")

SVG = "{http://www.w3.org/2000/svg}"


def lines(svg: str) -> list[str]:
    """The lines of text in an SVG of a terminal, from top to bottom."""
    rows: dict[float, str] = {}
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        text = (element.text or "").replace("\xa0", " ")
        x, y, width = (float(element.attrib[name]) for name in ("x", "y", "textLength"))
        rows[y] = rows.get(y, "").ljust(round(x / (width / len(text)))) + text
    return [rows[y].rstrip() for y in sorted(rows)]


def committed(name: str) -> str:
    return (PICTURES / f"{name}.svg").read_text(encoding="utf-8")


def look(svg: str, text: str) -> tuple[str, list[str]]:
    """The CSS rules of a text, and the colours of the rectangles that start at its position."""
    root = ElementTree.fromstring(svg)
    (element,) = (one for one in root.iter(f"{SVG}text") if (one.text or "").replace("\xa0", " ") == text)
    style = next(root.iter(f"{SVG}style")).text or ""
    (rules,) = re.findall(rf"\.{element.attrib['class']} {{ (.*) }}", style)
    backgrounds = [one for one in root.iter(f"{SVG}rect") if one.get("shape-rendering")]
    return rules, [one.attrib["fill"] for one in backgrounds if one.get("x") == element.get("x")]


def test_every_picture_is_shown_on_a_page_with_a_description() -> None:
    shown = {
        (page.parent / match["path"]).resolve(): match["alt"]
        for page in PAGES
        for match in MARKDOWN.finditer(page.read_text(encoding="utf-8"))
    }
    assert set(shown) == set(PICTURES.iterdir())
    assert all(len(alt.split()) > 5 for alt in shown.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_shows_its_command_and_its_output(name: str) -> None:
    first, *rest = lines(committed(name))
    assert first == f"$ {COMMANDS[name]}"
    assert max(map(len, rest)) <= COLUMNS
    words = "\n".join(rest)
    expected = (*MODELS, *GENRES) if name == "evaluate" else ("medley.wav", "timeline", "metal", "jazz", "disco")
    assert not [word for word in expected if word not in words]
    assert not re.search(r"(?:^|[\s(=])/\w", words), "an absolute path of the machine that drew it"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_loads_nothing_from_the_network(name: str) -> None:
    assert re.findall(r"\w+://[^\"\s]+", committed(name)) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in committed(name)


def test_figures_that_the_page_names_are_in_the_picture() -> None:
    page = (ROOT / "docs" / "how-to" / "evaluate.md").read_text(encoding="utf-8")
    (paragraph,) = re.findall(r"^In this picture.*?\n\n", page, re.DOTALL | re.MULTILINE)
    points, low, high, tracks, behind = re.findall(
        r"is (\d+) points above .* from (-\d+) to (\+\d+), so (\d+) tracks .* is (\d+) points below",
        paragraph.replace("\n", " "),
    )[0]
    shown = "\n".join(lines(committed("evaluate")))
    assert f"on the same {tracks} tracks: +{points}.0 points ({low} to {high})" in shown
    accuracies = [
        float(re.findall(rf"{re.escape(model)}\S+ +\S+ +(\S+) \(", shown)[0]) for model in (MODELS[0], MODELS[2])
    ]
    assert accuracies[0] - accuracies[1] == float(behind)


@pytest.mark.parametrize(("name", "width"), [("report", 1_100), ("report-phone", 390)])
def test_a_screenshot_is_a_small_png(name: str, width: int) -> None:
    picture = (PICTURES / f"{name}.png").read_bytes()
    assert picture[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    wide, high = struct.unpack(">II", picture[16:24])
    assert wide == width
    assert high > width
    assert picture.endswith(b"IEND\xae\x42\x60\x82")
    assert len(picture) <= PNG_BYTES


def test_colours_and_font_weights_are_drawn() -> None:
    printed = "plain\n\n\x1b[1;32m7\x1b[0m  \x1b[2m.\x1b[0m\n\x1b[38;2;0;0;0m\x1b[48;2;255;175;0mRR\x1b[0m <&> [b]\n"
    svg = drawn("ls [a]", printed)
    assert lines(svg) == ["$ ls [a]", "plain", "", "7  .", "RR <&> [b]"]
    (usual, _), (bold, _), (dim, _), (strip, behind) = (look(svg, text) for text in ("plain", "7", ".", "RR"))
    assert "font-weight: bold" in bold
    assert len({bold.split(";")[0], dim, usual, strip}) == 4
    assert (strip, behind) == ("fill: #000000", ["#ffaf00"])
    assert "\x1b" not in svg


def test_the_same_output_gives_the_same_drawing() -> None:
    assert drawn("ls", "\x1b[1ma\x1b[0m\n") == drawn("ls", "\x1b[1ma\x1b[0m\n")


def test_a_command_runs_in_a_terminal_as_wide_as_the_picture_and_stderr_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    program = "import os; print(os.get_terminal_size(1).columns, *map(os.isatty, range(3)), 'NO_COLOR' in os.environ)"
    printed = on_terminal(f'python -c "{program}; os.write(2, bytes(9))"', tmp_path)
    assert printed == f"{COLUMNS} False True False False\n"


def test_a_command_that_fails_is_reported_with_its_stderr(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3:\nno such song"):
        on_terminal("sh -c 'echo no such song >&2; exit 3'", tmp_path)
