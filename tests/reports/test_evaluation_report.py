"""The report is one page in which names are text and all numbers are those of the evaluation."""

import base64
import hashlib
import re
from dataclasses import replace
from importlib.resources import files

import pytest
from evaluated import GENRES, SCRIPT, evaluation, figures, metadata, stories
from page_reader import Reader

from genrekit.metrics.evaluation import EvaluateResult
from genrekit.metrics.intervals import Interval
from genrekit.metrics.paired_test import PairedFigures
from genrekit.reports.evaluation_report import report_page
from genrekit.reports.model_section import ModelStory


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(evaluation(), stories(evaluation()))


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


def test_names_are_escaped_everywhere(page: str, reader: Reader) -> None:
    """In tables, headings, captions, labels, warnings, reasons and commands."""
    assert len(reader.all("script")) == 1
    assert page.count("<script>") == 1
    assert SCRIPT not in page
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)
    whole = reader.text
    for shown in (GENRES[1], GENRES[2], f"a warning {SCRIPT}", f"not decodable {SCRIPT}"):
        assert shown in whole


def test_nothing_is_loaded(reader: Reader) -> None:
    for tag, attributes in reader.elements:
        for name in ("src", "href", "poster", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    (policy,) = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_policy_allows_the_page_s_own_script_alone(page: str, reader: Reader) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_ids_are_unique_and_links_lead_to_them(reader: Reader) -> None:
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in reader.all("a"):
        assert link["href"][1:] in ids


def test_tables_have_captions_and_headings_with_a_scope(reader: Reader) -> None:
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(head.get("scope") in ("col", "row") for head in reader.all("th"))


def test_pictures_and_charts_have_descriptions(reader: Reader) -> None:
    assert all(picture.get("alt") for picture in reader.all("img"))
    assert all(sound.get("aria-label") for sound in reader.all("audio"))
    for chart in reader.all("svg"):
        assert chart.get("aria-label") or chart.get("aria-hidden") == "true"


def test_every_count_of_the_confusion_matrix_is_on_the_page(reader: Reader) -> None:
    result = evaluation()
    cells = [cell["aria-label"] for cell in reader.all("td") if "aria-label" in cell]
    expected = [
        f"{model.genres[row]} predicted as {model.genres[column]}: {count} of {sum(counts)} tracks, "
        f"{100 * count / sum(counts):.0f} %"
        for model in result.models
        for row, counts in enumerate(model.confusion)
        for column, count in enumerate(counts)
    ]
    assert cells == expected


def test_only_one_cell_of_a_matrix_is_reached_with_the_tab_key(reader: Reader) -> None:
    stops = [cell for cell in reader.all("td") if cell.get("tabindex") == "0"]
    assert len(stops) == len(evaluation().models)


def test_ties_and_uses_of_the_test_set_are_shown(reader: Reader) -> None:
    whole = reader.text
    assert "used 2 times so far" in whole
    assert whole.count("\ntie\n") == 1
    assert len(reader.all("abbr")) == 1


def test_each_test_set_has_a_ranking_and_a_comparison() -> None:
    result = evaluation()
    third, fourth = (figures(name, 3, split="track, seed 7") for name in ("third", "fourth"))
    pair = PairedFigures(third.bundle, fourth.bundle, 30, 30, Interval(0.2, 0.1, 0.3), 0.01, 0.01, tie=False)
    both = replace(result, models=(*result.models, third, fourth), comparisons=(*result.comparisons, pair))
    text = report_page(both, [ModelStory(model, metadata()) for model in both.models])
    assert "on the test set (track, seed 0 split) with" in text
    assert "on the test set (track, seed 7 split) with" in text
    assert "Track accuracy of first minus" in text
    assert "Track accuracy of third minus" in text
    assert "track, seed 0 and track, seed 7 splits" in text


def test_sounds_and_pictures_are_those_of_the_examples(page: str) -> None:
    (first, second) = stories(evaluation())[0].examples
    assert first.sound is not None
    assert first.picture is not None
    assert page.count(base64.b64encode(first.sound[0]).decode()) == len((first, second))
    assert page.count(base64.b64encode(first.picture).decode()) == 2


def test_the_curves_and_the_numbers_of_all_epochs_are_on_the_page(reader: Reader) -> None:
    labels = [chart.get("aria-label", "") for chart in reader.all("svg")]
    assert len([label for label in labels if "over epochs" in label]) == 2 * len(evaluation().models)
    assert "0.420" in reader.text  # the last epoch's validation loss
    assert "best epoch (4)" in reader.text


@pytest.mark.parametrize(
    ("story", "words"),
    [
        pytest.param({"history": ()}, "contains no training history", id="an older bundle"),
        pytest.param({"train": {"arch": "lda"}}, "was fitted in one step", id="a classical model"),
    ],
)
def test_a_model_without_curves_says_why(story: dict[str, object], words: str) -> None:
    model = figures("only")
    known = metadata()
    changed = type(known).of({**known.model_dump(), **story})
    assert words in report_page(EvaluateResult((model,), 1), [ModelStory(model, changed)])


def test_the_report_of_a_folder_states_that_uses_are_not_counted() -> None:
    model = figures("only", unknown_genres={"polka": 2}, missing_genres=("blues",))
    page = report_page(EvaluateResult((model,), None), [ModelStory(model, metadata())])
    assert "used once" not in page
    result = replace(evaluation(), readings=None, data=evaluation().models[0].bundle)
    assert "are not counted" in report_page(result, stories(result))


def test_a_model_without_mistakes_has_no_pairs_and_no_examples() -> None:
    model = replace(figures("perfect"), confusion=((10, 0, 0), (0, 10, 0), (0, 0, 10)))
    page = report_page(EvaluateResult((model,), 1), [ModelStory(model, metadata())])
    Reader(page)
    assert "All tracks were predicted correctly" in page
    assert "Most confident mistakes" not in page


@pytest.mark.parametrize(
    "name",
    [
        "reports/page.css",
        "reports/evaluation_report.css",
        "reports/evaluation_report.js",
        "reports/templates/page.html",
        "studies/report.css",
        "studies/templates/study.html",
    ],
)
def test_templates_styles_and_scripts_ship_with_the_package(name: str) -> None:
    assert (files("genrekit") / name).is_file()
