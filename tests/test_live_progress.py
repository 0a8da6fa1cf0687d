"""The functions of the Python API show their progress to a person who watches, and to nobody else."""

import inspect
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_cli import SMALL, CommandLine
from tiny_music import write_collection

import genrekit as library
from genrekit import FeatureConfig, Progress, Reporter, prepare
from genrekit.metrics.epochs import Step
from genrekit.workflows.live_progress import LiveProgress, NotebookScreen, automatic_reporter
from genrekit.workflows.reporter import RunProgress

FEATURES = FeatureConfig(sample_rate=8_000, duration_s=0.5, n_fft=512, hop_length=256, n_mels=16)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Lines:
    """A screen that remembers what it shows; None is cleared."""

    def __init__(self) -> None:
        self.lines: list[str | None] = []

    def show(self, text: str) -> None:
        self.lines.append(text)

    def clear(self) -> None:
        self.lines.append(None)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "data", {"blues": 2, "jazz": 2}, duration_s=0.6, sample_rate=8_000)


def test_a_terminal_shows_the_tracks_and_removes_the_line(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    prepare(music, out=tmp_path / "cache.h5", features=FEATURES, workers=1)
    assert "\r\x1b[Kprocessed: 4 of 4" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("reporter", [Reporter(), Progress(lambda _done, _of: None)], ids=["none", "own"])
def test_a_reporter_of_the_caller_replaces_it(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reporter: Reporter
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    prepare(music, out=tmp_path / "cache.h5", features=FEATURES, workers=1, reporter=reporter)
    assert terminal.getvalue() == ""


def test_the_line_is_removed_after_an_error(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    (music / "blues" / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(library.GenrekitError):
        prepare(music, out=tmp_path / "cache.h5", features=FEATURES, workers=1, strict=True)
    assert not terminal.getvalue() or terminal.getvalue().endswith("\r\x1b[K")


def test_elsewhere_nothing_is_shown(music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(music, out=tmp_path / "cache.h5", features=FEATURES, workers=1)
    assert capsys.readouterr() == ("", "")


class Display:
    """The module IPython.display: one output, which is updated."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.outputs.append(data)
        return SimpleNamespace(update=lambda data, raw: self.outputs.append(data))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    """Pretend to run in the kernel of a notebook."""
    display = Display()
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel="kernel"), display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return display


def test_a_notebook_shows_the_line_in_an_output_that_ends_empty(notebook: Display, music: Path, tmp_path: Path) -> None:
    prepare(music, out=tmp_path / "cache.h5", features=FEATURES, workers=1)
    assert "processed: 4 of 4" in [output.get("text/plain") for output in notebook.outputs]
    assert notebook.outputs[-1] == {}


def test_the_text_is_escaped_in_a_notebook(notebook: Display) -> None:
    NotebookScreen().show("<b>")
    assert notebook.outputs[0]["text/html"] == "<small>&lt;b&gt;</small>"


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert type(automatic_reporter()) is Reporter


def test_steps_and_runs_are_shown() -> None:
    screen = Lines()
    step = Step(epoch=2, epochs=3, step=1, steps=4, loss=1.0, accuracy=0.5, lr=0.1, fragments_per_s=10.0)
    LiveProgress(screen).step(step)
    states = ("finished", "failed", "running", "waiting")
    LiveProgress(screen).runs([RunProgress(name, name) for name in states])  # type: ignore[arg-type]
    assert screen.lines == ["epoch 2 of 3, step 1 of 4", "runs: 2 of 4"]


def test_every_function_with_a_reporter_shows_its_progress() -> None:
    functions = [getattr(library, name) for name in library.__all__]
    reporting = [
        one for one in functions if inspect.isfunction(one) and "reporter" in inspect.signature(one).parameters
    ]
    assert len(reporting) >= 6
    for function in reporting:
        assert hasattr(function, "__wrapped__"), function.__name__


def test_a_command_has_its_own_progress(
    music: Path, genrekit: CommandLine, monkeypatch: pytest.MonkeyPatch, notebook: Display
) -> None:
    monkeypatch.chdir(music.parent)
    assert genrekit("prepare", *SMALL, "--workers", "1", "--quiet").code == 0
    assert notebook.outputs == []
