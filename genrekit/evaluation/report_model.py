"""One model in a report: its figures, confusion, genres and calibration, and then its story."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from genrekit.evaluation.charts import reliability_chart
from genrekit.evaluation.markup import Cell, Column, interval, number, share, table, text
from genrekit.evaluation.mistakes import confused_pairs
from genrekit.evaluation.report_story import ModelStory, learning, making, mistakes
from genrekit.records import Calibration, Interval, LevelFigures, ModelFigures


def model_section(place: int, story: ModelStory, *, open_: bool) -> str:
    """The section of one model, which can be folded away; ids within it end in its place."""
    figures = story.figures
    accuracy = interval(figures.track_accuracy)
    parts = (
        _levels(figures),
        f'<div class="beside"><div>{_matrix(place, figures)}</div><div>{_pairs(figures)}</div></div>\n',
        _genres(figures),
        _calibration(figures),
        learning(story.metadata),
        mistakes(story.examples),
        making(story),
    )
    return (
        f'<details class="model" id="model-{place}"{" open" if open_ else ""}>\n<summary><h2>{place}. '
        f"{escape(figures.name)}</h2> <span>{accuracy} % of tracks</span></summary>\n{''.join(parts)}</details>\n"
    )


def _levels(figures: ModelFigures) -> str:
    tracks, fragments = figures.track_figures, figures.fragment_figures

    def row(name: str, key: str) -> list[Cell]:
        return [text(name), share(getattr(tracks, key)), share(getattr(fragments, key))]

    rows = [
        row("accuracy", "accuracy"),
        row("balanced accuracy (mean recall)", "balanced_accuracy"),
        row("macro F1", "macro_f1"),
        row("right genre among the two likeliest", "top2_accuracy"),
        [text("calibration error"), _error(tracks), _error(fragments)],
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


def _matrix(place: int, figures: ModelFigures) -> str:
    """The confusion matrix as a grid: each cell says what it is, and the arrow keys move between cells."""
    sizes = [sum(row) for row in figures.confusion]
    heads = "".join(
        f'<th scope="col" data-genre="{index}"><span>{escape(genre)}</span></th>'
        for index, genre in enumerate(figures.genres)
    )
    rows = "".join(
        f'<tr data-genre="{row}" data-recall="{figures.per_genre[row].recall.value:.6f}" data-size="{sizes[row]}">'
        f'<th scope="row">{escape(genre)}</th>'
        + "".join(
            _matrix_cell(figures.genres, sizes[row], row, column, count)
            for column, count in enumerate(figures.confusion[row])
        )
        + "</tr>\n"
        for row, genre in enumerate(figures.genres)
    )
    orders = "".join(
        f'<button type="button" data-order="{key}" aria-pressed="{str(key == "name").lower()}">{name}</button>'
        for key, name in (("name", "genre"), ("recall", "recall"), ("size", "number of tracks"))
    )
    return (
        f'<h3 id="confusion-{place}">Confusion</h3>\n'
        f'<div class="orders" role="group" aria-label="Order of genres">Order by {orders}</div>\n'
        f'<p class="readout" aria-live="polite">Point at a cell, or move between them with the arrow keys.</p>\n'
        f'<div class="scroll"><table class="matrix" role="grid" aria-labelledby="confusion-{place}">'
        "<caption>Tracks: rows say what they are, columns what they were called; shades are shares of the row</caption>"
        f'<thead><tr><td class="corner">is \\ called</td>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n'
    )


def _matrix_cell(genres: Sequence[str], size: int, row: int, column: int, count: int) -> str:
    part = count / size if size else 0.0
    says = f"{genres[row]} called {genres[column]}: {count} of {size} tracks, {100 * part:.0f} %"
    kind = "hit" if row == column else ""
    return (
        f'<td tabindex="{0 if row == column == 0 else -1}" data-genre="{column}" class="{kind}" '
        f'style="--share:{part:.3f}" aria-label="{escape(says)}" title="{escape(says)}">{count or "·"}</td>'
    )


def _pairs(figures: ModelFigures) -> str:
    pairs = confused_pairs(figures.confusion, figures.genres)
    if not pairs:
        return "<p>No track was called another genre than its own.</p>\n"
    rows = [
        [
            text(pair.genre),
            text(pair.called),
            number(pair.count),
            number(pair.share, f"{100 * pair.share:.0f} %"),
        ]
        for pair in pairs
    ]
    columns = (Column("is"), Column("was called"), Column("tracks", number=True), Column("of the genre", number=True))
    return f"<h3>Most confused pairs</h3>\n{table('Pairs of genres by the number of mistakes', columns, rows)}"


def _genres(figures: ModelFigures) -> str:
    rows = [
        [
            text(one.genre),
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
    return f"<h3>Genres</h3>\n{table(caption, columns, rows)}"


def _calibration(figures: ModelFigures) -> str:
    levels = (("tracks", figures.track_figures), ("fragments", figures.fragment_figures))
    charts = "".join(
        f'<figure class="square">'
        f"{reliability_chart(f'Reliability diagram of {name}; the table below has its numbers', level.calibration)}"
        f"<figcaption>{name.capitalize()}: {_says(level.calibration)}</figcaption></figure>\n"
        for name, level in levels
    )
    rows = [
        [
            text(name),
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
    return (
        "<h3>Calibration</h3>\n<p>How often answers are right (bars) against how sure the model is of them (dots on "
        f'the dotted line). A bar below its dot: too sure.</p>\n<div class="charts">{charts}</div>\n'
        f"<details><summary>The numbers of both diagrams</summary>{listed}</details>\n"
    )


def _says(found: Calibration) -> str:
    error: Interval = found.error
    return (
        f"expected calibration error {error.value:.3f} ({error.low:.3f} to {error.high:.3f}); "
        f"{found.chance:.3f} by chance alone"
    )
