"""Rules between the fields of a `TrainConfig`: defaults that depend on others, and values that exclude each other.

All functions named `check_...` take a `TrainConfig` and raise ValueError.
"""

from __future__ import annotations

from typing import Any

from genrekit.config.architecture_options import ArchitectureOptions, nested_options
from genrekit.config.architectures import LAYERS, architecture, is_registered
from genrekit.config.base import fields_with
from genrekit.config.features import DESCRIPTORS, check_features

_LR = {"adam": 1e-3, "adamw": 1e-3, "sgd": 0.03}
_PEAK_LR = {**_LR, "adam": 3e-3, "adamw": 3e-3}


def default_lr(opt: str, sched: str) -> float | None:
    """Return the default learning rate of an optimizer, for onecycle the peak; None for an unknown optimizer.

    >>> default_lr("adam", "cosine"), default_lr("adam", "onecycle")
    (0.001, 0.003)
    """
    return (_PEAK_LR if sched == "onecycle" else _LR).get(opt)


def fill_in_defaults(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Fill in the values that depend on the architecture, the input, the optimizer and the patience.

    `defaults` has the defaults of arch, input, opt and sched.
    """
    arch, kind, opt, sched = (str(values.get(name, defaults[name])) for name in ("arch", "input", "opt", "sched"))
    filled = nested_options(values)
    if filled.get("input") is None and filled.get("features", DESCRIPTORS) != DESCRIPTORS:
        kind = filled["input"] = "waveform"  # networks for features read waveforms
    if filled.get("lr") is None:
        filled["lr"] = default_lr(opt, sched)
    if filled.get("monitor") is None:
        stops_early = str(filled.get("patience", 0)).strip() != "0"
        filled["monitor"] = "track_accuracy" if stops_early else "last"
    if not is_registered(arch):  # refused by the field's own check, before the options are
        return {**filled, "arch_options": ArchitectureOptions()}
    model = architecture(arch)
    filled["arch_options"] = model.read_options(filled.get("arch_options"))
    if filled.get("hidden") is None:
        filled["hidden"] = model.hidden or ()
    if filled.get("channels") is None:
        filled["channels"] = () if model.channels is None else model.channels.get(kind)
    layers = (model.layers or {}).get(kind, {})
    filled |= {name: layers.get(name) for name in LAYERS if filled.get(name) is None}
    if not model.trained_by_gradient and filled.get("epochs") is None:
        filled["epochs"] = 1
    return filled


def check_architecture(config: Any) -> None:
    """Refuse values that the architecture does not use."""
    model = config.architecture
    if model.channels is None and config.channels:
        raise ValueError(f"channels must be none for {config.arch}, which has no convolutions, got {config.channels}")
    check_features(config)
    for name in LAYERS:
        if model.layers is None and (value := getattr(config, name)) is not None:
            raise ValueError(f"{name} must be left out for {config.arch}, which does not use it, got {value}")
    if config.input == "waveform" and (config.center or config.downsample not in (None, (1, 1))):
        raise ValueError("center and downsample are for spectrograms: leave them out for waveform")
    if config.features == DESCRIPTORS and config.input not in model.inputs:
        raise ValueError(f"input must be {' or '.join(model.inputs)} for {config.arch}, got {config.input}")
    if not model.trained_by_gradient:
        _require_defaults_of_networks(config)
    elif model.hidden is None and config.hidden:
        raise ValueError(f"hidden must be none for {config.arch}, which does not use it, got {config.hidden}")
    if model.check is not None:
        model.check(config)


def _require_defaults_of_networks(config: Any) -> None:
    """Refuse values that a model that is fitted once would ignore."""
    defaults = {"hidden": (), "epochs": 1, "lr": default_lr(config.opt, config.sched), "monitor": "last"}
    fields = type(config).model_fields
    for name in fields_with(type(config), lambda option: option.used_by == "networks"):
        if getattr(config, name) != defaults.get(name, fields[name].default):
            raise ValueError(
                f"{name} is for networks: leave it out for {config.arch}, which is fitted once, "
                f"got {getattr(config, name)}"
            )


def check_optimization(config: Any) -> None:
    """Refuse options of an optimizer or a schedule with another one, and lengths that exceed the training."""
    if config.nesterov and config.opt != "sgd":
        raise ValueError(f"nesterov needs opt sgd, got {config.opt}")
    if config.monitor == "last" and config.patience:
        raise ValueError(f"patience must be 0 with monitor last, which has no best epoch, got {config.patience}")
    if config.sched != "cosine":
        for name, changed in {
            "warmup_epochs": config.warmup_epochs,
            "sched_by epoch": config.sched_by == "epoch",
            "eta_min": config.eta_min,
        }.items():
            if changed:
                raise ValueError(f"{name} needs sched cosine, got {config.sched}")
    if config.eta_min and config.eta_min >= config.learning_rate:
        raise ValueError(f"eta_min must be below lr ({config.learning_rate:g}), got {config.eta_min:g}")
    if config.warmup_epochs >= config.epochs:
        raise ValueError(f"warmup_epochs must be less than epochs ({config.epochs}), got {config.warmup_epochs}")


def check_folds(config: Any) -> None:
    """Refuse one fold, and a fold that is not among them."""
    if config.folds == 1:
        raise ValueError("folds must be at least 2, or 0 for none, got 1")
    if config.fold and config.fold >= config.folds:
        raise ValueError(f"fold must be less than folds ({config.folds}), got {config.fold}")


def check_augmentation(config: Any) -> None:
    """Refuse augmentation that does not suit the input, and kinds that exclude each other."""
    masks = {"spec_freq_mask": config.spec_freq_mask, "spec_time_mask": config.spec_time_mask}
    for name, width in masks.items():
        if width and config.input == "waveform":
            raise ValueError(f"{name} must be 0 for waveform, which has no bands, got {width}")
    if config.gain_db and config.input == "mel":
        raise ValueError(
            f"gain_db must be 0 for mel, whose dB are relative to the loudest value, got {config.gain_db:g}"
        )
    if config.gain_db and config.input != "waveform":
        raise ValueError(f"gain_db needs input waveform, got {config.input}")
    if config.random_start:
        _check_random_start(config)
    if config.alters_fragments and config.input != "waveform":
        raise ValueError(f"altered_tempo and altered_pitch need input waveform, got {config.input}")


def _check_random_start(config: Any) -> None:
    if config.input == "mel":
        raise ValueError(
            "random_start must be off for mel: fragments are padded by reflection, so they cannot be joined"
        )
    if config.fragments == "first":
        raise ValueError("random_start needs all fragments, because it reads their neighbours, got fragments first")
    if config.input != "waveform":
        raise ValueError(f"random_start needs input waveform, got {config.input}")
    if config.alters_fragments:
        raise ValueError(
            "random_start must be off with altered_tempo or altered_pitch: altered fragments cannot be joined"
        )
