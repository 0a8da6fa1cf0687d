"""The model card of a bundle, in the format that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Callable

from genrekit.config import STFT_HOP, STFT_N_FFT, FeatureConfig, Input, PrepareConfig
from genrekit.io.markdown import plain, table
from genrekit.io.printable import json_printable
from genrekit.metrics.formatting import loss_text, percent, percent_bounds
from genrekit.metrics.intervals import Interval
from genrekit.models.bundle_metadata import BundleMetadata


def model_card(metadata: BundleMetadata) -> str:
    """Write Markdown with a YAML head: data, split, figures with intervals, intended use, limits, and how to load.

    Everything in it comes from `model.json`. To publish the model, add a licence and the name of the collection.
    """
    sections = {
        "Data": _data(metadata),
        "Figures": _figures(metadata),
        "Input": _INPUTS[metadata.train.input](metadata.prepare),
        "Intended use": _USE,
        "Limits": _LIMITS.format(calibration=_CALIBRATION[metadata.train.calibrate]),
        "How to load": _LOAD,
    }
    body = "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in sections.items())
    return f"---\n{_head(metadata)}---\n\n# {metadata.train.stem}\n\n{_summary(metadata)}\n{body}"


def _head(metadata: BundleMetadata) -> str:
    """Write the YAML head. Text is written as JSON, which is also YAML."""
    figures = metadata.validation_figures
    accuracies = {"track": figures.track_accuracy.value, "fragment": figures.fragment_accuracy.value}
    results = "".join(
        f"    - type: accuracy\n      name: Validation accuracy per {unit}\n      value: {value:.4f}\n"
        for unit, value in accuracies.items()
    )
    dataset = _text(f"validation set, {metadata.split_name} split")
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
    return json_printable(json.dumps(value, ensure_ascii=False))


def _summary(metadata: BundleMetadata) -> str:
    kind = "A neural network" if metadata.train.architecture.trained_by_gradient else "A classical model"
    seconds = f"{metadata.prepare.front_end.duration_s:g}"
    options = plain("".join(f", {name} {value}" for name, value in metadata.train.arch_options))
    features = f" on features of {plain(metadata.network.name)}" if metadata.network else ""
    return (
        f"{kind} ({metadata.train.arch}{options}, {metadata.parameters:,} parameters){features} that predicts the "
        f"genre of music from fragments of {seconds} seconds, one of {len(metadata.genres)}: "
        f"{plain(', '.join(metadata.genres))}. "
        f"Trained with genrekit {metadata.genrekit_version} on {metadata.created[:10]}."
    )


def _data(metadata: BundleMetadata) -> str:
    augmentation = metadata.prepare.augmentation
    kinds = f", augmented by {', '.join(augmentation.kinds)}" if augmentation.augment else ""
    return (
        f"- Training: {len(metadata.training):,} tracks{kinds}\n"
        f"- Validation: {len(metadata.validation):,} tracks, unaltered\n"
        f"{_outside_data(metadata)}"
        f"- Split: {metadata.split_name}; all fragments of a track are in the same set\n"
        "- `model.json` has the ids and digests of all these tracks, so that a test can exclude them"
    )


def _outside_data(metadata: BundleMetadata) -> str:
    """Write which pretrained network is used, and which artists it may know; empty if there is none."""
    if metadata.outside_data is None or metadata.network is None:
        return ""
    where = "in this bundle" if metadata.network.carried else "not in this bundle"
    return (
        f"- Outside data: the features are those of {plain(metadata.outside_data)} (digest {metadata.network.digest}, "
        f"{where}). It may have heard the artists of validation and test tracks, so that figures are too high for new "
        "artists\n"
    )


def _figures(metadata: BundleMetadata) -> str:
    figures = metadata.validation_figures
    rows = [_row("per track", figures.track_accuracy), _row("per fragment", figures.fragment_accuracy)]
    return (
        "On the validation set, on which the best epoch "
        f"({metadata.best_epoch} of {metadata.epochs}) was selected:\n\n"
        f"{table(('accuracy', '', '95 % interval'), rows)}\n"
        f"Loss {loss_text(figures.loss)}. A bundle has no figures of a test set: measure them with `genrekit evaluate`."
    )


def _row(name: str, accuracy: Interval) -> tuple[str, str, str]:
    return name, percent(accuracy.value), f"{percent_bounds(accuracy, digits=1)} %"


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


_INPUTS: dict[Input, Callable[[PrepareConfig], str]] = {"mel": _mel, "waveform": _waveform, "stft": _stft}

_USE = """
Research on music genre recognition, and a first sorting of a music collection that a person checks afterwards. Do not
use it for decisions about people, rights or money.
"""

_LIMITS = """
- Genre is a convention: one collection's rock is another one's pop. The model has learned the labels of its
  collection, and assigns one of them to every input, including speech and noise.
- Accuracy is lower on artists, recordings and periods that are not in the collection. Unless the split keeps artists
  apart, the figures above are too high for new artists.
- {calibration}
- The model has no licence yet: it also depends on the music. Add one before you publish the model.
"""

_CALIBRATION = {
    False: "Probabilities are not calibrated.",
    True: "Probabilities are calibrated on the validation set; for other music they may be too high.",
}

_LOAD = """
You need only this folder. No code in it is run.

```sh
genrekit predict song.mp3 --model FOLDER
```

```python
from genrekit import load_model

print(load_model("FOLDER").predict("song.mp3").genre)
```
"""
