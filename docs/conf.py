"""Settings of the documentation site: `nox -s docs` builds it into docs/_build/html."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import reference_pages

import genrekit

project = "genrekit"
copyright = "the genrekit authors"  # noqa: A001 - Sphinx reads this name
release = version = genrekit.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# The tour is executed by `nox -s tour`, and a test compares its outputs.
nb_execution_mode = "off"

# Docstrings use single backticks for code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
add_module_names = False
# A type in a signature is a link if the site describes it. Types of other libraries would need the network.
nitpick_ignore_regex = [("py:(class|data|obj)", ".*")]

html_theme = "furo"
html_title = f"genrekit {release}"
html_static_path = ["_static"]
html_copy_source = False
html_css_files = ["site.css"]
copybutton_exclude = ".linenos, .gp, .go"


class Generated(SphinxDirective):
    """Insert a page that is generated from the code.

    The content of the directive is not used. It tells readers of the repository where to look.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse what a function of tools/reference_pages.py returns."""
        text = getattr(reference_pages, self.arguments[0])()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def separate_errors(_app: Sphinx, _what: str, _name: str, _obj: object, _options: Any, lines: list[str]) -> None:
    """Show the "Errors:" part of a docstring as a paragraph."""
    for number in reversed(range(len(lines))):
        if lines[number].startswith("Errors:"):
            lines[number : number + 1] = ["", f"**Errors:**{lines[number].removeprefix('Errors:')}"]


def setup(app: Sphinx) -> None:
    """Register the directive and the hook."""
    app.add_directive("generated", Generated)
    app.connect("autodoc-process-docstring", separate_errors)
