"""One model in a report: how it learned, what it gets wrong, and how it was made."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genrekit.config import Config
from genrekit.metrics.epochs import Epoch
from genrekit.metrics.evaluation import ModelFigures
from genrekit.metrics.formatting import percent
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.reports.charts import Curve, line_chart
from genrekit.reports.page import Html, code, element, folded, joined
from genrekit.reports.page_tables import Column, number, table


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


def learning(metadata: BundleMetadata) -> Html:
    """The learning curves, or why there are none."""
    history, best = metadata.history, metadata.best_epoch
    heading = element("h3", "Learning")
    if not metadata.train.architecture.trained_by_gradient:
        return joined([heading, element("p", "This model was fitted at once: it has no learning curves.")])
    if not history:
        return joined([heading, element("p", "The bundle does not tell how the training went.")])
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
    charts = [
        element(
            "figure",
            element("figcaption", title),
            line_chart(f"{title} over epochs; numbers in the table below", epochs, curves, best_epoch=best, top=top),
        )
        for title, curves, top in (("Cross-entropy loss", losses, None), ("Accuracy", shares, 1.0))
    ]
    numbers = folded("The numbers of all epochs", _epochs(history))
    return joined([heading, element("div", *charts, class_="charts"), numbers], "\n")


def _epochs(history: Sequence[Epoch]) -> Html:
    names = ("epoch", "rate", "loss", "accuracy", "validation loss", "fragments", "tracks")
    rows = [
        [
            number(epoch.epoch),
            number(epoch.lr, f"{epoch.lr:.2g}"),
            number(epoch.train_loss, f"{epoch.train_loss:.3f}"),
            number(epoch.train_accuracy, percent(epoch.train_accuracy)),
            number(epoch.validation_loss, f"{epoch.validation_loss:.3f}"),
            number(epoch.validation_fragment_accuracy, percent(epoch.validation_fragment_accuracy)),
            number(epoch.validation_track_accuracy, percent(epoch.validation_track_accuracy)),
        ]
        for epoch in history
    ]
    columns = [Column(name, number=True) for name in names]
    return table("All epochs; training is measured with dropout and augmentation", columns, rows)


def mistakes(examples: Sequence[Example]) -> Html:
    """Cards with a spectrogram and a player each; nothing where there are none."""
    if not examples:
        return Html("")
    meaning = (
        "Wrong answers that the model is surest of, each with the fragment that sounds most like the wrong genre to "
        "it. Low bands are below."
    )
    cards = element("div", *map(_example, examples), class_="examples")
    return joined([element("h3", "Most confident mistakes"), element("p", meaning), cards], "\n")


def _example(example: Example) -> Html:
    where = f"{example.track}, from {example.start_s:g} s"
    parts = []
    if example.picture is not None:
        source = _data("image/png", example.picture)
        parts.append(element("img", src=source, alt="Mel spectrogram of the fragment"))
    parts.append(
        element(
            "figcaption",
            element("b", f"{example.genre}, called {example.called}"),
            f", {100 * example.probability:.0f} % sure",
            element("br"),
            element("span", where, class_="quiet"),
        )
    )
    if example.sound is not None:
        content, media = example.sound
        source = _data(media, content)
        parts.append(element("audio", controls="", preload="metadata", aria_label=where, src=source))
    return element("figure", *parts)


def _data(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def making(story: ModelStory) -> Html:
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
    configurations = {
        "training": metadata.train,
        "waveform and mel spectrogram": metadata.prepare.front_end,
        "augmentation in the cache": metadata.prepare.augmentation,
    }
    again = [element("p", "To make it again:"), code("\n".join(story.commands))] if story.commands else []
    tables = [folded(f"Configuration: {name}", _configuration(name, its)) for name, its in configurations.items()]
    return joined([element("h3", "How it was made"), element("p", facts), *again, *tables], "\n")


def _configuration(name: str, values: Config) -> Html:
    rows = [
        [key, _value(getattr(values, key)), field.description or ""] for key, field in type(values).model_fields.items()
    ]
    return table(f"Values of the {name}", (Column("name"), Column("value"), Column("meaning", sortable=False)), rows)


def _value(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
