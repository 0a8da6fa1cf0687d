"""Figures as SVG elements of a page, whose colours follow the page's light or dark theme."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

THEME = {
    "#000000": "--ink",
    "#333333": "--ink",
    "#666666": "--quiet",
    "#e3e5e8": "--rule",
    "#ffffff": "--paper",
    "#0072b2": "--first",
    "#d55e00": "--second",
    "#009e73": "--third",
}
"""The property of page.css that replaces each colour of a figure."""


def to_svg(figure: Figure, name: str, description: str = "") -> Markup:
    """Draw a figure as an SVG element for a page.

    `name` is the prefix of its ids, which must be unique within a page. `description` is read to people who do not see
    the figure; without one the figure is hidden from screen readers. The same figure always gives the same text.
    Raises KeyError if a colour of the figure is not in `THEME`.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314 (matplotlib wrote it)
    _remove(root, "metadata", "style")
    used = set(re.findall(r"#([\w.-]+)", " ".join(value for node in root.iter() for value in _references(node))))
    for node in root.iter():
        _adapt(node, name, used)
    root.attrib.clear()
    width, height = figure.get_size_inches() * 72
    access = {"role": "img", "aria-label": description} if description else {"aria-hidden": "true"}
    root.attrib.update({"class": "chart", "viewBox": f"0 0 {width:g} {height:g}", **access})
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (it is markup: texts are escaped)


def _remove(root: ElementTree.Element, *tags: str) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in tags:
                parent.remove(child)


def _references(node: ElementTree.Element) -> list[str]:
    """The attributes of a node that refer to ids."""
    return [value for key, value in node.attrib.items() if _local(key) == "href" or "url(#" in value]


def _adapt(node: ElementTree.Element, name: str, used: set[str]) -> None:
    """Remove namespaces and unused ids, prefix the other ids, and replace fonts and colours by those of the page."""
    node.tag = _local(node.tag)
    attributes = {_local(key): value for key, value in node.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    for key, value in attributes.items():
        if key == "id":
            attributes[key] = f"{name}-{value}"
        elif key == "href":
            attributes[key] = value.replace("#", f"#{name}-")
        elif key in ("style", "clip-path"):
            attributes[key] = _page_style(value.replace("url(#", f"url(#{name}-"))
    node.attrib.clear()
    node.attrib.update(attributes)


def _page_style(style: str) -> str:
    themed = re.sub(r"#[0-9a-f]{6}(?=;|$)", lambda colour: f"var({THEME[colour[0]]})", style)
    return re.sub("font-family: [^;]*(; )?", "", themed)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
