"""The tutorial runs without errors, and its text is true of its results."""

import base64
import json
import re
from pathlib import Path

import pytest
from nbformat import NotebookNode
from tour_output import (
    TOUR,
    cleaned,
    code_cells,
    executed,
    kinds,
    printed,
    read_tour,
    sources_digest,
    wrong_labels,
)

# One process of pytest-xdist executes the notebook for all tests.
pytestmark = pytest.mark.xdist_group("tour")

FIGURES = ("look", "curves", "bars", "confusion")

FACTS = """\
import json
print(json.dumps({
    "reused": again.reused, "tracks": prepared.tracks,
    "leaking": leaking.validation.fragment_accuracy, "honest": honest.validation.fragment_accuracy,
    "curve_epochs": [run.epochs for run in trained.values()],
    "ranked": [run.config["arch"] for run in compared.runs],
    "arms": list(study.ranking), "verdicts": [finding.verdict for finding in study.findings],
    "seeds": [run.seeds for run in study.runs],
    "winner": winner, "readings": evaluated.readings, "models": len(evaluated.models),
    "accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "chance": 1 / len(genres),
    "probabilities": sum(prediction.probabilities.values()), "confusion": sum(map(sum, figures.confusion)),
    "test_tracks": figures.tracks,
}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The executed notebook, with a last cell that prints the results that its text mentions."""
    folder = tmp_path_factory.mktemp("tour")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
            (folder / name).mkdir()
            patch.setenv(name, str(folder / name))
        return executed(read_tour(), folder, FACTS)


def by_name(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.id: cell for cell in code_cells(notebook)}


@pytest.mark.docs
def test_every_cell_runs_without_an_error_or_a_warning(ran: NotebookNode) -> None:
    for cell in code_cells(ran):
        assert cell.execution_count is not None
        assert not [output for output in cell.outputs if output.output_type == "error"]
        assert printed(cell, "stderr") == "", cell.id


@pytest.mark.docs
def test_the_committed_outputs_are_of_the_committed_cells(ran: NotebookNode) -> None:
    committed = read_tour()
    assert committed.metadata.outputs_of == sources_digest(committed), "run nox -s tour"
    saved, new = by_name(committed), by_name(ran)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in ran.cells[:-1]]
    assert [cell.execution_count for cell in saved.values()] == list(range(1, len(saved) + 1))
    for name, cell in saved.items():
        assert kinds(cell) == kinds(new[name]), name
        assert len(printed(cell).splitlines()) == len(printed(new[name]).splitlines()), name


@pytest.mark.docs
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_picture(ran: NotebookNode, name: str) -> None:
    for notebook in (ran, read_tour()):
        (output,) = [output for output in by_name(notebook)[name].outputs if "data" in output]
        assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG\r\n\x1a\n")


def test_no_cell_shows_a_picture_that_is_not_tested() -> None:
    shown = {cell.id for cell in code_cells(read_tour()) if "Image(" in cell.source}
    assert shown == set(FIGURES)


@pytest.mark.docs
def test_the_text_is_true_of_the_results(ran: NotebookNode) -> None:
    facts = json.loads(printed(ran.cells[-1]))
    assert facts["reused"] == facts["tracks"]  # "it processes only what has changed"
    assert facts["leaking"] > facts["honest"]  # "the first figure is higher"
    assert facts["curve_epochs"] == [8, 8]
    assert sorted(facts["ranked"]) == ["cel", "logreg", "mlp"]
    assert sorted(facts["arms"]) == ["cel", "logreg", "mlp"]
    assert set(facts["verdicts"]) <= {"upheld", "refuted", "undecided"}  # each was tested
    assert facts["seeds"] == [[0, 1, 2]] * 3
    assert facts["winner"] == facts["arms"][0]
    assert (facts["readings"], facts["models"]) == (1, 1)  # "counts how often", "it scores one model"
    assert facts["confusion"] == facts["test_tracks"]
    assert facts["low"] <= facts["accuracy"] <= facts["high"]
    assert facts["accuracy"] > facts["chance"]
    assert facts["probabilities"] == pytest.approx(1)


def test_a_result_is_shown_as_a_table() -> None:
    (output,) = by_name(read_tour())["compare"].outputs
    assert output.data["text/html"].count("<tr>") == 1 + len(("logreg", "mlp", "cel"))


def test_a_picture_of_a_genre_is_named_by_the_label_of_its_file() -> None:
    tour = read_tour()
    assert "look/04-jazz.png" in by_name(tour)["look"].source
    assert wrong_labels(tour) == []
    by_name(tour)["look"].source = by_name(tour)["look"].source.replace("fragment of jazz", "fragment of blues")
    assert wrong_labels(tour) == ["A fragment of blues as waveform and mel spectrogram"]


def test_the_committed_file_is_small_and_names_no_machine() -> None:
    text = TOUR.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    for cell in code_cells(read_tour()):
        forms = [str(value) for output in cell.outputs for value in output.get("data", {}).values()]
        text_output = printed(cell) + "".join(form for form in forms if len(form) < 2_000)
        assert not re.search(r"/(tmp|home|root|Users|work|var)/| 0x[0-9a-f]{6,}", text_output), cell.id
    assert str(Path.home()) not in text


def test_cells_have_names_and_nothing_of_the_machine() -> None:
    notebook = read_tour()
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id) and cell.metadata == {} for cell in notebook.cells)
    assert cleaned(notebook) == notebook
