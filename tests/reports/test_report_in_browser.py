"""Reports in a real browser: no errors, no requests; they sort, play, and work without a mouse."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from evaluated import GENRES, evaluation, stories
from tiny_study import study

from genrekit.reports.evaluation_report import report_page
from genrekit.studies.bar_plots import accuracy_bars
from genrekit.studies.report_html import to_html

pytest.importorskip("playwright", reason="Playwright is not installed")

from browser import MISSING, find_chromium, headless, open_page
from playwright.sync_api import Browser, Locator, Page

EXECUTABLE = find_chromium()

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(EXECUTABLE is None, reason=MISSING),
]

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert EXECUTABLE is not None
    with headless(EXECUTABLE) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page(evaluation(), stories(evaluation())), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["evaluation", "study"])
def any_report(request: pytest.FixtureRequest, report: Path) -> Path:
    """The report of an evaluation, and that of a study, which has the same layout."""
    if request.param == "evaluation":
        return report
    path = report.with_name("study.html")
    path.write_text(to_html(study(), {"accuracy": accuracy_bars(study())}), encoding="utf-8")
    return path


@pytest.fixture
def open_report(chromium: Browser) -> Iterator[Open]:
    """Open reports, which are closed after the test."""
    pages: list[Page] = []

    def open_one(path: Path, **window: Any) -> Page:
        pages.append(open_page(chromium, path, **window))
        return pages[-1]

    yield open_one
    for page in pages:
        page.context.close()


@pytest.fixture
def page(open_report: Open, report: Path) -> Page:
    return open_report(report)


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def messages(page: Page) -> list[str]:
    """Errors and warnings of the console, from now on."""
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    return seen


def genre_table(page: Page) -> Locator:
    return page.locator("#model-1 table").filter(has=page.get_by_role("button", name="precision"))


def column(page: Page, index: int) -> list[Any]:
    return (
        genre_table(page)
        .locator(f"tbody tr > :nth-child({index + 1})")
        .evaluate_all(
            "(cells) => cells.map((cell) => 'value' in cell.dataset ? Number(cell.dataset.value) : cell.textContent)"
        )
    )


def sort_by(page: Page, index: int) -> str | None:
    """Click a heading of the genres' table and return the direction that it shows."""
    headings = genre_table(page).locator("thead th")
    headings.nth(index).get_by_role("button").click()
    assert genre_table(page).locator("thead th[aria-sort]").count() == 1
    return headings.nth(index).get_attribute("aria-sort")


def row_names(page: Page) -> list[str]:
    return page.locator("#model-1 .matrix tbody th").all_text_contents()


def column_names(page: Page) -> list[str]:
    return page.locator("#model-1 .matrix thead th").all_text_contents()


def readout(page: Page) -> str:
    return page.locator("#model-1 .readout").inner_text()


def test_nothing_is_reported_on_the_console_and_nothing_is_loaded(page: Page, report: Path) -> None:
    seen, requests = messages(page), []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    unfold(page)
    page.wait_for_timeout(300)
    assert seen == []
    assert {url for url in requests if not url.startswith("data:")} == {report.as_uri()}


def test_names_that_look_like_markup_create_no_elements(page: Page) -> None:
    assert page.locator("script").count() == 1
    assert page.locator("img[onerror], img[src=x]").count() == 0
    assert page.get_by_text("<script>alert(1)</script>").count() > 0


def test_the_policy_blocks_requests_and_other_scripts(page: Page) -> None:
    assert page.evaluate("fetch('https://example.org/').then(() => 'loaded', () => 'blocked')") == "blocked"
    script = "const one = document.createElement('script'); one.textContent = 'window.harm = 1';"
    page.evaluate(f"(() => {{ {script} document.body.append(one); }})()")
    assert page.evaluate("window.harm === undefined")


@pytest.mark.parametrize("index", [1, 2, 3, 4], ids=["tracks", "precision", "recall", "F1"])
def test_numbers_are_sorted_from_the_largest_and_then_from_the_smallest(page: Page, index: int) -> None:
    before = column(page, index)
    assert sort_by(page, index) == "descending"
    assert column(page, index) == sorted(before, reverse=True)
    assert sort_by(page, index) == "ascending"
    assert column(page, index) == sorted(before)
    assert sort_by(page, index) == "descending"
    assert page.get_by_role("status").inner_text().startswith("sorted by")


def test_names_are_sorted_from_a_to_z_and_rows_stay_together(page: Page) -> None:
    rows = set(zip(column(page, 0), column(page, 4), strict=True))
    sort_by(page, 2)
    assert sort_by(page, 0) == "ascending"
    assert column(page, 0) == list(GENRES)
    assert set(zip(column(page, 0), column(page, 4), strict=True)) == rows


def test_a_heading_works_with_the_keyboard_and_shows_its_focus(page: Page) -> None:
    genre_table(page).get_by_role("button", name="recall").focus()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "F1"
    assert focused.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert column(page, 4) == sorted(column(page, 4), reverse=True)


def test_the_matrix_is_ordered_by_recall_in_rows_and_columns(page: Page) -> None:
    assert row_names(page) == column_names(page) == list(GENRES)
    diagonal = page.locator("#model-1 .matrix td.hit")
    before = sorted(diagonal.all_text_contents())
    recall = page.locator("#model-1").get_by_role("button", name="recall", exact=True).first
    recall.click()
    recalls = {one.genre: one.recall.value for one in evaluation().models[0].per_genre}
    assert [recalls[genre] for genre in row_names(page)] == sorted(recalls.values(), reverse=True)
    assert column_names(page) == row_names(page)
    assert sorted(diagonal.all_text_contents()) == before
    positions = diagonal.evaluate_all("(cells) => cells.map((cell) => cell.cellIndex - 1)")
    assert positions == [0, 1, 2]
    assert recall.get_attribute("aria-pressed") == "true"
    page.locator("#model-1 [data-order=name]").click()
    assert row_names(page) == list(GENRES)


def test_pointing_at_a_cell_shows_its_genres_and_count(page: Page) -> None:
    page.locator("#model-1 .matrix tbody tr").nth(2).locator("td").nth(1).hover()
    model = evaluation().models[0]
    expected = f"{GENRES[2]} predicted as {GENRES[1]}: {model.confusion[2][1]} of 10 tracks"
    assert readout(page).startswith(expected)


def test_arrow_keys_move_between_cells_and_stay_within_the_matrix(page: Page) -> None:
    stops = page.locator('#model-1 .matrix td[tabindex="0"]')
    stops.focus()
    for key, row, column_ in (
        ("ArrowLeft", 0, 0),
        ("ArrowRight", 0, 1),
        ("ArrowDown", 1, 1),
        ("End", 1, 2),
        ("ArrowRight", 1, 2),
        ("ArrowUp", 0, 2),
    ):
        page.keyboard.press(key)
        assert readout(page).startswith(f"{GENRES[row]} predicted as {GENRES[column_]}:")
    assert stops.count() == 1


def test_a_mistake_can_be_played_and_only_one_at_a_time(page: Page) -> None:
    sounds = page.locator("audio")
    sounds.nth(0).evaluate("(sound) => sound.play()")
    position = sounds.nth(0).evaluate(
        "(sound) => new Promise((done, fail) => {"
        " sound.ontimeupdate = () => sound.currentTime > 0 && done(sound.currentTime);"
        " sound.onerror = () => fail(sound.error.message); })"
    )
    assert position > 0
    assert sounds.nth(0).evaluate("(sound) => sound.duration") == pytest.approx(1, abs=0.15)
    sounds.nth(1).evaluate("(sound) => sound.play()")
    assert sounds.evaluate_all("(all) => all.map((sound) => sound.paused)") == [True, False]


def test_spectrograms_are_decoded(page: Page) -> None:
    sizes = page.evaluate("[...document.images].map((one) => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[20, 16], [20, 16]]


def test_every_control_table_and_chart_has_an_accessible_name(page: Page) -> None:
    unfold(page)
    names: dict[str, list[str]] = {}
    for node in page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]:
        if not node["ignored"]:
            names.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "link", "gridcell", "grid", "table", "region", "columnheader", "rowheader", "image"):
        assert names[role], role
        assert all(names[role]), role
    counts = [cell for cell in names["gridcell"] if " predicted as " in cell]
    assert len(counts) == len(evaluation().models) * len(GENRES) ** 2
    assert names["table"].count("Pairs of genres by number of mistakes") == len(evaluation().models)


def test_a_link_in_the_ranking_opens_its_model(page: Page) -> None:
    model = page.locator("#model-2")
    assert model.get_attribute("open") is None
    page.locator('a[href="#model-2"]').click()
    page.wait_for_selector("#model-2[open]")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1_200])
def test_nothing_is_wider_than_the_screen(open_report: Open, any_report: Path, width: int, dark: bool) -> None:
    page = open_report(any_report, width=width, height=844, dark=dark)
    seen = messages(page)
    page.reload()
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 23, 26)" if dark else "rgb(255, 255, 255)")
    assert seen == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_have_the_colours_of_the_theme(open_report: Open, report: Path, dark: bool) -> None:
    page = open_report(report, dark=dark)
    chart = page.get_by_label("Cross-entropy loss over epochs").first
    strokes = chart.locator("path").evaluate_all("(all) => all.map((one) => getComputedStyle(one).stroke)")
    assert ("rgb(99, 181, 238)" if dark else "rgb(0, 114, 178)") in strokes
    assert "rgb(0, 0, 0)" not in strokes


@pytest.mark.parametrize("width", [390, 1_100])
def test_the_sorting_mark_stays_on_the_line_of_its_word(open_report: Open, report: Path, width: int) -> None:
    buttons = open_report(report, width=width, height=844).locator("th button").filter(visible=True)
    heights = buttons.evaluate_all(
        "(all) => all.filter((one) => !/\\s/.test(one.textContent)).map((one) => one.offsetHeight)"
    )
    assert len(heights) > 10
    assert len({*heights}) == 1


def open_phone(chromium: Browser, path: Path) -> Page:
    page = chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True).new_page()
    page.goto(path.absolute().as_uri())
    return page


@pytest.fixture
def phone(chromium: Browser, any_report: Path) -> Iterator[Page]:
    """A report on a phone, which has a touch screen."""
    page = open_phone(chromium, any_report)
    unfold(page)
    yield page
    page.context.close()


POSITIONS = """(cell) => {
  const table = cell.closest("table"), box = table.parentElement;
  const first = table.tHead.rows[0].cells[0].getBoundingClientRect();
  return [0, 0.5, 1].map((share) => {
    box.scrollLeft = share * (box.scrollWidth - box.clientWidth);
    const own = cell.getBoundingClientRect(), outer = box.getBoundingClientRect();
    return [box.scrollLeft, own.left - first.right, outer.right - own.right];
  });
}"""


@pytest.mark.parametrize("width", [390, 768])
def test_the_accuracy_stays_visible_while_a_table_scrolls(phone: Page, width: int) -> None:
    phone.set_viewport_size({"width": width, "height": 844})
    headings = phone.locator("thead th.key")
    assert headings.count() > 0
    scrolled = []
    for heading in headings.all():
        for position, from_the_first, from_the_edge in heading.evaluate(POSITIONS):
            scrolled.append(position)
            assert from_the_edge >= -1
            if width == 390:
                assert from_the_first >= -1
    assert max(scrolled) > (100 if width == 390 else 0)


def test_a_box_that_scrolls_has_a_shadow_on_that_side(phone: Page) -> None:
    boxes = phone.locator(".scroll").filter(visible=True)
    attachments = boxes.evaluate_all("(all) => all.map((one) => getComputedStyle(one).backgroundAttachment)")
    assert {*attachments} == {"local, local, scroll, scroll"}


def test_pictures_fit_on_a_phone(phone: Page) -> None:
    sizes = phone.locator(".chart, .examples img").filter(visible=True)
    rights = sizes.evaluate_all(
        "(all) => all.filter((one) => !one.closest('td')).map((one) => one.getBoundingClientRect().right)"
    )
    assert rights
    assert max(rights) <= 390


def test_what_can_be_tapped_is_at_least_44_pixels_high(phone: Page) -> None:
    targets = phone.locator("th button, .orders button, summary, nav a, abbr, audio").filter(visible=True)
    heights = targets.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
    assert heights
    assert min(heights) >= 44


def test_a_tap_explains_a_mark_and_a_cell(chromium: Browser, report: Path) -> None:
    page = open_phone(chromium, report)
    mark = page.locator("abbr").first
    after = "(one) => getComputedStyle(one, '::after').content"
    assert mark.evaluate(after) == "none"
    mark.tap()
    assert "a tie with the first model" in mark.evaluate(after)
    page.locator("#model-1 .matrix tbody tr").nth(2).locator("td").nth(1).tap()
    assert readout(page).startswith(f"{GENRES[2]} predicted as {GENRES[1]}:")
    page.context.close()


CONTRASTS = """(elements) => {
  const luminance = (channels) => {
    const [r, g, b] = channels.map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const paper = channels(getComputedStyle(document.body).backgroundColor);
  return elements.filter((one) => one.checkVisibility()).map((one) => {
    const style = getComputedStyle(one), [r, g, b, alpha = 1] = channels(style.backgroundColor);
    const background = luminance([r, g, b].map((value, index) => alpha * value + (1 - alpha) * paper[index]));
    const ink = luminance(channels(one instanceof SVGElement ? style.fill : style.color).slice(0, 3));
    return (Math.max(ink, background) + 0.05) / (Math.min(ink, background) + 0.05);
  });
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_have_enough_contrast(open_report: Open, any_report: Path, dark: bool) -> None:
    """At least 4.5 to 1, as the Web Content Accessibility Guidelines require for text (1.4.3)."""
    names = (
        "h1, .quiet, caption, a, .warnings, abbr, thead th, dt, .verdict, .matrix tbody td, .orders button, svg text"
    )
    ratios = open_report(any_report, dark=dark).locator(names).evaluate_all(CONTRASTS)
    assert len(ratios) > 30
    assert min(ratios) >= 4.5


def test_on_paper_it_is_dark_on_white_and_has_no_controls(open_report: Open, report: Path) -> None:
    page = open_report(report, dark=True)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.locator("audio").first.is_hidden()
    assert len(page.pdf()) > 10_000
