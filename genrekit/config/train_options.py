"""The fields of `TrainConfig` as keyword arguments, for type checkers and editors.

Python has no way to derive this from the schema. A test checks that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from genrekit.config.architecture_options import ArchitectureOptions
from genrekit.config.prepare import Input
from genrekit.config.train import Monitor, Pool, SplitPolicy


class TrainOptions(TypedDict, total=False):
    """Keyword arguments of `train`: the fields of `TrainConfig`, which documents and validates them."""

    arch: str
    input: Input
    hidden: Sequence[int] | None
    channels: Sequence[int] | None
    arch_options: ArchitectureOptions | Mapping[str, Any]
    center: bool | None
    downsample: Sequence[int] | None
    pool: Pool | None
    dropout: float
    members: int
    standardize: bool
    features: str
    features_rate: int | None
    features_window: float | None
    carry_network: bool
    c: float | None
    calibrate: bool
    opt: Literal["adam", "adamw", "sgd"]
    sched: Literal["none", "plateau", "cosine", "onecycle", "loss-cosine"]
    sched_by: Literal["step", "epoch"]
    eta_min: float
    lr: float | None
    nesterov: bool
    warmup_epochs: int
    clip_norm: float
    ema: float
    batch_size: int
    log_gradients: bool
    epochs: int
    patience: int
    monitor: Monitor | None
    l1: float
    l2: float
    penalty: Literal["weights", "norms"]
    label_smoothing: float
    class_weights: Literal["none", "balanced"]
    spec_freq_mask: int
    spec_time_mask: int
    mixup: float
    gain_db: float
    noise_std: float
    random_start: bool
    altered_tempo: float
    altered_pitch: float
    seed: int
    split: SplitPolicy
    split_seed: int
    folds: int
    fold: int
    fragments: Literal["all", "first"]
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16"]
    compile: bool
