"""A page of HTML that needs nothing else: styles and pictures are inside, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from importlib.resources import files


class Html(str):
    """Markup that is ready to stand in a page; any other text is escaped on its way there."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Text as markup.

    >>> escaped("R&B <live>"), escaped(Html("<b>R</b>"))
    ('R&amp;B &lt;live&gt;', '<b>R</b>')
    """
    return text if isinstance(text, Html) else Html(html.escape(text))


_EMPTY = {"br", "img"}
"""Elements without an end tag."""


def element(tag: str, *content: str, **attributes: str) -> Html:
    """An element around its content; a trailing underscore of an attribute's name is dropped, others become hyphens.

    >>> element("p", "a < b", element("br"), class_="note", aria_label='"x"')
    '<p class="note" aria-label="&quot;x&quot;">a &lt; b<br></p>'
    """
    names = {key.removesuffix("_").replace("_", "-"): value for key, value in attributes.items()}
    start = "".join([tag, *(f' {name}="{html.escape(value)}"' for name, value in names.items())])
    end = "" if tag in _EMPTY else f"</{tag}>"
    return Html(f"<{start}>{''.join(map(escaped, content))}{end}")


def joined(parts: Sequence[str], separator: str = "") -> Html:
    """Parts one after the other, each escaped where it is plain text."""
    return Html(escaped(separator).join(map(escaped, parts)))


def section(title: str, *content: str, anchor: str, level: int = 2) -> Html:
    """A part of the page under a heading, which `#anchor` leads to."""
    heading = element(f"h{level}", title, id=anchor)
    return Html(f"{element('section', heading, *content, aria_labelledby=anchor)}\n")


def contents(entries: Sequence[tuple[str, str]]) -> Html:
    """Links to sections, from (anchor, title)."""
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title in entries]
    return element("nav", element("ul", *links), aria_label="Contents")


def figure(png: bytes, alt: str, caption: str) -> Html:
    """A picture with its caption; the bytes of the PNG file are part of the page."""
    data = base64.b64encode(png).decode("ascii")
    picture = element("img", src=f"data:image/png;base64,{data}", alt=alt)
    box = element("div", picture, class_="scroll picture", tabindex="0", role="region", aria_label=caption)
    return Html(f"{element('figure', box, element('figcaption', caption))}\n")


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and their values, one below the other."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs))


def folded(summary: str, *content: str) -> Html:
    """Content that is folded away under a line."""
    return Html(f"{element('details', element('summary', summary), *content)}\n")


def code(text: str) -> Html:
    """Lines to type, as they stand."""
    inner = element("code", text)
    return element("pre", inner, tabindex="0", role="region", aria_label="Commands")


def framed(title: str, body: str) -> Html:
    """A page's title as its first heading, and its content, which the first link of the page leads to."""
    return Html(
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f"<header>{element('h1', title)}</header>\n"
        f'<main id="main" tabindex="-1">\n{body}</main>\n'
    )


def document(title: str, body: str, script: str = "", *, style: str = "") -> str:
    """Write a whole page around a body, which is markup; `title` is text, `style` is CSS that is added to the page's.

    The page's own policy forbids every request, and every script but `script`, so that a name which got into the body
    as markup could do nothing.
    """
    script = _contained(script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; "
        f"form-action 'none'; script-src 'sha256-{digest}'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{element("title", title)}
<link rel="icon" href="data:,">
<style>
{asset("page.css")}{style}</style>
</head>
<body>
{body}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def asset(name: str, package: str = "genrekit.reports") -> str:
    """Read a stylesheet or a script that ships with a package."""
    return (files(package) / name).read_text(encoding="utf-8")


def _contained(script: str) -> str:
    """A script in which no text ends the element it stands in."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)
