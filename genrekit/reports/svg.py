"""Figures as SVG elements of a page, whose colours follow the page's light or dark theme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from genrekit.io.printable import printable_lines

THEME = {
    "#000000": "--ink",
    "#333333": "--ink",
    "#666666": "--quiet",
    "#8a9099": "--quiet",
    "#e3e5e8": "--rule",
    "#ffffff": "--paper",
    "#0072b2": "--first",
    "#d55e00": "--second",
    "#009e73": "--third",
    "#cc79a7": "--pink",
    "#e69f00": "--amber",
    "#56b4e9": "--sky",
    "#b9bec5": "--grey",
    "#f1f2f4": "--panel",
}
"""The property of page.css that replaces each colour of a figure; other colours are the same in both themes."""


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Let matplotlib draw boxes for letters that its font lacks, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def to_svg(figure: Figure, name: str, description: str = "") -> Markup:
    """Draw a figure as an SVG element for a page.

    `name` is the prefix of its ids, which must be unique within a page. `description` is read to people who do not see
    the figure; without one the figure is hidden from screen readers. The same figure always gives the same text.
    """
    file = io.StringIO()
    with missing_glyphs_ignored(), _transparent(figure), rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    root = ElementTree.fromstring(printable_lines(file.getvalue()))  # noqa: S314 (matplotlib wrote it)
    _remove(root, "metadata", "style")
    referenced = set(
        re.findall(r"#([\w.-]+)", " ".join(value for node in root.iter() for value in node.attrib.values()))
    )
    # matplotlib's ids are hashes of coordinates whose rounding errors vary, so they are replaced by numbers.
    used = [node.attrib["id"] for node in root.iter() if node.get("id") in referenced]
    ids = {old: f"{name}-{number}" for number, old in enumerate(used, 1)}
    for node in root.iter():
        _adapt(node, ids)
    root.attrib.clear()
    width, height = figure.get_size_inches() * 72
    access = {"role": "img", "aria-label": description} if description else {"aria-hidden": "true"}
    root.attrib.update({"class": "chart", "viewBox": f"0 0 {width:g} {height:g}", **access})
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (it is markup: texts are escaped)


@contextmanager
def _transparent(figure: Figure) -> Iterator[None]:
    """Hide the backgrounds of a figure and its axes inside the block."""
    visible = [patch for patch in (figure.patch, *(axes.patch for axes in figure.axes)) if patch.get_visible()]
    for patch in visible:
        patch.set_visible(False)
    try:
        yield
    finally:
        for patch in visible:
            patch.set_visible(True)


def _remove(root: ElementTree.Element, *tags: str) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in tags:
                parent.remove(child)


def _adapt(node: ElementTree.Element, ids: Mapping[str, str]) -> None:
    """Remove namespaces and unused ids, replace the other ids, and take fonts and colours from the page."""
    node.tag = _local(node.tag)
    attributes = {_local(key): value for key, value in node.attrib.items()}
    if "fill" in attributes:  # only a style can refer to a property of the page
        attributes["style"] = f"fill: {attributes.pop('fill')}; {attributes.get('style', '')}".rstrip("; ")
    if attributes.get("id") not in ids:
        attributes.pop("id", None)
    for key, value in attributes.items():
        if key == "id":
            attributes[key] = ids[value]
        elif key == "href" or "url(#" in value:
            attributes[key] = re.sub(r"#([\w.-]+)", lambda old: f"#{ids.get(old[1], old[1])}", value)
    if "style" in attributes:
        attributes["style"] = _page_style(attributes["style"])
    node.attrib.clear()
    node.attrib.update(attributes)


def _page_style(style: str) -> str:
    themed = re.sub(r"#[0-9a-f]{6}(?=;|$)", _page_colour, style)
    return re.sub("font-family: [^;]*(; )?", "", themed)


def _page_colour(colour: re.Match[str]) -> str:
    return f"var({THEME[colour[0]]})" if colour[0] in THEME else colour[0]


def _local(name: str) -> str:
    return name.rpartition("}")[2]
