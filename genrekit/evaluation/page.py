"""A page of HTML that needs nothing else: styles and pictures are inside, nothing is fetched."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Sequence


class Html(str):
    """Markup that is ready to stand in a page; any other text is escaped on its way there."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Text as markup.

    >>> escaped("R&B <live>"), escaped(Html("<b>R</b>"))
    ('R&amp;B &lt;live&gt;', '<b>R</b>')
    """
    return text if isinstance(text, Html) else Html(html.escape(text))


_EMPTY = {"br", "hr", "img", "meta"}
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


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, numeric: Collection[int] = (), kind: str = ""
) -> Html:
    """A table that scrolls in a box of its own where it is wider than the page.

    The first cell of a row is its heading; the columns in `numeric` (from 0) are set to the right. `kind` is a class.
    """
    looks = [_look(column, [row[column] for row in rows], numeric) for column in range(len(head))]
    top = element("tr", *(element("th", name, scope="col", **look) for name, look in zip(head, looks, strict=True)))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row", **looks[0]),
            *(element("td", cell, **look) for cell, look in zip(row[1:], looks[1:], strict=True)),
        )
        for row in rows
    ]
    inner = element(
        "table",
        element("caption", caption),
        element("thead", top),
        element("tbody", Html("\n" + "\n".join(body) + "\n")),
        **({"class_": kind} if kind else {}),
    )
    return Html(f"{element('div', inner, class_='scroll', tabindex='0', role='region', aria_label=caption)}\n")


_TEXT, _LONG = 24, 90
"""Characters from which on a cell's text needs a wide column, and a wider one."""


def _look(column: int, cells: Sequence[str], numeric: Collection[int]) -> dict[str, str]:
    """The class of a column: numbers are set to the right, and long texts get room."""
    if column in numeric:
        return {"class_": "number"}
    longest = max((len(re.sub("<[^>]*>", "", cell)) for cell in cells), default=0)
    return {"class_": "long" if longest > _LONG else "text"} if longest > _TEXT else {}


def figure(png: bytes, alt: str, caption: str) -> Html:
    """A picture with its caption; the bytes of the PNG file are part of the page."""
    data = base64.b64encode(png).decode("ascii")
    picture = element("img", src=f"data:image/png;base64,{data}", alt=alt)
    box = element("div", picture, class_="scroll picture", tabindex="0", role="region", aria_label=caption)
    return Html(f"{element('figure', box, element('figcaption', caption))}\n")


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and their values, one below the other."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs))


def code(text: str) -> Html:
    """Lines to type, as they stand."""
    inner = element("code", text)
    return element("pre", inner, tabindex="0", role="region", aria_label="Commands")


def document(title: str, body: str, script: str = "") -> str:
    """A whole page from a title, which is also its first heading, and a body, which is markup.

    The page's policy lets a browser load nothing but what is inside it.
    """
    inline = " script-src 'unsafe-inline';" if script else ""
    policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline';{inline}"
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        '<meta name="color-scheme" content="light dark">',
        element("title", title),
        f"<style>{_STYLE}</style>",
    ]
    ending = f"<script>{_contained(script)}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n' + "\n".join(head) + "\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f"<header>{element('h1', title)}</header>\n"
        f'<main id="main" tabindex="-1">\n{body}</main>\n{ending}</body>\n</html>\n'
    )


def _contained(script: str) -> str:
    """A script in which no text ends the element it stands in."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --raised: #f5f7f9; --line: #d0d7de;
  --link: #0b5fa5; --good: #00664b; --bad: #a63c00; --even: #0b5fa5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --quiet: #a4adb8; --paper: #14171b; --raised: #1f242a;
  --line: #3a424c; --link: #7cc0f5; --good: #5fd0ab; --bad: #ff9d66; --even: #7cc0f5; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
main { padding-bottom: 3rem; }
main:focus { outline: none; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; scroll-margin-top: 1rem; }
h1 { font-size: 1.9rem; margin: 2rem 0 .75rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
p, ul, ol, dl { max-width: 46rem; overflow-wrap: anywhere; }
.lead { font-size: 1.15rem; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .9rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; background: var(--paper); padding: .5rem 1rem; z-index: 2; }
.skip:focus { left: 1rem; top: .5rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; max-width: none; }
dl { margin: 1rem 0; }
dl > div { display: grid; grid-template-columns: 9rem 1fr; gap: 1rem; padding: .3rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; overflow-wrap: break-word; font-size: .9rem; line-height: 1.4; }
caption { text-align: left; padding: .6rem .75rem; }
th, td { padding: .45rem .75rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { background: var(--raised); vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 600; background: var(--paper); min-width: 9rem; }
th:first-child { position: sticky; left: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.text { min-width: 13rem; }
td.long { min-width: 20rem; }
td.number { white-space: nowrap; }
tbody th.number { min-width: 0; width: 4rem; }
td small { display: block; color: var(--quiet); }
.line { display: block; }
figure { margin: 1.5rem 0; }
.picture { background: #fff; width: fit-content; max-width: 100%; margin: 0; }
img { display: block; max-width: max(100%, 44rem); height: auto; padding: .5rem; }
figcaption { margin-top: .5rem; max-width: 46rem; }
pre { overflow-x: auto; background: var(--raised); border: 1px solid var(--line); border-radius: 6px;
  padding: .75rem 1rem; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9em; }
.good { color: var(--good); } .bad { color: var(--bad); } .even { color: var(--even); } .open { color: var(--quiet); }
.verdict { font-weight: 600; white-space: nowrap; }
@media (max-width: 40rem) {
  header, main { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.5rem; }
  dl > div { grid-template-columns: 1fr; gap: 0; }
  th, td { padding: .4rem .5rem; }
  tbody th, th.text, th.long { min-width: 8.5rem; max-width: 40vw; }
  td.text { min-width: 11rem; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --quiet: #444; --paper: #fff; --raised: #eee; --line: #999; --link: #000;
    --good: #00664b; --bad: #a63c00; --even: #0b5fa5; }
  body { font-size: 9.5pt; }
  header, main { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  .scroll { overflow: visible; border: 0; }
  table { font-size: 7.5pt; }
  th, td { padding: 2pt 4pt; }
  td.number { white-space: normal; }
  tbody th, .text, td.long { min-width: 0; }
  img { max-width: 100%; max-height: 22cm; }
  th:first-child { position: static; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  pre { white-space: pre-wrap; }
}
"""
