"""Figures show their data, nothing is cut off, and PNG files are complete."""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from evaluated import GENRES as HARMFUL_GENRES
from evaluated import figures
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from genrekit.metrics.epochs import Epoch
from genrekit.reports.plots import (
    confusion_figure,
    genre_bars,
    learning_curves,
    reliability_figure,
    save_png,
    spectrogram_png,
)

GTZAN = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LONG = ("Contemporary Electroacoustic and Acousmatic Music", "Traditional Songs of the Northern Highlands", "rock")


def history(epochs: int) -> list[Epoch]:
    return [
        Epoch(
            epoch=epoch,
            lr=0.01,
            train_loss=2.3 / epoch,
            train_accuracy=1 - 0.9 / epoch,
            validation_loss=2.4 / epoch + 0.01 * epoch,
            validation_fragment_accuracy=0.8 - 0.7 / epoch,
            validation_track_accuracy=0.9 - 0.7 / epoch,
            seconds=1.0,
        )
        for epoch in range(1, epochs + 1)
    ]


def confusion(n_genres: int, largest: int = 100) -> list[list[int]]:
    """Return counts that are not symmetric; the first genre has no tracks, the second is never wrong."""
    counts = np.random.default_rng(0).integers(0, 9, (n_genres, n_genres)) + np.diag([largest] * n_genres)
    counts[0] = 0
    counts[1] = largest * np.eye(n_genres, dtype=int)[1]
    return counts.tolist()


def draw(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def assert_nothing_is_cut_off(figure: Figure) -> None:
    everything, (width, height) = draw(figure).get_tightbbox(), figure.get_size_inches()
    assert 0 <= everything.x0 <= everything.x1 <= width
    assert 0 <= everything.y0 <= everything.y1 <= height


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_learning_curves_show_all_values_of_all_epochs(epochs: int) -> None:
    figure = learning_curves(history(epochs), best_epoch=epochs)
    assert_nothing_is_cut_off(figure)
    drawn = {
        (axes.get_title(loc="left"), str(line.get_label())): np.asarray(line.get_ydata())
        for axes in figure.axes
        for line in axes.get_lines()[:-1]
    }
    expected = {
        ("Cross-entropy loss", "training"): [epoch.train_loss for epoch in history(epochs)],
        ("Cross-entropy loss", "validation"): [epoch.validation_loss for epoch in history(epochs)],
        ("Accuracy in %", "training"): [100 * epoch.train_accuracy for epoch in history(epochs)],
        ("Accuracy in %", "validation, fragments"): [
            100 * epoch.validation_fragment_accuracy for epoch in history(epochs)
        ],
        ("Accuracy in %", "validation, tracks"): [100 * epoch.validation_track_accuracy for epoch in history(epochs)],
    }
    assert drawn.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(drawn[name], values)
    for axes in figure.axes:
        for line in axes.get_lines()[:-1]:
            np.testing.assert_array_equal(np.asarray(line.get_xdata()), np.arange(1, epochs + 1))


def test_the_legend_names_the_curves_and_the_best_epoch() -> None:
    for axes in learning_curves(history(9), best_epoch=7).axes:
        names = [line.get_label() for line in axes.get_lines()]
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == names
        assert names[-1] == "best epoch (7)"
        np.testing.assert_array_equal(axes.get_lines()[-1].get_xdata(), [7, 7])


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    for axes in learning_curves(history(epochs), best_epoch=1).axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(float(tick).is_integer() for tick in ticks)


def test_a_single_epoch_is_a_visible_point() -> None:
    for epochs, marker in ((1, "o"), (2, "None")):
        figure = learning_curves(history(epochs), best_epoch=1)
        assert {line.get_marker() for axes in figure.axes for line in axes.get_lines()[:-1]} == {marker}


def test_a_run_that_diverged_is_plotted_up_to_its_last_finite_values() -> None:
    epochs = history(3)
    epochs.append(Epoch(4, 0.01, float("nan"), 0.1, float("inf"), 0.1, 0.1, 1.0))
    assert_nothing_is_cut_off(learning_curves(epochs, best_epoch=3))


@pytest.mark.parametrize(
    ("genres", "largest"),
    [
        pytest.param(GTZAN[:2], 5, id="two"),
        pytest.param(GTZAN, 100, id="ten"),
        pytest.param(LONG[:2], 20_000, id="two with long names"),
        pytest.param(["M" * 40, "W" * 40], 5, id="two with wide names"),
        pytest.param([f"{LONG[n % 3]} {n}" for n in range(30)], 20_000, id="thirty with long names"),
        pytest.param([("and so on " * 26)[:255], "rock"], 5, id="two, one of which is as long as a folder's may be"),
    ],
)
def test_a_confusion_matrix_can_be_read(genres: Sequence[str], largest: int) -> None:
    figure = confusion_figure(confusion(len(genres), largest), genres, "validation, tracks, best epoch")
    assert_nothing_is_cut_off(figure)
    (axes,) = figure.axes
    cell = axes.bbox.width / len(genres)
    assert axes.bbox.height / len(genres) == pytest.approx(cell)
    assert cell / figure.get_dpi() >= 0.5
    for text in axes.texts:
        assert text.get_window_extent().width < cell
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(rows))
    columns = axes.get_xticklabels()
    assert {label.get_rotation() for label in columns} == {45}
    assert rows[0].height < cell * np.sin(np.pi / 4)  # the distance between two names of columns


def test_cells_show_counts_and_their_shades_shares_of_the_row() -> None:
    counts = [[0, 0, 0], [0, 6, 0], [3, 0, 1]]
    (axes,) = confusion_figure(counts, ["a", "b", "c"], "title").axes
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((1, 1), "6"),
        ((0, 2), "3"),
        ((2, 2), "1"),
    }
    (image,) = axes.get_images()
    shares = np.array([[0, 0, 0], [0, 1, 0], [0.75, 0, 0.25]])
    np.testing.assert_allclose(np.array(image.get_array(), dtype=float), shares)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.get_title(loc="left")) == (
        "true genre",
        "predicted genre",
        "title",
    )


def test_counts_contrast_with_their_cells() -> None:
    (axes,) = confusion_figure([[9, 1], [5, 5]], ["a", "b"], "title").axes
    assert {text.get_text(): text.get_color() for text in axes.texts} == {"9": "white", "1": "black", "5": "black"}


@pytest.mark.parametrize("genres", [HARMFUL_GENRES, GTZAN, LONG], ids=["harmful", "ten", "long"])
def test_bars_show_each_genre_s_recall_and_precision(genres: tuple[str, ...]) -> None:
    model = figures("model", genres=genres)
    figure = genre_bars(model.per_genre, "model")
    assert_nothing_is_cut_off(figure)
    (axes,) = figure.axes
    recalls, precisions = [
        [bar.get_width() for bar in axes.containers[container] if isinstance(bar, Rectangle)] for container in (0, 2)
    ]
    assert recalls == pytest.approx([100 * one.recall.value for one in model.per_genre])
    assert precisions == pytest.approx([100 * one.precision for one in model.per_genre])
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"{one.genre} ({one.tracks})" for one in model.per_genre]


def test_a_reliability_diagram_has_a_bar_and_a_dot_for_each_bin() -> None:
    model = figures("model")
    levels = {"tracks": model.track_figures.calibration, "fragments": model.fragment_figures.calibration}
    figure = reliability_figure(levels, "$model$")
    assert_nothing_is_cut_off(figure)
    for column, calibration in enumerate(levels.values()):
        above, below = figure.axes[column], figure.axes[column + 2]
        bars = [bar for bar in above.patches if isinstance(bar, Rectangle)]
        assert [bar.get_height() for bar in bars] == pytest.approx([one.accuracy for one in calibration.bins])
        assert [bar.get_x() for bar in bars] == pytest.approx([one.low for one in calibration.bins])
        counts = [bar.get_height() for bar in below.patches if isinstance(bar, Rectangle)]
        assert counts == [one.count for one in calibration.bins]


def test_a_spectrogram_is_a_png_with_one_pixel_per_value_and_low_bands_at_the_bottom() -> None:
    mel = np.zeros((3, 5), np.float32)
    mel[0, 1], mel[2, 4] = 1, 0.5
    pixels = imread(BytesIO(spectrogram_png(mel)), format="png")
    assert pixels.shape[:2] == (3, 5)
    shades = colormaps["magma"]([0.0, 0.5, 1.0])[:, :3]
    np.testing.assert_allclose(pixels[2, 1, :3], shades[2], atol=0.01)
    np.testing.assert_allclose(pixels[0, 4, :3], shades[1], atol=0.01)
    np.testing.assert_allclose(pixels[1, 0, :3], shades[0], atol=0.01)


@pytest.mark.parametrize("name", ["$wing$", r"$\wave^$", "R$B"])
def test_a_genre_with_dollars_in_its_name_is_not_a_formula(name: str) -> None:
    figure = confusion_figure([[1, 0], [0, 1]], [name, "jazz"], "title")
    (axes,) = draw(figure).axes
    for label in (axes.get_xticklabels()[0], axes.get_yticklabels()[0]):
        assert (label.get_text(), label.get_parse_math()) == (name, False)


def test_learning_curves_are_saved_as_png(tmp_path: Path) -> None:
    save_png(learning_curves(history(50), 1), tmp_path / "plots" / "curves.png")
    assert imread(tmp_path / "plots" / "curves.png").shape == (480, 1_200, 4)


def test_a_confusion_matrix_is_saved_as_png_of_the_figure_s_size(tmp_path: Path) -> None:
    figure = confusion_figure(confusion(10), GTZAN, "title")
    save_png(figure, tmp_path / "confusion.png")
    pixels = imread(tmp_path / "confusion.png")
    width, height = figure.get_size_inches() * figure.get_dpi()
    assert pixels.shape == (int(height), int(width), 4)
    assert 800 <= width <= 1_000
    assert pixels[..., :3].std() > 0.1


def test_a_failed_write_keeps_the_old_picture_and_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "curves.png"
    save_png(learning_curves(history(2), 1), path)
    before = path.read_bytes()

    def fail(_canvas: FigureCanvasAgg, file: IO[bytes], **_options: object) -> None:
        file.write(b"\x89PNG, but no more")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FigureCanvasAgg, "print_png", fail)
    with pytest.raises(OSError, match="No space"):
        save_png(learning_curves(history(3), 1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
