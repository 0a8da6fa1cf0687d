"""One model in a report: how it learned, what it gets wrong, and how it was made."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from genrekit.config import CLASSICAL, Config
from genrekit.evaluation.charts import Curve, line_chart
from genrekit.evaluation.markup import Cell, Column, number, table, text
from genrekit.models.bundle import BundleMetadata
from genrekit.records import ModelFigures


@dataclass(frozen=True)
class Example:
    """A mistake to look at and to hear: a PNG, and an audio file with its media type, as far as they are there."""

    track: str
    genre: str
    called: str
    probability: float
    start_s: float
    picture: bytes | None
    sound: tuple[bytes, str] | None


@dataclass(frozen=True)
class ModelStory:
    """What a report tells of one model; `commands` are lines that make it again."""

    figures: ModelFigures
    metadata: BundleMetadata
    examples: tuple[Example, ...] = ()
    commands: tuple[str, ...] = ()


def learning(metadata: BundleMetadata) -> str:
    """The learning curves, or why there are none."""
    history, best = metadata.history, metadata.best_epoch
    if metadata.train.arch in CLASSICAL:
        return "<h3>Learning</h3>\n<p>This model was fitted at once: it has no learning curves.</p>\n"
    if not history:
        return "<h3>Learning</h3>\n<p>The bundle does not tell how the training went.</p>\n"
    epochs = [epoch.epoch for epoch in history]
    losses = (
        Curve("training", "first", [epoch.train_loss for epoch in history]),
        Curve("validation", "second", [epoch.validation_loss for epoch in history]),
    )
    shares = (
        Curve("training", "first", [epoch.train_accuracy for epoch in history]),
        Curve("validation, fragments", "second", [epoch.validation_fragment_accuracy for epoch in history]),
        Curve("validation, tracks", "third", [epoch.validation_track_accuracy for epoch in history]),
    )
    charts = "".join(
        f"<figure><figcaption>{title}</figcaption>"
        f"{line_chart(f'{title} over epochs; numbers in the table below', epochs, curves, best_epoch=best, top=top)}"
        "</figure>\n"
        for title, curves, top in (("Cross-entropy loss", losses, None), ("Accuracy", shares, 1.0))
    )
    names = ("epoch", "rate", "loss", "accuracy", "validation loss", "fragments", "tracks")
    rows = [
        [
            number(epoch.epoch),
            number(epoch.lr, f"{epoch.lr:.2g}"),
            number(epoch.train_loss, f"{epoch.train_loss:.3f}"),
            number(epoch.train_accuracy, f"{100 * epoch.train_accuracy:.1f} %"),
            number(epoch.validation_loss, f"{epoch.validation_loss:.3f}"),
            number(epoch.validation_fragment_accuracy, f"{100 * epoch.validation_fragment_accuracy:.1f} %"),
            number(epoch.validation_track_accuracy, f"{100 * epoch.validation_track_accuracy:.1f} %"),
        ]
        for epoch in history
    ]
    columns = [Column(name, number=True) for name in names]
    listed = table("All epochs; training is measured with dropout and augmentation", columns, rows)
    return (
        f'<h3>Learning</h3>\n<div class="charts">{charts}</div>\n'
        f"<details><summary>The numbers of all epochs</summary>{listed}</details>\n"
    )


def mistakes(examples: Sequence[Example]) -> str:
    """Cards with a spectrogram and a player each; nothing where there are none."""
    if not examples:
        return ""
    cards = "".join(map(_example, examples))
    return (
        "<h3>Most confident mistakes</h3>\n<p>Wrong answers that the model is surest of, each with the fragment that "
        f'sounds most like the wrong genre to it. Low bands are below.</p>\n<div class="examples">{cards}</div>\n'
    )


def _example(example: Example) -> str:
    what = f"{example.genre}, called {example.called}"
    picture = sound = ""
    if example.picture is not None:
        source = _data("image/png", example.picture)
        picture = f'<img src="{source}" alt="Mel spectrogram of the fragment">'
    if example.sound is not None:
        content, media = example.sound
        label = escape(f"{example.track}, from {example.start_s:g} s")
        sound = f'<audio controls preload="metadata" aria-label="{label}" src="{_data(media, content)}"></audio>'
    return (
        f"<figure>{picture}<figcaption><b>{escape(what)}</b>, {100 * example.probability:.0f} % sure<br>"
        f'<span class="quiet">{escape(example.track)}, from {example.start_s:g} s</span></figcaption>{sound}</figure>\n'
    )


def _data(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def making(story: ModelStory) -> str:
    """What was trained on what and how, and how to do it again."""
    metadata = story.metadata
    versions = ", ".join(f"{name} {version}" for name, version in metadata.versions.items())
    made = metadata.created[:16].replace("T", " ")
    facts = (
        f"{metadata.train.arch} on {metadata.train.input}: {metadata.parameters:,} parameters, best epoch "
        f"{metadata.best_epoch} of {metadata.epochs}. Trained on {len(metadata.training)} tracks and validated on "
        f"{len(metadata.validation)} of the {metadata.split_name} split, {made}, with genrekit "
        f"{metadata.genrekit_version} ({versions})."
    )
    configurations = (
        ("training", metadata.train),
        ("waveform and mel spectrogram", metadata.prepare.front_end),
        ("augmentation in the cache", metadata.prepare.augmentation),
    )
    tables = "".join(
        f"<details><summary>Configuration: {name}</summary>{_configuration(name, values)}</details>\n"
        for name, values in configurations
    )
    lines = "\n".join(story.commands)
    again = f"<p>To make it again:</p>\n<pre><code>{escape(lines)}</code></pre>\n" if lines else ""
    return f"<h3>How it was made</h3>\n<p>{escape(facts)}</p>\n{again}{tables}"


def _configuration(name: str, values: Config) -> str:
    rows = [
        [text(key), _value(getattr(values, key)), text(field.description or "")]
        for key, field in type(values).model_fields.items()
    ]
    return table(f"Values of the {name}", (Column("name"), Column("value"), Column("meaning", sortable=False)), rows)


def _value(value: Any) -> Cell:
    if value is None or value == ():
        return text("none")
    return text(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
