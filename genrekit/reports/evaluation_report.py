"""An evaluation as one HTML page: the ranking of all models, then a section for each of them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from genrekit._version import __version__
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.formatting import signed_points
from genrekit.metrics.paired_test import PairedFigures
from genrekit.reports.model_section import ModelSection, ModelStory
from genrekit.reports.page import asset, render
from genrekit.reports.page_tables import Cell, Column, Row, Table, number, share
from genrekit.reports.plots import interval_chart
from genrekit.reports.svg import to_svg


def report_page(result: EvaluateResult, stories: Sequence[ModelStory]) -> str:
    """Render the page as HTML that loads nothing. `stories` are the result's models, in its order."""
    count = len(result.models)
    return render(
        "evaluation.html",
        style=asset("evaluation_report.css"),
        script=asset("evaluation_report.js"),
        title=f"Evaluation of {stories[0].figures.name if count == 1 else f'{count} models'}",
        result=result,
        splits=" and ".join(models[0].split for models in result.groups),
        uses="once" if result.readings == 1 else f"{result.readings} times",
        version=__version__,
        rankings=[_ranking(result, models) for models in result.groups],
        comparisons=[table for models in result.groups if (table := _comparisons(result, models)).rows],
        skipped=Table(
            "Files that are not among the tracks",
            (Column("file"), Column("reason")),
            [(file.path, file.reason) for file in result.skipped],
        ),
        models=[ModelSection(index, story) for index, story in enumerate(stories, 1)],
    )


_RANKING = (
    Column("model"),
    Column("0 to 100\N{NO-BREAK SPACE}%", sortable=False),
    Column("validation", number=True),
    Column("tracks", number=True),
    Column("accuracy", number=True, key=True),
    Column("balanced", number=True),
    Column("macro F1", number=True),
    Column("fragments", number=True),
    Column("calibration error", number=True),
)


def _ranking(result: EvaluateResult, models: Sequence[ModelFigures]) -> Table:
    """The models of one test set, numbered like their sections."""
    rows = [
        _ranked(index, model, tie=model.bundle in result.ties)
        for index, model in enumerate(result.models, 1)
        if model in models
    ]
    tied = any(model.bundle in result.ties for model in models)
    note = "; = is a tie with the first model on these tracks" if tied else ""
    first = models[0]
    source = f" on {result.source(models)}" if len(result.groups) > 1 else ""
    intervals = f" with 95 % intervals from resampling {first.resampled}" if first.has_intervals else ""
    caption = f"Accuracy in %{source}{intervals}, ordered by validation accuracy{note}"
    return Table(caption, _RANKING, rows, kind="ranking")


def _ranked(index: int, model: ModelFigures, *, tie: bool) -> Row:
    tracks = model.track_figures
    link = Markup('{}. <a href="#model-{}">{}</a>').format(index, index, model.marked_name)
    mark = Markup(' <abbr tabindex="0" title="a tie with the first model">=</abbr>') if tie else ""
    return [
        Cell(link + mark, index),
        Cell(to_svg(interval_chart(tracks.accuracy), f"model-{index}-interval"), kind="whisker"),
        number(model.validation_track_accuracy, f"{100 * model.validation_track_accuracy:.1f}"),
        number(model.tracks),
        share(tracks.accuracy),
        share(tracks.balanced_accuracy),
        share(tracks.macro_f1),
        share(model.fragment_accuracy),
        number(tracks.calibration.error.value, f"{100 * tracks.calibration.error.value:.1f}"),
    ]


_COMPARISONS = (
    Column("compared with"),
    Column("difference in points", number=True),
    Column("p", number=True),
    Column("p, corrected", number=True),
    Column("tracks", number=True),
    Column("result"),
)


def _comparisons(result: EvaluateResult, models: Sequence[ModelFigures]) -> Table:
    """The first model of a test set compared with the others."""
    names = {model.bundle: model.name for model in models}
    caption = (
        f"Track accuracy of {models[0].name} minus that of each other model on the same tracks; p from an exact "
        "permutation test that exchanges the predictions for each artist or track, corrected by Holm's method"
    )
    rows = [_compared(pair, names[pair.other]) for pair in result.comparisons if pair.other in names]
    return Table(caption, _COMPARISONS, rows)


def _compared(pair: PairedFigures, other: str) -> Row:
    value, low, high = (100 * share for share in (pair.difference.value, pair.difference.low, pair.difference.high))
    return [
        other,
        Cell(f"{value:+.1f}", value, f"{signed_points(low)} to {signed_points(high)}"),
        number(pair.p, f"{pair.p:.3g}"),
        number(pair.p_corrected, f"{pair.p_corrected:.3g}"),
        number(pair.tracks),
        "tie" if pair.tie else f"the {'first' if value > 0 else 'other'} is better",
    ]
