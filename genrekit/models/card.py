"""The model card: what a bundle tells a reader, in the form that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Callable

from genrekit.config import CLASSICAL, STFT_HOP, STFT_N_FFT, FeatureConfig, Input, PrepareConfig
from genrekit.io.markdown import plain, table
from genrekit.metrics.formatting import percent, percent_bounds
from genrekit.metrics.intervals import Interval
from genrekit.models.bundle_metadata import BundleMetadata, Figure


def model_card(metadata: BundleMetadata) -> str:
    """Markdown with a YAML head: data, split, figures with intervals, intended use, limits, and how to load.

    It says what `model.json` says; whoever publishes the model adds a licence and the collection's name.
    """
    sections = {
        "Data": _data(metadata),
        "Figures": _figures(metadata),
        "What it hears": _HEARD[metadata.train.input](metadata.prepare),
        "Intended use": _USE,
        "Limits": _LIMITS,
        "How to load": _LOAD,
    }
    body = "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in sections.items())
    return f"---\n{_head(metadata)}---\n\n# {metadata.train.stem}\n\n{_summary(metadata)}\n{body}"


def _head(metadata: BundleMetadata) -> str:
    """YAML, with text as JSON, which YAML reads."""
    figures = metadata.validation_figures
    accuracies = {"track": figures.track_accuracy.value, "fragment": figures.fragment_accuracy.value}
    results = "".join(
        f"    - type: accuracy\n      name: Validation accuracy per {unit}\n      value: {value:.4f}\n"
        for unit, value in accuracies.items()
    )
    dataset = _text(f"validation part, {metadata.split_name} split")
    return (
        "library_name: genrekit\n"
        "pipeline_tag: audio-classification\n"
        f"tags:\n- music\n- genre\n- audio-classification\n- {_text(metadata.train.arch)}\n"
        "metrics:\n- accuracy\n"
        f"model-index:\n- name: {_text(metadata.train.stem)}\n  results:\n"
        "  - task:\n      type: audio-classification\n      name: Music genre classification\n"
        f"    dataset:\n      type: music\n      name: {dataset}\n"
        f"    metrics:\n{results}"
    )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _summary(metadata: BundleMetadata) -> str:
    kind = "A classical model" if metadata.train.arch in CLASSICAL else "A neural network"
    seconds = f"{metadata.prepare.front_end.duration_s:g}"
    return (
        f"{kind} ({metadata.train.arch}, {metadata.parameters:,} parameters) that names the genre of music by "
        f"fragments of {seconds} seconds, one of {len(metadata.genres)}: {plain(', '.join(metadata.genres))}. "
        f"Trained with genrekit {metadata.genrekit_version} on {metadata.created[:10]}."
    )


def _data(metadata: BundleMetadata) -> str:
    augmentation = metadata.prepare.augmentation
    kinds = f", augmented by {', '.join(augmentation.kinds)}" if augmentation.augment else ""
    return (
        f"- Training: {len(metadata.training):,} tracks{kinds}\n"
        f"- Validation: {len(metadata.validation):,} tracks, unaltered\n"
        f"- Split: {metadata.split_name}; fragments of one track never stand on two sides\n"
        "- Names and digests of all these tracks are in `model.json`, so that a test can leave them out"
    )


def _figures(metadata: BundleMetadata) -> str:
    figures = metadata.validation_figures
    rows = [_row("per track", figures.track_accuracy), _row("per fragment", figures.fragment_accuracy)]
    return (
        "On the validation part, on which the best epoch "
        f"({metadata.best_epoch} of {metadata.epochs}) was chosen:\n\n"
        f"{table(('accuracy', '', '95 % interval'), rows)}\n"
        f"Loss {figures.loss:.3f}. Figures of a test part are not part of a bundle: `genrekit evaluate` measures them."
    )


def _row(name: str, figure: Figure) -> tuple[str, str, str]:
    bounds = percent_bounds(Interval(figure.value, figure.low, figure.high), digits=1)
    return name, percent(figure.value), f"{bounds} %"


def _mel(config: PrepareConfig) -> str:
    front_end = config.front_end
    return (
        f"{_level(front_end)} Mel spectrograms of {front_end.n_mels} bands from {front_end.fmin:g} to "
        f"{front_end.fmax_hz:g} Hz (n_fft {front_end.n_fft}, hop_length {front_end.hop_length}), in dB down to "
        f"-{front_end.top_db:g} below the loudest value of the {front_end.db_reference}, mapped to [0, 1]."
    )


def _waveform(config: PrepareConfig) -> str:
    return f"{_level(config.front_end)} The waveform itself."


def _level(front_end: FeatureConfig) -> str:
    level = {"peak": "each track's peak at 1", "rms": "each track at -20 dBFS", "none": "levels as they are"}
    return f"Mono at {front_end.sample_rate:,} Hz, {level[front_end.normalization]}."


def _stft(config: PrepareConfig) -> str:
    return (
        f"{_level(config.front_end)} Linear power spectrograms of {STFT_N_FFT // 2 + 1} bands (n_fft {STFT_N_FFT}, "
        f"hop_length {STFT_HOP})."
    )


_HEARD: dict[Input, Callable[[PrepareConfig], str]] = {"mel": _mel, "waveform": _waveform, "stft": _stft}

_USE = """
Study of music genre recognition, and a first sorting of a music collection that a person goes through afterwards. It is
not made to decide about people, rights or money.
"""

_LIMITS = """
- Genre is a convention: what one collection calls rock, another calls pop. The model knows its collection's use alone,
  and calls whatever it hears, speech and noise included, by one of its genres.
- Accuracy falls on artists, recordings and times that the collection lacks. Unless the split keeps artists apart, the
  figures above are too high for artists that the model has not heard.
- Probabilities are not calibrated.
- No licence is named: it depends on the music, too. Name one before you publish the model.
"""

_LOAD = """
Nothing but this folder is needed; no code in it is run.

```sh
genrekit predict song.mp3 --model FOLDER
```

```python
from genrekit import load_model

print(load_model("FOLDER").predict("song.mp3").genre)
```
"""
