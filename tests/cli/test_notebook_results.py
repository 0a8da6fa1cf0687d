"""Results of the Python API are short as text, and a table with a picture in a notebook."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tiny_tunes import tune, write

from genrekit import compare, evaluate, predict, prepare
from genrekit.data.collection import SkippedFile
from genrekit.io.shown import ShownResult
from genrekit.metrics.intervals import Interval
from genrekit.workflows.compare import CompareResult, RankedRun
from genrekit.workflows.notebook import html_of

MARKUP = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """Counts tags and checks that they are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def view(result: ShownResult) -> str:
    """The HTML of a result, which has one table and one picture."""
    text = result._repr_html_()
    tags = Tags(text).tags
    assert (tags.count("table"), tags.count("img"), tags.count("script")) == (1, 1, 0)
    (source,) = re.findall('src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(source).startswith(b"\x89PNG\r\n\x1a\n")
    return text


@pytest.fixture
def results(here: Path) -> list[ShownResult]:
    """The results of prepare, compare, evaluate and predict in the workspace."""
    cache = "data/cache.h5"
    write(Path("song.wav"), tune(0))
    return [
        compare("runs"),
        evaluate("best_models", cache),
        predict("song.wav", "runs/mlp/best"),
        predict(["song.wav", "data/jazz/jazz-0.wav"], "runs/mlp/best"),
    ]


def test_each_result_is_a_table_and_a_picture(results: list[ShownResult]) -> None:
    compared, evaluated, one, several = map(view, results)
    assert "mlp" in compared
    assert "macro F1" in evaluated
    assert "song.wav" in one
    assert "jazz-0.wav" in several


def test_each_result_is_a_short_text(results: list[ShownResult]) -> None:
    for result in results:
        text = repr(result)
        assert text.startswith(f"{type(result).__name__}(")
        assert len(text) < 500
        assert "\n" not in text


def test_prepare_shows_the_tracks_of_each_genre(here: Path) -> None:
    result = prepare("data", out="other.h5", workers=1, store="mel", fragments="first")
    assert "other.h5: 30 tracks" in view(result)
    assert "tracks=30" in repr(result)


def test_markup_in_names_is_escaped() -> None:
    run = RankedRun(MARKUP, {}, (0,), Interval(0.5, 0.4, 0.6), 1.0, 10, "track", False)
    text = view(CompareResult((run,), (MARKUP,), skipped=(SkippedFile("a", "b"),)))
    assert "&lt;script&gt;" in text


def test_a_result_without_a_view_is_refused() -> None:
    with pytest.raises(TypeError, match="has no view for notebooks"):
        html_of(ShownResult())
