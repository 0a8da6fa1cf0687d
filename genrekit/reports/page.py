"""HTML pages from Jinja2 templates: one file that contains its styles, script and pictures, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from genrekit.io.printable import printable_lines
from genrekit.metrics.formatting import percent_bounds

_HERE = "genrekit.reports"


def render(template: str, *, package: str = _HERE, style: str = "", script: str = "", **values: Any) -> str:
    """Render a page from a template in the `templates` directory of a package; all text is escaped.

    `style` is CSS that follows page.css. `script` is the only script that the page's Content-Security-Policy allows.
    Templates extend `page.html`, which needs the value `title`.
    """
    script = _safe_script(script)
    return (
        _environment(package)
        .get_template(template)
        .render(
            style=asset("page.css") + style,
            script=script,
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            **values,
        )
    )


def asset(name: str, package: str = _HERE) -> str:
    """Read a stylesheet or a script of a package."""
    return (files(package) / name).read_text(encoding="utf-8")


def data_uri(content: bytes, media_type: str) -> str:
    """Encode a file as a data URI.

    >>> data_uri(b"PNG", "image/png")
    'data:image/png;base64,UE5H'
    """
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_HERE)]),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"bounds": percent_bounds, "data_uri": data_uri}
    return environment


def _printable(value: Any) -> Any:
    """Escape what cannot be printed in text; markup and numbers stay as they are."""
    return printable_lines(value) if type(value) is str else value


def _safe_script(script: str) -> str:
    """Escape what would end the script element."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)
