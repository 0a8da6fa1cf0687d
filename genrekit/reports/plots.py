"""Pictures of a training and of its mistakes, as PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from genrekit._types import FloatArray
from genrekit.audio.features import hz_to_mel
from genrekit.config import FeatureConfig
from genrekit.io.files import atomic_write
from genrekit.metrics.accuracy import GenreFigures
from genrekit.metrics.calibration import Calibration
from genrekit.metrics.epochs import Epoch


@dataclass(frozen=True)
class FragmentView:
    """One variant of a fragment, to look at: what it is, what it drew, and its tensors as far as they are there.

    Shapes: waveform float32 [n_samples] in [-1, 1], mel float32 [n_mels, n_frames] in [0, 1].
    """

    variant: str
    drawn: str
    waveform: FloatArray | None
    mel: FloatArray | None


__all__ = ["Axes", "Figure", "Patch", "confusion_figure", "fragment_figure", "learning_curves", "save_png"]

_TRAIN, _VALIDATION, _TRACKS, _QUIET = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""


def learning_curves(history: Sequence[Epoch], best_epoch: int) -> Figure:
    """Loss and accuracy over epochs, each curve named in a legend, with the best epoch marked."""
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [epoch.epoch for epoch in history]
    for axes, title, curves in (
        (
            left,
            "Cross-entropy loss",
            [
                ("training", _TRAIN, [epoch.train_loss for epoch in history]),
                ("validation", _VALIDATION, [epoch.validation_loss for epoch in history]),
            ],
        ),
        (
            right,
            "Accuracy in %",
            [
                ("training", _TRAIN, [100 * epoch.train_accuracy for epoch in history]),
                ("validation, fragments", _VALIDATION, [100 * epoch.validation_fragment_accuracy for epoch in history]),
                ("validation, tracks", _TRACKS, [100 * epoch.validation_track_accuracy for epoch in history]),
            ],
        ),
    ):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.axvline(best_epoch, color=_QUIET, linewidth=0.8, linestyle=":", label=f"best epoch ({best_epoch})")
        for name, colour, values in curves:
            axes.plot(epochs, values, color=colour, label=name, marker="o" if len(epochs) == 1 else None)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


def confusion_figure(confusion: Sequence[Sequence[int]], genres: Sequence[str], title: str) -> Figure:
    """A confusion matrix: shades by the share of the row, counts in the cells."""
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells, name = max(3.0, 0.6 * len(genres)), 0.12 * max(map(len, genres))  # inches that they take
    figure = Figure(figsize=(cells + name + 0.6, cells + 0.7 * name + 0.9), dpi=120, layout="compressed")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(genres)), genres, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(genres)), genres, parse_math=False)
    axes.set_xlabel("called")
    axes.set_ylabel("is")
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9, in_layout=False)
    return figure


def reliability_figure(levels: Mapping[str, Calibration], title: str) -> Figure:
    """Reliability diagrams side by side: how often answers are right against how sure, and how many there are."""
    figure = Figure(figsize=(5 * len(levels), 5.6), dpi=120, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    columns = figure.subplots(2, len(levels), squeeze=False, sharex=True, height_ratios=(4, 1))
    for (above, below), (name, found) in zip(columns.T, levels.items(), strict=True):
        edges, widths = [one.low for one in found.bins], [one.high - one.low for one in found.bins]
        above.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8, linestyle=":", label="as sure as right")
        bars = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
        above.bar(edges, [one.accuracy for one in found.bins], widths, color=_TRAIN, label="right", **bars)
        confidence = [one.confidence for one in found.bins]
        above.plot(confidence, confidence, "o", color=_VALIDATION, markersize=4, label="sure")
        error = found.error
        above.set_title(
            f"{name}: error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})", loc="left", fontsize=10
        )
        above.set_ylabel("share that is right")
        above.set(xlim=(0, 1), ylim=(0, 1.02))
        above.legend(frameon=False, fontsize=9, loc="upper left")
        below.bar(edges, [one.count for one in found.bins], widths, color=_QUIET, **bars)
        below.set_ylabel(name)
        below.set_xlabel("confidence")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
    return figure


def genre_bars(figures: Sequence[GenreFigures], title: str) -> Figure:
    """Recall with its interval and precision of each genre, one below the other."""
    name = 0.09 * max(len(one.genre) for one in figures)
    figure = Figure(figsize=(6.5 + name, 1.6 + 0.42 * len(figures)), dpi=120, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(figures))
    recalls = [100 * one.recall.value for one in figures]
    below = [100 * (one.recall.value - one.recall.low) for one in figures]
    above = [100 * (one.recall.high - one.recall.value) for one in figures]
    axes.barh(places - 0.2, recalls, 0.38, color=_TRAIN, label="recall, with its 95 % interval")
    axes.errorbar(recalls, places - 0.2, xerr=(below, above), fmt="none", ecolor="#222222", elinewidth=1, capsize=2)
    axes.barh(places + 0.2, [100 * one.precision for one in figures], 0.38, color=_VALIDATION, label="precision")
    axes.set_yticks(places, [f"{one.genre} ({one.tracks})" for one in figures], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 103)
    axes.set_xlabel("% of tracks")
    axes.set_title(title, loc="left", fontsize=11, pad=26, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, ncols=2)
    return figure


def spectrogram_png(mel: FloatArray) -> bytes:
    """A mel spectrogram, [n_mels, n_frames] in [0, 1], as PNG with one pixel a value and the lowest band below."""
    shades = np.rint(np.clip(mel[::-1], 0, 1) * 255).astype(np.uint8)
    palette = np.rint(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    rows = np.pad(shades, ((0, 0), (1, 0)))  # each row begins with its filter: none
    size = struct.pack(">2I5B", mel.shape[1], mel.shape[0], 8, 3, 0, 0, 0)  # 8 bits, indices into a palette
    chunks = {b"IHDR": size, b"PLTE": palette.tobytes(), b"IDAT": zlib.compress(rows.tobytes(), 9), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )


_HERTZ = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)


def fragment_figure(views: Sequence[FragmentView], front_end: FeatureConfig, title: str) -> Figure:
    """One fragment's variants below each other, each as waveform and as mel spectrogram, in seconds and Hz."""
    figure = Figure(figsize=(12, 1 + 1.7 * len(views)), dpi=110, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, parse_math=False)
    rows = figure.subplots(len(views), 2, squeeze=False, sharex=True, width_ratios=(1, 1.3))
    low, high = hz_to_mel([front_end.fmin, front_end.fmax_hz])
    marks = [hertz for hertz in _HERTZ if front_end.fmin <= hertz <= front_end.fmax_hz]
    places = (hz_to_mel(marks) - low) / (high - low) * (front_end.n_mels + 1) - 1
    for (left, right), view in zip(rows, views, strict=True):
        name = f"{view.variant} ({view.drawn})" if view.drawn else view.variant
        left.set_title(name, loc="left", fontsize=10, parse_math=False)
        left.spines[["top", "right"]].set_visible(False)
        left.set_ylim(-1, 1)
        if view.waveform is not None:
            seconds = np.arange(len(view.waveform)) / front_end.sample_rate
            left.plot(seconds, view.waveform, color=_TRAIN, linewidth=0.3)
        if view.mel is not None:
            extent = (0, front_end.duration_s, -0.5, front_end.n_mels - 0.5)
            image = right.imshow(view.mel, "magma", aspect="auto", origin="lower", vmin=0, vmax=1, extent=extent)
            figure.colorbar(image, ax=right, label="of [0, 1]", ticks=[0, 0.5, 1])
        right.set_yticks(places, [f"{hertz:,}" for hertz in marks], fontsize=7)
        right.set_ylabel("Hz")
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file)
