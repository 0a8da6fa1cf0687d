"""The figures of a study show the measured values and the names of its configurations."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from tiny_study import CONFIGURATIONS, CONFUSION, GENRES, bare, configuration, histories, history, study

from genrekit.metrics.intervals import Interval
from genrekit.reports.plots import save_png
from genrekit.studies.bar_plots import accuracy_bars, overview
from genrekit.studies.confusion import MOST_SHOWN, confusion_grid
from genrekit.studies.curve_plots import curves
from genrekit.studies.results import StudyResult

SIZES = [
    pytest.param(study(1, ("",)), id="one configuration"),
    pytest.param(study(2, ("",)), id="two configurations"),
    pytest.param(study(), id="twelve configurations in two groups"),
    pytest.param(study(20, ("",)), id="twenty configurations"),
    pytest.param(bare(), id="no figures"),
]

PICTURES = [
    pytest.param(accuracy_bars, id="accuracy"),
    pytest.param(overview, id="overview"),
    pytest.param(lambda result: curves(histories(result), groups(result)), id="curves"),
]


def groups(result: StudyResult) -> dict[str, str]:
    return {run.name: run.group for run in result.runs}


def draw(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def renamed(result: StudyResult, name: str) -> StudyResult:
    """Return the study with another name for its first configuration."""
    first = result.ranking[0]
    runs = tuple(replace(run, name=name) if run.name == first else run for run in result.runs)
    return replace(result, runs=runs, ranking=(name, *result.ranking[1:]))


@pytest.mark.parametrize("result", SIZES)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_figure_is_complete_and_its_names_do_not_overlap(
    picture: Callable[[StudyResult], Figure], result: StudyResult, tmp_path: Path
) -> None:
    figure = picture(result)
    save_png(figure, tmp_path / "picture.png")
    pixels = imread(tmp_path / "picture.png")
    assert pixels.shape[1] >= 900
    assert pixels[..., :3].std() > 0.02
    everything, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert 0 <= everything.x0 <= everything.x1 <= width
    assert 0 <= everything.y0 <= everything.y1 <= height
    for axes in figure.axes:
        if axes.axison:
            rows = [label.get_window_extent() for label in axes.get_yticklabels() if label.get_text()]
            ordered = sorted(rows, key=lambda box: -float(box.y0))
            assert all(upper.y0 > lower.y1 for upper, lower in pairwise(ordered) if upper.width and lower.width)


def test_bars_show_accuracies_in_order_within_their_group() -> None:
    result = study()
    figure = accuracy_bars(result)
    assert len(figure.axes) == 2
    for axes, group in zip(figure.axes, ("spectrogram", "waveform"), strict=True):
        own = [run for run in result.runs if run.group == group]
        expected = sorted(own, key=lambda run: (not run.trained, -(run.last_accuracy or Interval(0, 0, 0)).value))
        widths = [100 * run.last_accuracy.value for run in expected if run.last_accuracy]
        bars = [bar.patches[0].get_width() for bar in axes.containers]  # type: ignore[attr-defined]
        np.testing.assert_allclose(bars, widths)
        names = [label.get_text().lstrip("★≈ ").replace("\n", " ") for label in axes.get_yticklabels()]
        assert names == [run.name for run in expected]


@pytest.mark.parametrize(("at", "value"), [("last", 50.0), ("best", 52.5), ("equal steps", 49.0)])
def test_bars_show_the_accuracy_at_the_given_epoch(at: str, value: float) -> None:
    result = StudyResult((configuration("cel", "", 0.5),), ("cel",), head=study(1).head)
    (axes,) = accuracy_bars(result, at).axes
    (bar,) = axes.patches
    assert bar.get_width() == pytest.approx(value)  # type: ignore[attr-defined]
    marks = [line for line in axes.get_lines() if line.get_marker() == "D" and len(line.get_xdata())]  # type: ignore[arg-type]
    assert len(marks) == (at != "best")


def test_the_title_of_a_panel_names_its_best_and_worst_trained_configuration() -> None:
    first, second = (axes.get_title(loc="left").replace("\n", " ") for axes in accuracy_bars(study()).axes)
    best, good, worst = CONFIGURATIONS[0], CONFIGURATIONS[4], CONFIGURATIONS[5]
    assert first == f"spectrogram, best: {best} (spectrogram) (66.0 %) worst: {worst} (spectrogram) (51.0 %)"
    assert second == f"waveform, best: {best} (waveform) (58.0 %) worst: {good} (waveform) (46.0 %)"
    assert [axes.get_title(loc="left") for axes in accuracy_bars(study(1, ("",))).axes] == [
        f"{CONFIGURATIONS[0]} (66.0 %)"
    ]
    assert [axes.get_title(loc="left") for axes in accuracy_bars(bare()).axes] == [
        "no trained configuration has a figure"
    ]


def test_a_panel_of_equal_configurations_has_no_best_and_worst() -> None:
    result = study(2, ("",))
    same = tuple(replace(run, last_accuracy=Interval(0.6, 0.5, 0.7)) for run in result.runs)
    assert accuracy_bars(replace(result, runs=same)).axes[0].get_title(loc="left") == "all 60.0 %"


def test_a_title_has_the_whole_name_although_it_is_wrapped_next_to_the_bar() -> None:
    two = study(2, ("",))
    name = "optimizers/spectrogram-adam-plateau"
    renamed = replace(two, runs=(replace(two.runs[0], name=name), two.runs[1]), ranking=(name, two.ranking[1]))
    (axes,) = (axes for axes in accuracy_bars(renamed).axes if axes.get_title(loc="left"))
    assert f"best: {name} (" in axes.get_title(loc="left")


def test_the_first_its_ties_and_untrained_configurations_have_marks_besides_colour() -> None:
    result = study()
    figure = accuracy_bars(result)
    names = [label.get_text().replace("\n", " ") for axes in figure.axes for label in axes.get_yticklabels()]
    assert [name for name in names if name[0] == "★"] == [f"★ {result.ranking[0]}"]
    assert {name for name in names if name[0] == "≈"} == {f"≈ {name}" for name in result.ties}
    hatched = [bar for axes in figure.axes for bar in axes.patches if bar.get_hatch()]
    assert len(hatched) == 1
    assert any(text.get_text().endswith("not trained") for text in figure.axes[1].texts)
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "not trained" in labels
    assert "chance (10 %)" in labels
    assert "not trained" not in [text.get_text() for text in accuracy_bars(study(2, ("",))).legends[0].get_texts()]
    untrained = accuracy_bars(replace(result, runs=tuple(replace(run, trained=False) for run in result.runs)))
    assert not any(label.get_text()[0] in "★≈" for axes in untrained.axes for label in axes.get_yticklabels())
    assert "★ first in the ranking" not in [text.get_text() for text in untrained.legends[0].get_texts()]
    tied = study(2, ("",))
    tied = replace(tied, ties=tied.ranking)
    assert "others" not in [text.get_text() for text in accuracy_bars(tied).legends[0].get_texts()]


def test_a_configuration_without_a_figure_is_marked() -> None:
    (axes,) = accuracy_bars(bare()).axes
    assert [text.get_text() for text in axes.texts] == ["no figure", "no figure"]
    assert not axes.patches
    for axes in overview(bare()).axes:
        assert [text.get_text() for text in axes.texts] == ["no figure", "no figure"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_configuration_that_diverged_has_no_bar(value: float) -> None:
    diverged = replace(configuration("mlp", "", 0.4), last_accuracy=Interval(value, math.nan, math.nan), last_loss=None)
    result = StudyResult((configuration("cel", "", 0.5), diverged), ("cel", "mlp"), head=study(1).head)
    assert len(draw(accuracy_bars(result)).axes[0].patches) == 1
    draw(overview(result))


def test_the_overview_shows_accuracy_loss_and_overfitting_with_their_intervals() -> None:
    result = StudyResult((configuration("cel", "", 0.5),), ("cel",), head=study(1).head)
    figure = overview(result)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["track accuracy in %", "loss in nats", "overfitting in points"]
    dots = [[line for line in axes.get_lines() if line.get_marker() == "o"] for axes in figure.axes]
    np.testing.assert_allclose(
        [np.asarray(line.get_xdata(), dtype=float) for (line,) in dots], np.array([[50.0], [1.65], [48.0]])
    )
    np.testing.assert_allclose(np.asarray(figure.axes[0].get_lines()[0].get_xdata(), dtype=float), [43, 56])


@pytest.mark.parametrize("name", ["$wing$", "$x", "<script>", "W" * 30, "and so on " * 30])
@pytest.mark.parametrize("picture", PICTURES)
def test_a_name_is_not_parsed_as_markup(picture: Callable[[StudyResult], Figure], name: str) -> None:
    figure = draw(picture(renamed(study(3, ("$g$",)), name)))
    width = figure.get_size_inches()[0]
    assert figure.get_tightbbox().x1 <= width
    plots = [axes for axes in figure.axes if axes.axison]
    assert all(axes.get_window_extent().width / figure.get_dpi() > width / 6 for axes in plots)


def test_curves_are_means_over_runs_up_to_the_end_of_the_shortest() -> None:
    first, second = history(0, 8, 0.6), history(1, 5, 0.5)
    loss, accuracy, _ = curves({"cel": [first, second]}).axes
    training, validation, *seeds = loss.get_lines()
    pairs = list(zip(first, second, strict=False))
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    np.testing.assert_allclose(
        np.asarray(training.get_ydata(), dtype=float), [(a.train_loss + b.train_loss) / 2 for a, b in pairs]
    )
    np.testing.assert_allclose(
        np.asarray(validation.get_ydata(), dtype=float), [(a.validation_loss + b.validation_loss) / 2 for a, b in pairs]
    )
    np.testing.assert_array_equal(validation.get_xdata(), [1, 2, 3, 4, 5])
    assert [len(np.asarray(line.get_xdata())) for line in seeds] == [8, 5]
    tracks = [50 * (a.validation_track_accuracy + b.validation_track_accuracy) for a, b in pairs]
    np.testing.assert_allclose(np.asarray(accuracy.get_lines()[0].get_ydata(), dtype=float), tracks)


def test_each_group_has_a_column_and_each_configuration_its_own_style() -> None:
    result = study(20, ("",))
    *_, below = curves(histories(result)).axes
    legend = below.get_legend()
    assert legend is not None
    assert [text.get_text().replace("\n", " ") for text in legend.get_texts()] == [run.name for run in result.runs]
    assert len({(line.get_color(), line.get_marker()) for line in legend.get_lines()}) == 20
    assert len(curves(histories(study()), groups(study())).axes) == 6


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_the_axis_of_curves_has_whole_epochs(epochs: int) -> None:
    for axes in draw(curves({"cel": [history(0, epochs, 0.6)]})).axes[:2]:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(float(tick).is_integer() for tick in ticks)
        assert (axes.get_lines()[0].get_marker() in ("x", "o")) == (epochs == 1)


def test_one_diverging_loss_does_not_flatten_the_others() -> None:
    seeds = history(0, 30, 0.6)
    seeds[20] = replace(seeds[20], validation_loss=1e9)
    seeds[21] = replace(seeds[21], validation_loss=math.nan, train_loss=math.inf)
    loss = draw(curves({"cel": [seeds], "mlp": [history(1, 30, 0.5)]})).axes[0]
    assert 2 < loss.get_ylim()[1] < 5
    assert [text.get_text() for text in loss.texts] == ["losses up to 1e+09 are above this axis"]
    assert not draw(curves({"mlp": [history(1, 30, 0.5)]})).axes[0].texts


def test_a_single_epoch_has_different_markers_for_training_and_validation() -> None:
    loss = draw(curves({"lda": [history(0, 1, 0.6)], "cel": [history(0, 9, 0.6)]})).axes[0]
    assert [line.get_marker() for line in loss.get_lines()[:2]] == ["x", "o"]
    assert loss.get_title(loc="left") == "Cross-entropy loss: validation solid or o, training dashed or x"


@pytest.mark.parametrize("above", [0, 1])
def test_losses_that_are_mostly_zero_are_drawn(above: int) -> None:
    seeds = [replace(epoch, train_loss=0.0, validation_loss=0.0) for epoch in history(0, 30, 0.6)]
    seeds[:above] = [replace(seeds[0], train_loss=0.5)] * above
    low, high = draw(curves({"svm": [seeds]})).axes[0].get_ylim()
    assert low <= 0.5 * above < high


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_best_confusion_matrices_are_drawn_below_their_names(count: int) -> None:
    names = [f"configuration {number}" for number in range(count)]
    figure = draw(confusion_grid(dict.fromkeys(names, CONFUSION), GENRES))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == names[:MOST_SHOWN]
    assert len(shown[0].texts) == sum(value > 0 for row in CONFUSION for value in row)
    assert [label.get_text() for label in shown[0].get_yticklabels()] == list(GENRES)
    assert [label.get_text() for label in shown[-1].get_xticklabels()] == list(GENRES)


def test_configurations_without_histories_are_drawn_empty() -> None:
    draw(curves({}))
    draw(curves({"cel": [], "mlp": [[]]}))
