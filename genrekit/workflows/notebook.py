"""Results as HTML for a notebook: a table and a plot."""

from __future__ import annotations

from collections import Counter
from functools import singledispatch

from genrekit.errors import counted
from genrekit.io.shown import ShownResult
from genrekit.metrics.evaluation import EvaluateResult
from genrekit.metrics.formatting import loss_text, percent, percent_bounds, percent_with_interval
from genrekit.reports.notebook_html import html_picture, html_table
from genrekit.reports.plots import bar_figure, confusion_figure, learning_curves
from genrekit.workflows.compare import CompareResult
from genrekit.workflows.predict import PredictResult
from genrekit.workflows.prepare import PrepareResult
from genrekit.workflows.runs import HISTORY, read_history
from genrekit.workflows.train import TrainResult

_MOST_ROWS = 50
"""Most files that are listed."""


@singledispatch
def html_of(result: ShownResult) -> str:
    """Return the HTML of a result.

    Errors: TypeError for a result without a view.
    """
    raise TypeError(f"{type(result).__name__} has no view for notebooks")


@html_of.register
def _prepare(result: PrepareResult) -> str:
    counts = result.tracks_per_genre
    variants = f" x {len(result.variants)} variants" if len(result.variants) > 1 else ""
    title = f"{result.cache}: {counted(result.tracks, 'track')}, {counted(result.fragments, 'fragment')}{variants}"
    facts = {
        "skipped files": len(result.skipped),
        "duplicates": len(result.duplicates) + len(result.near_duplicates),
        "reused tracks": result.reused,
    }
    table = html_table(title, ("", ""), [(name, f"{value:,}") for name, value in facts.items()], numeric={1})
    return table + html_picture(bar_figure(counts, "tracks"), f"Tracks of {counted(len(counts), 'genre')}")


@html_of.register
def _train(result: TrainResult) -> str:
    figures = {"saved epoch": result.validation} | ({"last epoch": result.last} if result.last else {})
    rows = [
        (name, loss_text(one.loss), percent(one.fragment_accuracy), percent(one.track_accuracy))
        for name, one in figures.items()
    ]
    title = f"{result.run}: {result.parameters:,} parameters, {result.split} split"
    table = html_table(title, ("validation", "loss", "fragments", "tracks"), rows, numeric={1, 2, 3})
    path = result.run / HISTORY
    history = read_history(path) if path.is_file() else ()
    if len(history) < 2:  # a model that is fitted in one step, or a run that is no longer there
        return table
    return table + html_picture(learning_curves(history, result.best_epoch), "Loss and accuracy over epochs")


@html_of.register
def _compare(result: CompareResult) -> str:
    rows = [
        (
            f"{'=' if run.tied else ''}{rank}",
            *(run.name, ", ".join(map(str, run.seeds)), percent(run.track_accuracy.value)),
            *(percent_bounds(run.track_accuracy), loss_text(run.loss), run.group),
        )
        for rank, run in enumerate(result.runs, 1)
    ]
    head = ("", "run", "seeds", "accuracy", "95 % interval", "loss", "validation set")
    table = html_table("track accuracy on the validation set", head, rows, numeric={0, 3, 4, 5})
    accuracies = {run.name: run.track_accuracy for run in result.runs}
    return table + html_picture(bar_figure(accuracies, "% of validation tracks"), "Accuracy of each run")


@html_of.register
def _evaluate(result: EvaluateResult) -> str:
    rows = [
        (
            *(model.name, f"{100 * model.validation_track_accuracy:.1f}", str(model.tracks)),
            *map(percent_with_interval, (model.track_accuracy, model.fragment_accuracy, model.macro_f1)),
        )
        for model in result.models
    ]
    head = ("model", "validation", "tracks", "test tracks", "fragments", "macro F1")
    table = html_table("accuracy in %, with 95 % intervals", head, rows, numeric={1, 2, 3, 4, 5})
    first = result.models[0]
    return table + html_picture(
        confusion_figure(first.confusion, first.genres, f"{first.name}, tracks"), f"Confusion matrix of {first.name}"
    )


@html_of.register
def _predict(result: PredictResult) -> str:
    rows = [
        (str(file.path), file.genre or "silent", "" if file.genre is None else percent(file.probabilities[file.genre]))
        for file in result.files[:_MOST_ROWS]
    ]
    more = f", the first {_MOST_ROWS}" if len(result.files) > _MOST_ROWS else ""
    title = f"{counted(len(result.files), 'file')}{more}, by {result.bundle.name}"
    table = html_table(title, ("file", "genre", "probability"), rows, numeric={2})
    if len(result.files) == 1:
        shares = {genre: 100 * share for genre, share in result.files[0].ranked}
        return table + html_picture(bar_figure(shares, "probability in %"), "Probability of each genre")
    counts = Counter(file.genre or "silent" for file in result.files)
    return table + html_picture(bar_figure(dict(counts.most_common()), "files"), "Files of each genre")
