"""Execute the tutorial, docs/tour.ipynb, and save its outputs.

Usage: python tools/tour_output.py
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TOUR = Path(__file__).parents[1] / "docs" / "tour.ipynb"

_CELL_TIMEOUT_S = 600


def read_tour() -> NotebookNode:
    """Read the notebook and check its format."""
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    return notebook


def executed(notebook: NotebookNode, folder: Path, *more: str) -> NotebookNode:
    """Execute a copy of a notebook in a new kernel, with more cells at its end, and return it with its outputs."""
    copy = nbformat.from_dict(notebook)
    for cell in code_cells(copy):
        cell.outputs, cell.execution_count = [], None
    copy.cells += [nbformat.v4.new_code_cell(source) for source in more]
    client = NotebookClient(
        copy,
        timeout=_CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    for cell in code_cells(copy):  # progress is an output that is empty in the end
        cell.outputs = [output for output in cell.outputs if output.output_type != "display_data" or output.data]
    return copy


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without metadata of the machine, and with a digest of the code that gave the outputs."""
    copy = nbformat.from_dict(notebook)
    copy.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "outputs_of": sources_digest(copy),
        }
    )
    for cell in copy.cells:
        cell.metadata = {}
    return copy


def sources_digest(notebook: NotebookNode) -> str:
    """Return a digest of all code."""
    return hashlib.sha256("\0".join(cell.source for cell in code_cells(notebook)).encode()).hexdigest()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode, stream: str = "stdout") -> str:
    """Return the text that a cell wrote to a stream."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == stream)


def kinds(cell: NotebookNode) -> list[list[str]]:
    """Return the kind of each output of a cell: the name of a stream, or the MIME types of a value."""
    return [
        [output.name] if output.output_type == "stream" else sorted(output.get("data", {})) for output in cell.outputs
    ]


_PICTURE = re.compile(r"""\w+\("[^"]*-(?P<genre>[a-z]+)[.-][^"]*", alt="(?P<alt>[^"]*)\"""")


def wrong_labels(notebook: NotebookNode) -> list[str]:
    """Return the texts of pictures that do not name the genre in the file's name, which is the label in the cache."""
    pictures = [match for cell in code_cells(notebook) for match in _PICTURE.finditer(cell.source)]
    return [match["alt"] for match in pictures if match["genre"] not in match["alt"].split()]


def _main() -> None:
    if wrong := wrong_labels(read_tour()):
        sys.exit(f"{TOUR} names another genre than that of the file: {'; '.join(wrong)}")
    with tempfile.TemporaryDirectory() as folder:
        notebook = cleaned(executed(read_tour(), Path(folder)))
    problems = [printed(cell, "stderr") for cell in code_cells(notebook) if printed(cell, "stderr")]
    if problems:
        sys.exit(f"{TOUR} is not changed, because cells wrote to stderr:\n{''.join(problems)}")
    TOUR.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _main()
