"""Figures of training runs, evaluations and fragments."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from genrekit._types import FloatArray
from genrekit.audio.features import hz_to_mel
from genrekit.config import FeatureConfig
from genrekit.io.files import atomic_write
from genrekit.io.printable import printable_lines
from genrekit.io.targets import SOFTWARE
from genrekit.metrics.accuracy import GenreFigures
from genrekit.metrics.calibration import Calibration
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.formatting import with_interval
from genrekit.metrics.intervals import Interval
from genrekit.reports.fragment_view import FragmentView
from genrekit.reports.svg import missing_glyphs_ignored

__all__ = [
    "CURVES",
    "FIGURE_ENDINGS",
    "Axes",
    "Figure",
    "Patch",
    "bar_figure",
    "confusion_figure",
    "draw_confusion",
    "fragment_figure",
    "genre_bars",
    "interval_chart",
    "learning_chart",
    "learning_curves",
    "png_bytes",
    "reliability_chart",
    "reliability_figure",
    "save_figure",
    "save_png",
    "save_vector",
    "spectrogram_png",
]
"""What the module defines, and the types of matplotlib that other packages use."""


_FIRST, _SECOND, _THIRD, _QUIET = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Colours of Okabe and Ito, which colour-blind readers can tell apart."""

_INK, _RULE = "#333333", "#E3E5E8"

CURVES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "loss": ("Cross-entropy loss", (("train_loss", "training"), ("validation_loss", "validation"))),
    "accuracy": (
        "Accuracy in %",
        (
            ("train_accuracy", "training"),
            ("validation_fragment_accuracy", "validation, fragments"),
            ("validation_track_accuracy", "validation, tracks"),
        ),
    ),
}
"""For each kind of learning curve its title, and the fields of `Epoch` that it shows with their labels."""

_LINES = (("-", _FIRST), ("--", _SECOND), (":", _THIRD))
"""Style and colour of the first, second and third curve."""

_POINT = 1 / 72
"""Inches. A figure of a page is 400 points wide, so that its fonts have their size in pixels at the full width."""

_PAGE_FONT = 12


def learning_curves(history: Sequence[Epoch], best_epoch: int) -> Figure:
    """Plot loss and accuracy over epochs side by side, with a legend and the best epoch."""
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        _draw_curves(axes, history, best_epoch, kind)
        axes.legend(frameon=False, fontsize=9)
    return figure


def learning_chart(history: Sequence[Epoch], best_epoch: int, kind: str) -> Figure:
    """Plot one of the `CURVES` over epochs for a page, with the legend below."""
    figure = Figure(figsize=(400 * _POINT, 270 * _POINT), layout="constrained")
    axes = figure.subplots()
    _draw_curves(axes, history, best_epoch, kind)
    _enlarge(axes)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=_PAGE_FONT
    )
    return figure


def _draw_curves(axes: Axes, history: Sequence[Epoch], best_epoch: int, kind: str) -> None:
    title, curves = CURVES[kind]
    factor = 100 if kind == "accuracy" else 1
    epochs = [epoch.epoch for epoch in history]
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    for (field, label), (style, colour) in zip(curves, _LINES, strict=False):
        values = [factor * getattr(epoch, field) for epoch in history]
        axes.plot(epochs, values, style, color=colour, label=label, marker="o" if len(epochs) == 1 else None)
    axes.axvline(best_epoch, color=_QUIET, linewidth=0.8, linestyle="-.", label=f"best epoch ({best_epoch})")
    axes.set_ylim(bottom=0, top=102 if kind == "accuracy" else None)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    _simplify(axes)
    axes.grid(axis="y", color=_RULE, linewidth=0.6)


def _simplify(axes: Axes) -> None:
    """Remove what surrounds the data without a meaning."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _enlarge(axes: Axes) -> None:
    """Set all fonts to the size that they need on a page."""
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_fontsize(_PAGE_FONT)
    axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=_PAGE_FONT)
    axes.tick_params(labelsize=_PAGE_FONT)


def interval_chart(interval: Interval) -> Figure:
    """Plot a share and its interval on a line from 0 to 1, without numbers, for a cell of a table."""
    figure = Figure(figsize=(110 * _POINT, 16 * _POINT))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(-0.05, 1.05), ylim=(-1, 1))
    axes.plot([0, 1], [0, 0], color=_RULE, linewidth=1)
    axes.plot([interval.low, interval.high], [0, 0], color=_FIRST, linewidth=2)
    axes.plot([interval.value], [0], "o", color=_FIRST, markersize=7)
    return figure


def confusion_figure(confusion: Sequence[Sequence[int]], genres: Sequence[str], title: str) -> Figure:
    """Plot a confusion matrix: each cell shows its count, and its shade is the share of the row."""
    cells, name = max(3.0, 0.6 * len(genres)), 0.12 * max(map(len, genres))  # in inches
    figure = Figure(figsize=(cells + name + 0.6, cells + 0.7 * name + 0.9), dpi=120, layout="compressed")
    axes = figure.subplots()
    draw_confusion(axes, confusion, genres, title)
    axes.set_xlabel("predicted genre")
    axes.set_ylabel("true genre")
    return figure


def draw_confusion(
    axes: Axes, confusion: Sequence[Sequence[int]], genres: Sequence[str], title: str, *, count_size: float = 9
) -> None:
    """Draw a confusion matrix into axes; `count_size` is the font size of the counts."""
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(genres)), genres, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(genres)), genres, parse_math=False)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, str(count), ha="center", va="center", color=colour, fontsize=count_size, in_layout=False
            )


def reliability_figure(levels: Mapping[str, Calibration], title: str) -> Figure:
    """Plot a reliability diagram for each level, side by side, with the number of predictions of each bin below."""
    figure = Figure(figsize=(5 * len(levels), 5.6), dpi=120, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    columns = figure.subplots(2, len(levels), squeeze=False, sharex=True, height_ratios=(4, 1))
    for (above, below), (name, calibration) in zip(columns.T, levels.items(), strict=True):
        _draw_reliability(above, calibration)
        above.set_title(f"{name}: error {with_interval(calibration.error, '.3f')}", loc="left", fontsize=10)
        above.legend(frameon=False, fontsize=9, loc="upper left")
        _draw_bins(below, calibration, [one.count for one in calibration.bins], _QUIET)
        below.set_ylabel(name)
        below.set_xlabel("confidence")
        _simplify(below)
    return figure


def reliability_chart(calibration: Calibration) -> Figure:
    """Plot the reliability diagram of one level for a page."""
    figure = Figure(figsize=(300 * _POINT, 300 * _POINT), layout="constrained")
    axes = figure.subplots()
    _draw_reliability(axes, calibration)
    axes.set_xlabel("confidence")
    axes.set_aspect("equal")
    _enlarge(axes)
    return figure


def _draw_reliability(axes: Axes, calibration: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8, linestyle=":", label="perfect calibration")
    _draw_bins(axes, calibration, [one.accuracy for one in calibration.bins], _FIRST, label="accuracy")
    confidence = [one.confidence for one in calibration.bins]
    axes.plot(confidence, confidence, "o", color=_SECOND, markersize=4, label="mean confidence")
    axes.set_ylabel("accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _simplify(axes)


def _draw_bins(
    axes: Axes, calibration: Calibration, heights: Sequence[float], colour: str, label: str | None = None
) -> None:
    edges = [one.low for one in calibration.bins]
    widths = [one.high - one.low for one in calibration.bins]
    axes.bar(edges, heights, widths, align="edge", color=colour, edgecolor="white", linewidth=0.8, label=label)


def genre_bars(figures: Sequence[GenreFigures], title: str) -> Figure:
    """Plot recall with its interval and precision of each genre as horizontal bars."""
    names = 0.09 * max(len(one.genre) for one in figures)  # in inches
    figure = Figure(figsize=(6.5 + names, 1.6 + 0.42 * len(figures)), dpi=120, layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(figures))
    recalls = [100 * one.recall.value for one in figures]
    below = [100 * (one.recall.value - one.recall.low) for one in figures]
    above = [100 * (one.recall.high - one.recall.value) for one in figures]
    axes.barh(rows - 0.2, recalls, 0.38, color=_FIRST, label="recall, with 95 % interval")
    axes.errorbar(recalls, rows - 0.2, xerr=(below, above), fmt="none", ecolor=_INK, elinewidth=1, capsize=2)
    axes.barh(rows + 0.2, [100 * one.precision for one in figures], 0.38, color=_SECOND, label="precision")
    axes.set_yticks(rows, [f"{one.genre} ({one.tracks})" for one in figures], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 103)
    axes.set_xlabel("% of tracks")
    axes.set_title(title, loc="left", fontsize=11, pad=26, parse_math=False)
    _simplify(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, ncols=2)
    return figure


def bar_figure(values: Mapping[str, float | Interval], label: str) -> Figure:
    """Plot a horizontal bar for each name; an `Interval` is a share in [0, 1] that is shown in % with its bounds."""
    figure = Figure(figsize=(6.5 + 0.06 * max(map(len, values), default=0), 0.8 + 0.3 * len(values)), dpi=100)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    rows = np.arange(len(values))
    lengths = [100 * one.value if isinstance(one, Interval) else one for one in values.values()]
    axes.barh(rows, lengths, 0.7, color=_FIRST)
    for row, one in zip(rows, values.values(), strict=True):
        if isinstance(one, Interval) and np.isfinite([one.low, one.high]).all():
            axes.plot([100 * one.low, 100 * one.high], [row, row], color=_INK, linewidth=1.5)
    axes.set_yticks(rows, list(values), parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    _simplify(axes)
    return figure


def spectrogram_png(mel: FloatArray) -> bytes:
    """Encode a mel spectrogram, [n_mels, n_frames] in [0, 1], as PNG: one pixel per value, low bands at the bottom."""
    shades = np.rint(np.clip(mel[::-1], 0, 1) * 255).astype(np.uint8)
    palette = np.rint(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    rows = np.pad(shades, ((0, 0), (1, 0)))  # the first byte of a row selects its filter: none
    size = struct.pack(">2I5B", mel.shape[1], mel.shape[0], 8, 3, 0, 0, 0)  # 8 bits, indices into a palette
    chunks = {b"IHDR": size, b"PLTE": palette.tobytes(), b"IDAT": zlib.compress(rows.tobytes(), 9), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )


_HERTZ = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)


def fragment_figure(views: Sequence[FragmentView], front_end: FeatureConfig, title: str) -> Figure:
    """Plot the variants of a fragment below each other, each as waveform and mel spectrogram, in seconds and Hz."""
    figure = Figure(figsize=(12, 1 + 1.7 * len(views)), dpi=110, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, parse_math=False)
    rows = figure.subplots(len(views), 2, squeeze=False, sharex=True, width_ratios=(1, 1.3))
    low, high = hz_to_mel([front_end.fmin, front_end.fmax_hz])
    marks = [hertz for hertz in _HERTZ if front_end.fmin <= hertz <= front_end.fmax_hz]
    positions = (hz_to_mel(marks) - low) / (high - low) * (front_end.n_mels + 1) - 1
    for (wave_axes, mel_axes), view in zip(rows, views, strict=True):
        name = f"{view.variant} ({view.drawn})" if view.drawn else view.variant
        wave_axes.set_title(name, loc="left", fontsize=10, parse_math=False)
        wave_axes.spines[["top", "right"]].set_visible(False)
        wave_axes.set_ylim(-1, 1)
        if view.waveform is not None:
            seconds = np.arange(len(view.waveform)) / front_end.sample_rate
            wave_axes.plot(seconds, view.waveform, color=_FIRST, linewidth=0.3)
        if view.mel is not None:
            extent = (0, front_end.duration_s, -0.5, front_end.n_mels - 0.5)
            image = mel_axes.imshow(view.mel, "magma", aspect="auto", origin="lower", vmin=0, vmax=1, extent=extent)
            figure.colorbar(image, ax=mel_axes, label="level, 0 to 1", ticks=[0, 0.5, 1])
        mel_axes.set_yticks(positions, [f"{hertz:,}" for hertz in marks], fontsize=7)
        mel_axes.set_ylabel("Hz")
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    return figure


FIGURE_ENDINGS = (".png", ".pdf", ".svg")
"""Endings of the files of a figure: PNG for screens, PDF and SVG for papers."""


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as NAME.png, NAME.pdf and NAME.svg."""
    save_png(figure, folder / f"{name}.png")
    for ending in FIGURE_ENDINGS[1:]:
        save_vector(figure, folder / f"{name}{ending}")


def save_vector(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or SVG, by the ending of the path; the same figure gives the same file."""
    fonts = rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": path.stem})
    with missing_glyphs_ignored(), fonts, atomic_write(path) as file:
        if path.suffix == ".pdf":
            FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None})
        else:
            text = io.StringIO()
            FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
            file.write(printable_lines(text.getvalue()).encode())


def png_bytes(figure: Figure) -> bytes:
    """Encode a figure as PNG."""
    content = io.BytesIO()
    with missing_glyphs_ignored():
        FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the file is complete or unchanged."""
    with missing_glyphs_ignored(), atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": SOFTWARE})
