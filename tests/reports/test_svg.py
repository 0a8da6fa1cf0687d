"""Figures become SVG elements that follow the page's theme and break nothing else on the page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from evaluated import HARMFUL, metadata, predictions
from matplotlib.figure import Figure
from tiny_study import histories, study

from genrekit.metrics.calibration import calibration
from genrekit.metrics.intervals import Interval
from genrekit.reports.page import asset
from genrekit.reports.plots import CURVES, interval_chart, learning_chart, reliability_chart, save_png
from genrekit.reports.svg import THEME, to_svg
from genrekit.studies.bar_plots import accuracy_bars, overview
from genrekit.studies.curve_plots import curves


def figures_of_a_study() -> dict[str, Figure]:
    result = study()
    return {
        "bars": accuracy_bars(result),
        "overview": overview(result),
        "curves": curves(histories(result), {run.name: run.group for run in result.runs}),
    }


def charts() -> dict[str, Figure]:
    answers = predictions()
    calibrated = calibration(answers.probabilities, answers.truth, list(range(len(answers.truth))))
    history = metadata().history
    return {
        "interval": interval_chart(Interval(0.5, 0.4, 0.7)),
        "reliability": reliability_chart(calibrated),
        **{kind: learning_chart(history, 4, kind) for kind in CURVES},
        "one epoch": learning_chart(history[:1], 1, "loss"),
        **figures_of_a_study(),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return {name: str(to_svg(figure, name.replace(" ", "-"), "what it shows")) for name, figure in charts().items()}


def test_every_colour_is_one_of_the_page(drawn: dict[str, str]) -> None:
    page = asset("page.css")
    for svg in drawn.values():
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!\))", svg.replace("url(#", "").replace('href="#', ""))
        for name in re.findall(r"var\((--[\w-]+)\)", svg):
            assert f"{name}:" in page
    assert "var(--first)" in drawn["loss"]


def test_all_colours_of_the_theme_are_properties_of_the_page_in_both_themes() -> None:
    light, dark = (asset("page.css").split("prefers-color-scheme: dark")[part].split("}")[0] for part in (0, 1))
    for name in THEME.values():
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_a_colour_without_a_counterpart_stays_as_it_is() -> None:
    figure = Figure()
    figure.subplots().plot([0, 1], color="#123456")
    assert "#123456" in to_svg(figure, "x")


def test_drawing_leaves_the_figure_unchanged() -> None:
    figure = interval_chart(Interval(0.5, 0.4, 0.7))
    to_svg(figure, "x")
    assert all(patch.get_visible() for patch in (figure.patch, figure.axes[0].patch))


def test_nothing_outside_is_named_and_the_rest_of_the_page_keeps_its_style(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        assert not re.search(r"https?:|<style|<metadata|xmlns|font-family|DejaVu", svg)


def test_ids_have_the_name_as_prefix_and_every_reference_leads_to_one(drawn: dict[str, str]) -> None:
    for name, svg in drawn.items():
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(one.startswith(f"{name.replace(' ', '-')}-") for one in ids)
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) == set(ids)


def test_the_same_figure_gives_the_same_text(drawn: dict[str, str]) -> None:
    for name, figure in charts().items():
        assert to_svg(figure, name.replace(" ", "-"), "what it shows") == drawn[name]


def test_a_figure_is_described_or_hidden(drawn: dict[str, str]) -> None:
    root = ElementTree.fromstring(drawn["loss"])
    assert (root.get("role"), root.get("aria-label")) == ("img", "what it shows")
    root = ElementTree.fromstring(to_svg(interval_chart(Interval(0.5, 0.4, 0.7)), "x"))
    assert (root.get("role"), root.get("aria-hidden")) == (None, "true")


def test_texts_stay_text_and_are_escaped(drawn: dict[str, str]) -> None:
    texts = [text.text for text in ElementTree.fromstring(drawn["accuracy"]).iter("text")]
    assert {"Accuracy in %", "epoch", "training", "validation, tracks", "best epoch (4)", "100"} <= set(texts)
    figure = Figure()
    figure.subplots().set_title(HARMFUL, parse_math=False)
    svg = to_svg(figure, "x", HARMFUL)
    assert "<script" not in svg
    assert "<img" not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == HARMFUL
    assert HARMFUL in [text.text for text in root.iter("text")]


def test_letters_that_the_font_lacks_are_no_warning(tmp_path: Path) -> None:
    figure = Figure()
    figure.suptitle("ロック")
    assert "svg" in to_svg(figure, "x")
    save_png(figure, tmp_path / "figure.png")
