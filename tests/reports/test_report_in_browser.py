"""The report in a real browser: no complaint, no request; it sorts, plays, and can be used without a mouse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, chromium, find_chromium
from evaluated import GENRES, evaluation, stories
from tiny_study import study

from genrekit.reports.evaluation_report import report_page
from genrekit.studies.report_html import to_html

EXECUTABLE = find_chromium()

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed, and none is named in $CHROMIUM"),
]

GENRE_TABLE = (
    "[...document.querySelectorAll('#model-1 table')]"
    ".find((table) => table.tHead.rows[0].cells[2].textContent === 'precision')"
)
ORDER = "[...document.querySelector('#model-1 .matrix').tBodies[0].rows].map((row) => row.cells[0].textContent)"
HEADS = "[...document.querySelectorAll('#model-1 .matrix thead th')].map((head) => head.textContent)"
READOUT = "document.querySelector('#model-1 .readout').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert EXECUTABLE is not None
    with chromium(EXECUTABLE, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page(evaluation(), stories(evaluation())), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["evaluation", "study"])
def any_report(request: pytest.FixtureRequest, report: Path) -> Path:
    """The report of an evaluation, and beside it that of a study, which is made of the same."""
    if request.param == "evaluation":
        return report
    path = report.with_name("study.html")
    path.write_text(to_html(study(), {}), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Page, report: Path) -> Page:
    browser.open(report)
    return browser


def column(page: Page, place: int) -> list[Any]:
    cells = f"[...{GENRE_TABLE}.tBodies[0].rows].map((row) => row.cells[{place}])"
    return page.run(f"{cells}.map((cell) => 'value' in cell.dataset ? Number(cell.dataset.value) : cell.textContent)")


def sort_by(page: Page, place: int) -> str:
    """Click a head of the genres' table and return the direction that it then tells."""
    head = f"{GENRE_TABLE}.tHead.rows[0].cells[{place}]"
    page.run(f"{head}.querySelector('button').click()")
    direction = page.run(f"{head}.getAttribute('aria-sort')")
    others = page.run(f"[...{head}.parentElement.cells].filter((cell) => cell.hasAttribute('aria-sort')).length")
    assert others == 1
    return str(direction)


def test_nothing_is_complained_of_and_nothing_is_fetched(page: Page, report: Path) -> None:
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert page.complaints == []
    assert report.as_uri() in page.requests
    assert {url for url in page.requests if not url.startswith("data:")} == {report.as_uri()}


def test_names_that_are_markup_made_no_element(page: Page) -> None:
    assert page.run("document.querySelectorAll('script').length") == 1
    assert page.run("document.querySelectorAll('img[onerror], img[src=x]').length") == 0
    assert page.run("document.body.innerText.includes('<script>alert(1)</script>')")


def test_the_policy_stops_what_a_page_could_still_ask_for(page: Page) -> None:
    blocked = "fetch('https://example.org/').then(() => 'there', () => 'stopped')"
    assert page.run(blocked) == "stopped"
    script = "const one = document.createElement('script'); one.textContent = 'window.harm = 1';"
    page.run(f"(() => {{ {script} document.body.append(one); }})()")
    assert page.run("window.harm === undefined")


@pytest.mark.parametrize("place", [1, 2, 3, 4], ids=["tracks", "precision", "recall", "F1"])
def test_numbers_are_sorted_from_the_largest_and_then_from_the_smallest(page: Page, place: int) -> None:
    before = column(page, place)
    assert sort_by(page, place) == "descending"
    assert column(page, place) == sorted(before, reverse=True)
    assert sort_by(page, place) == "ascending"
    assert column(page, place) == sorted(before)
    assert sort_by(page, place) == "descending"
    assert page.run("document.getElementById('said').textContent").startswith("sorted by")


def test_names_are_sorted_from_a_to_z_and_rows_stay_whole(page: Page) -> None:
    rows = set(zip(column(page, 0), column(page, 4), strict=True))
    sort_by(page, 2)
    assert sort_by(page, 0) == "ascending"
    assert column(page, 0) == list(GENRES)
    assert set(zip(column(page, 0), column(page, 4), strict=True)) == rows


def test_a_head_can_be_used_with_the_keyboard_and_its_focus_is_seen(page: Page) -> None:
    page.run(f"{GENRE_TABLE}.tHead.rows[0].cells[3].querySelector('button').focus()")
    page.press("Tab", 9)
    assert page.run("document.activeElement.textContent") == "F1"
    outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.press("Enter", 13)
    assert column(page, 4) == sorted(column(page, 4), reverse=True)


def test_the_matrix_is_ordered_by_recall_in_rows_and_columns_alike(page: Page) -> None:
    assert page.run(ORDER) == page.run(HEADS) == list(GENRES)
    diagonal = "[...document.querySelectorAll('#model-1 .matrix td.hit')].map((cell) => cell.textContent)"
    before = sorted(page.run(diagonal))
    page.run("document.querySelector('#model-1 [data-order=recall]').click()")
    recalls = {one.genre: one.recall.value for one in evaluation().models[0].per_genre}
    order = page.run(ORDER)
    assert [recalls[genre] for genre in order] == sorted(recalls.values(), reverse=True)
    assert page.run(HEADS) == order
    assert sorted(page.run(diagonal)) == before
    places = page.run(
        "[...document.querySelector('#model-1 .matrix').tBodies[0].rows].map((row) => "
        "[...row.querySelectorAll('td')].findIndex((cell) => cell.classList.contains('hit')))"
    )
    assert places == [0, 1, 2]
    assert page.run("document.querySelector('#model-1 [data-order=recall]').getAttribute('aria-pressed')") == "true"
    page.run("document.querySelector('#model-1 [data-order=name]').click()")
    assert page.run(ORDER) == list(GENRES)


def test_a_cell_that_is_pointed_at_tells_its_genres_and_count(page: Page) -> None:
    cell = "document.querySelector('#model-1 .matrix').tBodies[0].rows[2].querySelectorAll('td')[1]"
    page.run(f"{cell}.scrollIntoView({{ block: 'center' }})")
    x, y = page.run(f"(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])({cell}.getBoundingClientRect())")
    page.move_to(x, y)
    model = evaluation().models[0]
    expected = f"{GENRES[2]} called {GENRES[1]}: {model.confusion[2][1]} of 10 tracks"
    assert page.run(READOUT).startswith(expected)


def test_arrow_keys_move_between_cells_and_stay_within_the_matrix(page: Page) -> None:
    page.run("document.querySelector('#model-1 .matrix td[tabindex=\"0\"]').focus()")
    for key, code, row, column_ in (
        ("ArrowLeft", 37, 0, 0),
        ("ArrowRight", 39, 0, 1),
        ("ArrowDown", 40, 1, 1),
        ("End", 35, 1, 2),
        ("ArrowRight", 39, 1, 2),
        ("ArrowUp", 38, 0, 2),
    ):
        page.press(key, code)
        assert page.run(READOUT).startswith(f"{GENRES[row]} called {GENRES[column_]}:")
    assert page.run("document.querySelectorAll('#model-1 .matrix td[tabindex=\"0\"]').length") == 1


def test_a_mistake_can_be_heard_and_only_one_at_a_time(page: Page) -> None:
    page.run("document.querySelectorAll('audio')[0].play()")
    moved = (
        "new Promise((done, fail) => { const sound = document.querySelectorAll('audio')[0];"
        " sound.ontimeupdate = () => sound.currentTime > 0 && done(sound.currentTime);"
        " sound.onerror = () => fail(sound.error.message); })"
    )
    assert page.run(moved) > 0
    assert page.run("document.querySelectorAll('audio')[0].duration") == pytest.approx(1, abs=0.15)
    page.run("document.querySelectorAll('audio')[1].play()")
    assert page.run("[...document.querySelectorAll('audio')].map((sound) => sound.paused)") == [True, False]


def test_spectrograms_are_pictures(page: Page) -> None:
    sizes = page.run("[...document.images].map((one) => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[20, 16], [20, 16]]


def test_everything_that_can_be_used_has_a_name_for_those_who_cannot_see_it(page: Page) -> None:
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    names: dict[str, list[str]] = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if not node["ignored"]:
            names.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "link", "gridcell", "grid", "table", "region", "columnheader", "rowheader"):
        assert names[role], role
        assert all(names[role]), role
    counts = [cell for cell in names["gridcell"] if " called " in cell]
    assert len(counts) == len(evaluation().models) * len(GENRES) ** 2
    assert names["table"].count("Pairs of genres by the number of mistakes") == len(evaluation().models)


def test_a_link_in_the_ranking_opens_its_model(page: Page) -> None:
    assert page.run("document.getElementById('model-2').open") is False
    page.run("document.querySelector('a[href=\"#model-2\"]').click()")
    page.run("new Promise((done) => setTimeout(done, 100))")
    assert page.run("document.getElementById('model-2').open") is True


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1_200])
def test_nothing_is_wider_than_the_screen(browser: Page, any_report: Path, width: int, dark: bool) -> None:
    browser.open(any_report, width=width, height=844, dark=dark)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 23, 26)" if dark else "rgb(255, 255, 255)"
    )
    assert browser.complaints == []


@pytest.mark.parametrize("width", [390, 1_100])
def test_the_mark_of_sorting_stays_with_its_word(browser: Page, report: Path, width: int) -> None:
    browser.open(report, width=width, height=844)
    heights = browser.run(
        "[...document.querySelectorAll('th button')].filter((one) => one.checkVisibility())"
        ".filter((one) => !/\\s/.test(one.textContent)).map((one) => one.offsetHeight)"
    )
    assert len(heights) > 10
    assert len({*heights}) == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_the_paper(browser: Page, any_report: Path, dark: bool) -> None:
    """At least 4.5 to 1, as the Web Content Accessibility Guidelines ask of text (1.4.3)."""
    browser.open(any_report, dark=dark)
    light = (
        "(channels) => { const [r, g, b] = channels.map((one) => one / 255)"
        ".map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);"
        " return 0.2126 * r + 0.7152 * g + 0.0722 * b; }"
    )
    ratios = browser.run(
        f"(() => {{ const light = {light}; const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);"
        " const paper = parts(getComputedStyle(document.body).backgroundColor);"
        " const names = 'h1, .quiet, caption, a, .warnings, abbr, thead th, dt, .verdict, .matrix tbody td, '"
        " + '.orders button';"
        " return [...document.querySelectorAll(names)].filter((one) => one.checkVisibility()).map((one) => {"
        " const style = getComputedStyle(one), [r, g, b, alpha = 1] = parts(style.backgroundColor);"
        " const under = light([r, g, b].map((value, index) => alpha * value + (1 - alpha) * paper[index]));"
        " const ink = light(parts(style.color).slice(0, 3));"
        " return (Math.max(ink, under) + 0.05) / (Math.min(ink, under) + 0.05); }); })()"
    )
    assert len(ratios) > 30
    assert min(ratios) >= 4.5


def test_on_paper_it_is_dark_on_white_and_has_no_controls(browser: Page, report: Path) -> None:
    browser.open(report, dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.run("getComputedStyle(document.querySelector('audio')).display") == "none"
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
    browser.call("Emulation.setEmulatedMedia", media="")
