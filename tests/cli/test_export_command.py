"""genrekit export, flag by flag."""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_cli import CommandLine

import genrekit as library
from genrekit.inference import onnx_export
from genrekit.workflows import export as workflow


@pytest.mark.slow
def test_the_file_is_written_into_the_bundle_which_is_loaded_as_before(here: Path, genrekit: CommandLine) -> None:
    before = genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/mlp/best", "--json").json
    outcome = genrekit("export", "runs/mlp/best", "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert (result["out"], result["format"], result["clips"]) == ("runs/mlp/best/model.onnx", "onnx", 11)
    assert result["genres"] == ["blues", "jazz", "metal"]
    assert 0 <= result["largest_difference"] < 1e-4
    assert Path(result["out"]).stat().st_size == result["size"]
    assert genrekit("predict", "data/jazz/jazz-0.wav", "--model", "runs/mlp/best", "--json").json == before


@pytest.mark.slow
def test_the_largest_difference_is_printed(here: Path, genrekit: CommandLine) -> None:
    outcome = genrekit("export", "runs/cel/best", "--format", "onnx", "--out", "deep/x.onnx")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("deep/x.onnx: onnx, ")
    assert (
        "Input: clips of 4,000 samples at 8,000 Hz. Output: probabilities of 3 genres. Checked with 11 clips: "
        in outcome.out
    )
    assert "Export runs/cel/best" in outcome.err
    session = onnxruntime.InferenceSession("deep/x.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"waveform": np.ones((7, 4_000), np.float32)})
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that takes no time, whose model answers as the bundle does."""
    monkeypatch.setattr(workflow, "to_onnx", lambda _bundle: b"a model")
    monkeypatch.setattr(workflow, "largest_difference", lambda *_: 0.0)


@pytest.mark.usefixtures("exporter")
def test_an_existing_file_is_replaced_only_with_force(here: Path, genrekit: CommandLine) -> None:
    Path("x.onnx").write_text("dear")
    outcome = genrekit("export", "runs/mlp/best", "--out", "x.onnx")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "x.onnx already exists" in outcome.err
    assert Path("x.onnx").read_text() == "dear"
    assert genrekit("export", "runs/mlp/best", "--out", "x.onnx", "--force", "--quiet").code == 0
    assert Path("x.onnx").read_bytes() == b"a model"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(("runs/mlp",), 1, "runs/mlp is not a bundle", id="no-bundle"),
        pytest.param(("absent",), 1, "absent is not a bundle", id="absent"),
        pytest.param(
            ("runs/mlp/best", "--format", "onyx"), 2, "unknown format 'onyx': did you mean onnx?", id="format"
        ),
        pytest.param(("runs/mlp/best", "--out", "data"), 2, "data is a directory: name a file", id="folder"),
        pytest.param(("runs/mlp/best", "--out", "data/cache.h5/x.onnx"), 1, "data/cache.h5", id="below-a-file"),
    ],
)
@pytest.mark.usefixtures("exporter")
def test_a_problem_with_exporting_is_one_line(
    here: Path, genrekit: CommandLine, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = genrekit("export", *arguments, "--quiet")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert message in outcome.err


def test_a_damaged_bundle_is_refused(here: Path, genrekit: CommandLine) -> None:
    Path("runs/mlp/best/model.safetensors").write_bytes(b"")
    outcome = genrekit("export", "runs/mlp/best", "--quiet")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "model.safetensors is damaged" in outcome.err
    assert not Path("runs/mlp/best/model.onnx").exists()


def test_without_a_folder_for_temporary_files_it_says_what_to_set(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(here / "absent")])
    outcome = genrekit("export", "runs/mlp/best", "--out", "x.onnx", "--quiet")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "No usable temporary directory" in outcome.err
    assert "set TMPDIR to a folder on a disk with space" in outcome.err


@pytest.mark.usefixtures("exporter")
def test_a_model_with_other_probabilities_is_not_written(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "largest_difference", lambda *_: 0.25)
    outcome = genrekit("export", "runs/mlp/best", "--out", "x.onnx", "--quiet")
    assert outcome.code == 1
    assert "differ by 0.25 from those of the bundle, more than 0.001" in outcome.err
    assert not Path("x.onnx").exists()


def test_without_the_extra_it_says_what_to_install(
    here: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else object())
    outcome = genrekit("export", "runs/mlp/best")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "exporting needs onnxscript, which is not installed: pip install 'genrekit[export]'" in outcome.err


@pytest.mark.usefixtures("exporter")
def test_the_python_function_gives_the_same_result(here: Path) -> None:
    made = library.export("runs/mlp/best", out="x.onnx")
    assert made.out == Path("x.onnx")
    assert made.genres == ("blues", "jazz", "metal")
