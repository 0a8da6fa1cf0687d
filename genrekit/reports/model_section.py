"""One model in a report: its figures, confusion, genres and calibration, and then its story."""

from __future__ import annotations

from collections.abc import Sequence

from genrekit.metrics.calibration import Calibration
from genrekit.metrics.evaluation import ModelFigures
from genrekit.metrics.formatting import with_interval
from genrekit.metrics.mistakes import confused_pairs
from genrekit.metrics.scores import LevelFigures
from genrekit.reports.charts import reliability_chart
from genrekit.reports.evaluation_details import ModelStory, learning, making, mistakes
from genrekit.reports.page import Html, element, folded, joined
from genrekit.reports.page_tables import Cell, Column, Row, interval, number, share, table


def model_section(place: int, story: ModelStory, *, open_: bool) -> Html:
    """The section of one model, which can be folded away; ids within it end in its place."""
    figures = story.figures
    heading = element("h2", f"{place}. {figures.name}")
    accuracy = element("span", interval(figures.track_accuracy), " % of tracks")
    matrix, pairs = element("div", _matrix(place, figures)), element("div", _pairs(figures))
    parts = (
        element("summary", heading, " ", accuracy),
        _levels(figures),
        element("div", matrix, pairs, class_="beside"),
        _genres(figures),
        _calibration(figures),
        learning(story.metadata),
        mistakes(story.examples),
        making(story),
    )
    state = {"open": ""} if open_ else {}
    return Html(f"{element('details', *parts, class_='model', id=f'model-{place}', **state)}\n")


def _levels(figures: ModelFigures) -> Html:
    tracks, fragments = figures.track_figures, figures.fragment_figures

    def row(name: str, key: str) -> Row:
        return [name, share(getattr(tracks, key)), share(getattr(fragments, key))]

    rows: list[Row] = [
        row("accuracy", "accuracy"),
        row("balanced accuracy (mean recall)", "balanced_accuracy"),
        row("macro F1", "macro_f1"),
        row("right genre among the two likeliest", "top2_accuracy"),
        ["calibration error", _error(tracks), _error(fragments)],
    ]
    caption = f"Figures in % with 95 % intervals by resampling {figures.resampled}; {figures.left_out} tracks left out"
    columns = (
        Column("figure", sortable=False),
        Column(f"{figures.tracks:,} tracks", number=True, sortable=False),
        Column(f"{figures.fragments:,} fragments", number=True, sortable=False),
    )
    return table(caption, columns, rows)


def _error(level: LevelFigures) -> Cell:
    return share(level.calibration.error)


def _matrix(place: int, figures: ModelFigures) -> Html:
    """The confusion matrix as a grid: each cell says what it is, and the arrow keys move between cells."""
    heads = [
        element("th", element("span", genre), scope="col", data_genre=str(index))
        for index, genre in enumerate(figures.genres)
    ]
    grid = element(
        "table",
        element(
            "caption",
            "Tracks: rows say what they are, columns what they were called; shades are shares of the row",
        ),
        element("thead", element("tr", element("td", "is \\ called", class_="corner"), *heads)),
        element("tbody", *(_matrix_row(figures, row) for row in range(len(figures.genres)))),
        class_="matrix",
        role="grid",
        aria_labelledby=f"confusion-{place}",
    )
    return joined(
        [
            element("h3", "Confusion", id=f"confusion-{place}"),
            _orders(),
            element(
                "p", "Point at a cell, or move between them with the arrow keys.", class_="readout", aria_live="polite"
            ),
            element("div", grid, class_="scroll grid"),
        ],
        "\n",
    )


def _orders() -> Html:
    """Buttons that put the genres of a matrix into another order."""
    buttons = [
        element("button", name, type="button", data_order=key, aria_pressed=str(key == "name").lower())
        for key, name in (("name", "genre"), ("recall", "recall"), ("size", "number of tracks"))
    ]
    return element("div", "Order by ", *buttons, class_="orders", role="group", aria_label="Order of genres")


def _matrix_row(figures: ModelFigures, row: int) -> Html:
    counts, recall = figures.confusion[row], figures.per_genre[row].recall.value
    cells = [_matrix_cell(figures.genres, sum(counts), row, column, count) for column, count in enumerate(counts)]
    head = element("th", figures.genres[row], scope="row")
    return element("tr", head, *cells, data_genre=str(row), data_recall=f"{recall:.6f}", data_size=str(sum(counts)))


def _matrix_cell(genres: Sequence[str], size: int, row: int, column: int, count: int) -> Html:
    part = count / size if size else 0.0
    says = f"{genres[row]} called {genres[column]}: {count} of {size} tracks, {100 * part:.0f} %"
    return element(
        "td",
        str(count or "·"),
        tabindex="0" if row == column == 0 else "-1",
        data_genre=str(column),
        class_="hit" if row == column else "",
        style=f"--share:{part:.3f}",
        aria_label=says,
        title=says,
    )


def _pairs(figures: ModelFigures) -> Html:
    pairs = confused_pairs(figures.confusion, figures.genres)
    if not pairs:
        return element("p", "No track was called another genre than its own.")
    rows: list[Row] = [
        [pair.genre, pair.called, number(pair.count), number(pair.share, f"{100 * pair.share:.0f} %")] for pair in pairs
    ]
    columns = (Column("is"), Column("was called"), Column("tracks", number=True), Column("of the genre", number=True))
    listed = table("Pairs of genres by the number of mistakes", columns, rows)
    return joined([element("h3", "Most confused pairs"), listed])


def _genres(figures: ModelFigures) -> Html:
    rows: list[Row] = [
        [
            one.genre,
            number(one.tracks),
            number(one.precision, f"{100 * one.precision:.1f}"),
            share(one.recall),
            number(one.f1, f"{100 * one.f1:.1f}"),
        ]
        for one in figures.per_genre
    ]
    columns = (
        Column("genre"),
        Column("tracks", number=True),
        Column("precision", number=True),
        Column("recall", number=True),
        Column("F1", number=True),
    )
    caption = "Per genre, over tracks, in %; recall with the 95 % interval of Wilson's score"
    return joined([element("h3", "Genres"), table(caption, columns, rows)])


def _calibration(figures: ModelFigures) -> Html:
    levels = (("tracks", figures.track_figures), ("fragments", figures.fragment_figures))
    charts = [
        element(
            "figure",
            reliability_chart(f"Reliability diagram of {name}; the table below has its numbers", level.calibration),
            element("figcaption", f"{name.capitalize()}: {_says(level.calibration)}"),
            class_="square",
        )
        for name, level in levels
    ]
    rows: list[Row] = [
        [
            name,
            number(one.low, f"{one.low:.2f} to {one.high:.2f}"),
            number(one.count),
            number(one.confidence, f"{one.confidence:.3f}"),
            number(one.accuracy, f"{one.accuracy:.3f}"),
        ]
        for name, level in levels
        for one in level.calibration.bins
    ]
    names = ("answers", "confidence from", "how many", "mean confidence", "accuracy")
    columns = [Column(name, number=place > 0) for place, name in enumerate(names)]
    listed = table("Answers by their confidence, in 15 bins of equal width", columns, rows)
    meaning = (
        "How often answers are right (bars) against how sure the model is of them (dots on the dotted line). A "
        "bar below its dot: too sure."
    )
    return joined(
        [
            element("h3", "Calibration"),
            element("p", meaning),
            element("div", *charts, class_="charts"),
            folded("The numbers of both diagrams", listed),
        ],
        "\n",
    )


def _says(found: Calibration) -> str:
    error = with_interval(found.error, ".3f")
    return f"expected calibration error {error}; {found.chance:.3f} by chance alone"
