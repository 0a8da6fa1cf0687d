"""An evaluation as one page to look at: the ranking, then each model with its mistakes."""

from __future__ import annotations

from collections.abc import Sequence

from genrekit._version import __version__
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import signed_points
from genrekit.metrics.paired_test import PairedFigures
from genrekit.reports.charts import whisker
from genrekit.reports.evaluation_details import ModelStory
from genrekit.reports.model_section import model_section
from genrekit.reports.page import Html, asset, document, element, folded, framed, joined, section
from genrekit.reports.page_tables import Cell, Column, Row, number, share, table


def report_page(result: EvaluateResult, stories: Sequence[ModelStory]) -> str:
    """Write the page: HTML that fetches nothing. Stories are those of the result's models, in its order."""
    count = len(result.models)
    title = f"Evaluation of {stories[0].figures.name if count == 1 else f'{count} models'}"
    sections = [model_section(place, story, open_=place == 1) for place, story in enumerate(stories, 1)]
    body = joined([_introduction(result), _ranking(result), _comparisons(result), _skipped(result), *sections])
    said = element("div", id="said", class_="hidden", role="status")
    script, style = asset("evaluation_report.js"), asset("evaluation_report.css")
    return document(title, joined([framed(title, body), said]), script, style=style)


def _introduction(result: EvaluateResult) -> Html:
    first = result.models[0]
    if result.data is None:
        splits = ", ".join(dict.fromkeys(model.split for model in result.models))
        times = "once" if result.readings == 1 else f"{result.readings} times"
        where = (
            f"On the test part of the {splits} split, which has been read {times} so far. The more often it is read, "
            "the less it says about music that nobody has heard."
        )
    else:
        where = f"On the labelled tracks of {result.data}. How often they have been used for this is not counted."
    parts = [
        where,
        f"{first.tracks} tracks, {first.fragments} fragments; a track's answer is the mean over its fragments. "
        f"All intervals are 95 % intervals by resampling {first.resampled}. Models stand in the order of their "
        "validation rank: an order by test figures would make the first one look better than it is.",
    ]
    warnings = [element("li", warning) for warning in result.warnings]
    return joined(
        [
            *(element("p", part) for part in parts),
            *([element("ul", *warnings, class_="warnings")] if warnings else []),
            element("p", f"genrekit {__version__}", class_="quiet"),
        ],
        "\n",
    )


_RANKING = (
    Column("model"),
    Column("0 to 100\N{NO-BREAK SPACE}%", sortable=False),
    Column("validation", number=True),
    Column("tracks", number=True),
    Column("balanced", number=True),
    Column("macro F1", number=True),
    Column("fragments", number=True),
    Column("calibration error", number=True),
)


def _ranking(result: EvaluateResult) -> Html:
    rows = [_ranked(place, model, tie=model.bundle in result.ties) for place, model in enumerate(result.models, 1)]
    note = "; = cannot be told from the first on these tracks" if result.ties else ""
    caption = f"Accuracy in % with 95 % intervals, in the order of validation{note}"
    return section("Ranking", table(caption, _RANKING, rows, kind="ranking"), anchor="ranking")


def _ranked(place: int, model: ModelFigures, *, tie: bool) -> list[Cell]:
    tracks = model.track_figures
    name = [f"{place}. ", element("a", model.name, href=f"#model-{place}")]
    mark = [" ", element("abbr", "=", title="cannot be told from the first")] if tie else []
    return [
        Cell(joined([*name, *mark]), place),
        Cell(whisker(tracks.accuracy)),
        number(model.validation_track_accuracy, f"{100 * model.validation_track_accuracy:.1f}"),
        share(tracks.accuracy),
        share(tracks.balanced_accuracy),
        share(tracks.macro_f1),
        share(model.fragment_accuracy),
        number(tracks.calibration.error.value, f"{100 * tracks.calibration.error.value:.1f}"),
    ]


_COMPARED = (
    Column("against"),
    Column("difference in points", number=True),
    Column("p", number=True),
    Column("corrected", number=True),
    Column("tracks", number=True),
    Column("so"),
)


def _comparisons(result: EvaluateResult) -> Html:
    if not result.comparisons:
        return Html("")
    names = {model.bundle: model.name for model in result.models}
    rows = [_compared(pair, names[pair.other]) for pair in result.comparisons]
    firsts = dict.fromkeys(names[pair.first] for pair in result.comparisons)
    caption = (
        f"Track accuracy of {', '.join(firsts)} minus that of each other model, on the same tracks; p by "
        "exchanging the two models' answers to each artist or track, exact; corrected after Holm"
    )
    return section("Is the first better?", table(caption, _COMPARED, rows), anchor="comparisons")


def _compared(pair: PairedFigures, other: str) -> Row:
    value, low, high = (100 * part for part in (pair.difference.value, pair.difference.low, pair.difference.high))
    verdict = "cannot be told apart" if pair.tie else f"the {'first' if value > 0 else 'other'} is better"
    between = element("span", f"{signed_points(low)} to {signed_points(high)}", class_="quiet")
    return [
        other,
        Cell(joined([f"{value:+.1f} ", between]), value),
        number(pair.p, f"{pair.p:.3g}"),
        number(pair.p_corrected, f"{pair.p_corrected:.3g}"),
        number(pair.tracks),
        verdict,
    ]


def _skipped(result: EvaluateResult) -> Html:
    if not result.skipped:
        return Html("")
    rows = [[file.path, file.reason] for file in result.skipped]
    listed = table("Files that are not among the tracks", (Column("file"), Column("why")), rows)
    return folded(f"{len(rows)} files were skipped", listed)
