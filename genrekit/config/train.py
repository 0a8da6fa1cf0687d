"""The configuration of one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from genrekit.config.architectures import Architecture, architecture, architecture_names, is_registered
from genrekit.config.base import Config, Option, fields_with, split_items
from genrekit.config.prepare import Input

SplitPolicy = Literal["auto", "track", "artist", "fault-filtered", "manifest", "fragment"]
Widths = Annotated[tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...], BeforeValidator(split_items)]

DEFAULT_LR = {"adam": 1e-3, "adamw": 1e-3, "sgd": 1e-2}
"""The default learning rate of each optimizer."""


def _registered(name: Any) -> Any:
    if isinstance(name, str) and is_registered(name):
        return name
    names = " or ".join(f"'{known}'" for known in architecture_names())
    raise PydanticKnownError("literal_error", {"expected": names})  # the error of an unknown literal lists the choices


def _list_architectures(schema: dict[str, Any]) -> None:
    schema["enum"] = list(architecture_names())


class TrainConfig(Config):
    """The whole configuration of a training run. The same configuration on the same cache gives the same weights.

    On a CPU, they are the same bit for bit with the same number of threads and the same version of torch. On CUDA,
    convolutions are deterministic, but other operations may add in another order. `precision` and `compile` change the
    weights, so they are off by default on a CPU.

    >>> TrainConfig.of({"arch": "cel", "input": "waveform"}).channels
    (16, 32, 32, 64, 64, 64, 64, 64)
    """

    arch: Annotated[
        str,
        BeforeValidator(_registered),
        Option("Model", used_by="all models", affects_cost=True, choices=architecture_names),
    ] = Field(
        "cel",
        description="Architecture: a network, or a classical model on mel statistics.",
        json_schema_extra=_list_architectures,
    )
    input: Annotated[Input, Option("Model", used_by="all models", affects_cost=True, hidden_choices=("stft",))] = Field(
        "mel", description="Input of the model: the mel spectrogram or the waveform."
    )
    hidden: Annotated[Widths | None, Option("Model", affects_cost=True)] = Field(
        None, description="Widths of the hidden dense layers, such as 256,128, or none."
    )
    channels: Annotated[Widths | None, Option("Model", used_by="all models", affects_cost=True)] = Field(
        None, description="Channels of the convolution blocks, such as 16,32,64."
    )
    dropout: Annotated[float, Option("Model", affects_cost=True)] = Field(
        0.2, ge=0, lt=1, description="Probability of dropping a channel or a hidden unit."
    )
    standardize: Annotated[bool, Option("Model", affects_cost=True)] = Field(
        True, description="Standardize the input with statistics of the training set."
    )
    opt: Annotated[Literal["adam", "adamw", "sgd"], Option("Optimization", affects_cost=True)] = Field(
        "adam", description="Optimizer. sgd uses momentum 0.9."
    )
    sched: Annotated[
        Literal["none", "plateau", "cosine", "onecycle", "loss-cosine"],
        Option("Optimization", hidden_choices=("loss-cosine",)),
    ] = Field("none", description="Learning rate schedule.")
    sched_by: Annotated[Literal["step", "epoch"], Option("Optimization", hidden=True)] = Field(
        "step", description="Update the cosine schedule after each step or each epoch."
    )
    eta_min: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Final learning rate of the cosine schedule."
    )
    lr: Annotated[float | None, Option("Optimization")] = Field(
        None, gt=0, description="Initial learning rate, for onecycle the peak; by default 0.001, or 0.01 for sgd."
    )
    nesterov: Annotated[bool, Option("Optimization", affects_cost=True)] = Field(
        False, description="Use Nesterov momentum (sgd only)."
    )
    warmup_epochs: Annotated[int, Option("Optimization")] = Field(
        0, ge=0, description="Epochs of linear warm-up (cosine only)."
    )
    clip_norm: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Maximum norm of the gradient; 0 turns clipping off."
    )
    ema: Annotated[float, Option("Optimization", affects_cost=True)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is validated and saved; 0 turns it off.",
    )
    batch_size: Annotated[int, Option("Optimization", affects_cost=True)] = Field(
        32, ge=1, description="Fragments per batch."
    )
    log_gradients: Annotated[bool, Option("Optimization")] = Field(
        False, description="Log the mean and the maximum norm of the gradient in each epoch."
    )
    epochs: Annotated[int, Option("Optimization", scope="comparison")] = Field(
        30, ge=1, description="Maximum number of epochs."
    )
    patience: Annotated[int, Option("Optimization")] = Field(
        10, ge=0, description="Stop after this many epochs without improvement; 0 turns early stopping off."
    )
    monitor: Annotated[Literal["loss", "track_accuracy", "last"], Option("Optimization")] = Field(
        "loss", description="Select the best epoch by validation loss or track accuracy, or take the last epoch."
    )
    l1: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Factor of the L1 penalty, the sum of absolute weights."
    )
    l2: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Factor of the L2 penalty, the sum of squared weights."
    )
    penalty: Annotated[Literal["weights", "norms"], Option("Optimization", hidden=True)] = Field(
        "weights",
        description="Penalize the sums over weights, or the L1 and L2 norms of all parameters (not squared).",
    )
    label_smoothing: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, lt=1, description="Share of each label that is distributed over all genres."
    )
    class_weights: Annotated[Literal["none", "balanced"], Option("Optimization")] = Field(
        "none", description="Weights of genres in the loss: none, or inversely proportional to their fragments."
    )
    spec_freq_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Maximum width of the frequency mask, in bands (spectrograms only)."
    )
    spec_time_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Maximum width of the time mask, in frames (spectrograms only)."
    )
    mixup: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, description="Alpha of mixup's beta distribution; 0 turns mixup off."
    )
    gain_db: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, le=60, description="Maximum random gain, up or down, in dB (waveform only)."
    )
    noise_std: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, description="Standard deviation of white noise that is added to the input before it is standardized."
    )
    random_start: Annotated[bool, Option("Augmentation while training")] = Field(
        False, description="Start original fragments at random positions in their track (waveform only)."
    )
    altered_tempo: Annotated[float, Option("Augmentation while training", hidden=True)] = Field(
        1.0,
        ge=0.25,
        le=4.0,
        description="Replace all training fragments by versions this many times as fast (waveform only).",
    )
    altered_pitch: Annotated[float, Option("Augmentation while training", hidden=True)] = Field(
        0.0,
        ge=-24.0,
        le=24.0,
        description="Replace all training fragments by versions this many semitones higher (waveform only).",
    )
    seed: Annotated[int, Option("Optimization", scope="repetition", used_by="all models")] = Field(
        0, ge=0, lt=2**63, description="Seed of initial weights, order, variants, dropout and augmentation."
    )
    split: Annotated[SplitPolicy, Option("Split", scope="split", used_by="all models")] = Field(
        "auto", description="How tracks are split into training, validation and test set."
    )
    split_seed: Annotated[int, Option("Split", scope="split", used_by="all models")] = Field(
        0, ge=0, lt=2**63, description="Seed of the split."
    )
    folds: Annotated[int, Option("Split", scope="run", used_by="all models")] = Field(
        0,
        ge=0,
        le=100,
        description="Number of folds for cross-validation on the tracks outside the test set; 0 turns it off.",
    )
    fold: Annotated[int, Option("Split", scope="repetition", used_by="all models")] = Field(
        0, ge=0, description="Fold that is the validation set, counted from 0."
    )
    fragments: Annotated[Literal["all", "first"], Option("Fragments", scope="comparison", used_by="all models")] = (
        Field("all", description="Fragments of each track that are used: all in the cache, or the first.")
    )
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Option("Machine", scope="run", used_by="all models")] = (
        Field("auto", description="Device to train on.")
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], Option("Machine")] = Field(
        "auto",
        description="Precision of the forward pass in training. auto is bf16 on CUDA if supported, else fp32.",
    )
    compile: Annotated[bool, Option("Machine")] = Field(
        False,
        description="Compile the model with torch.compile: a slow first step, then faster ones on most devices.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Fill in the defaults that depend on the architecture, the input and the optimizer."""
        if not isinstance(values, dict):
            return values
        arch, kind, opt = (values.get(name, cls.model_fields[name].default) for name in ("arch", "input", "opt"))
        filled = dict(values)
        if filled.get("lr") is None:
            filled["lr"] = DEFAULT_LR.get(str(opt))
        if not is_registered(str(arch)):
            return filled  # refused by the field's own check
        model = architecture(str(arch))
        if filled.get("hidden") is None:
            filled["hidden"] = model.hidden or ()
        if filled.get("channels") is None:
            filled["channels"] = () if model.channels is None else model.channels.get(str(kind))
        if not model.trained_by_gradient and filled.get("epochs") is None:
            filled["epochs"] = 1
        return filled

    @model_validator(mode="after")
    def _suits_the_architecture(self) -> Self:
        model = self.architecture
        if model.channels is None and self.channels:
            raise ValueError(f"channels must be none for {self.arch}, which has no convolutions, got {self.channels}")
        if self.input not in model.inputs:
            raise ValueError(f"input must be {' or '.join(model.inputs)} for {self.arch}, got {self.input}")
        if not model.trained_by_gradient:
            self._require_defaults_of_networks()
        elif model.hidden is None and self.hidden:
            raise ValueError(f"hidden must be none for {self.arch}, which does not use it, got {self.hidden}")
        if model.check is not None:
            model.check(self)
        return self

    @model_validator(mode="after")
    def _optimization(self) -> Self:
        if self.nesterov and self.opt != "sgd":
            raise ValueError(f"nesterov needs opt sgd, got {self.opt}")
        if self.warmup_epochs and self.sched != "cosine":
            raise ValueError(f"warmup_epochs needs sched cosine, got {self.sched}")
        if self.monitor == "last" and self.patience:
            raise ValueError(f"patience must be 0 with monitor last, which has no best epoch, got {self.patience}")
        if self.sched_by == "epoch" and self.sched != "cosine":
            raise ValueError(f"sched_by epoch needs sched cosine, got {self.sched}")
        if self.eta_min and self.sched != "cosine":
            raise ValueError(f"eta_min needs sched cosine, got {self.sched}")
        if self.eta_min and self.eta_min >= self.learning_rate:
            raise ValueError(f"eta_min must be below lr ({self.learning_rate:g}), got {self.eta_min:g}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs}), got {self.warmup_epochs}")
        return self

    @model_validator(mode="after")
    def _folds(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds must be at least 2, or 0 for none, got 1")
        if self.fold and self.fold >= self.folds:
            raise ValueError(f"fold must be less than folds ({self.folds}), got {self.fold}")
        return self

    @model_validator(mode="after")
    def _training_augmentation(self) -> Self:
        masks = {"spec_freq_mask": self.spec_freq_mask, "spec_time_mask": self.spec_time_mask}
        for name, width in masks.items():
            if width and self.input == "waveform":
                raise ValueError(f"{name} must be 0 for waveform, which has no bands, got {width}")
        if self.gain_db and self.input == "mel":
            raise ValueError(
                f"gain_db must be 0 for mel, whose dB are relative to the loudest value, got {self.gain_db:g}"
            )
        if self.gain_db and self.input != "waveform":
            raise ValueError(f"gain_db needs input waveform, got {self.input}")
        if self.random_start and self.input == "mel":
            raise ValueError(
                "random_start must be off for mel: fragments are padded by reflection, so they cannot be joined"
            )
        if self.random_start and self.fragments == "first":
            raise ValueError("random_start needs all fragments, because it reads their neighbours, got fragments first")
        if self.random_start and self.input != "waveform":
            raise ValueError(f"random_start needs input waveform, got {self.input}")
        if self.alters_fragments and self.input != "waveform":
            raise ValueError(f"altered_tempo and altered_pitch need input waveform, got {self.input}")
        if self.alters_fragments and self.random_start:
            raise ValueError(
                "random_start must be off with altered_tempo or altered_pitch: altered fragments cannot be joined"
            )
        return self

    @property
    def augments_batches(self) -> bool:
        """Whether batches are augmented by masks, mixup, gain or noise."""
        return bool(self.spec_freq_mask or self.spec_time_mask or self.mixup or self.gain_db or self.noise_std)

    @property
    def alters_fragments(self) -> bool:
        """Whether all training fragments are replaced by versions with another tempo or pitch."""
        return (self.altered_tempo, self.altered_pitch) != (1.0, 0.0)

    def _require_defaults_of_networks(self) -> None:
        """Refuse values that a model that is fitted once would ignore."""
        used = fields_with(TrainConfig, lambda option: option.used_by == "all models")
        defaults = {"hidden": (), "epochs": 1, "lr": DEFAULT_LR[self.opt]}
        for name, field in TrainConfig.model_fields.items():
            if name not in used and getattr(self, name) != defaults.get(name, field.default):
                raise ValueError(
                    f"{name} is for networks: leave it out for {self.arch}, which is fitted once, "
                    f"got {getattr(self, name)}"
                )

    @property
    def architecture(self) -> Architecture:
        """The registered architecture that `arch` names."""
        return architecture(self.arch)

    @property
    def stem(self) -> str:
        """The start of the names of runs and bundles: architecture, input, and the optimizer and schedule if used.

        >>> TrainConfig.of({"arch": "mlp"}).stem, TrainConfig.of({"arch": "lda"}).stem
        ('mlp-mel-adam-none', 'lda-mel')
        """
        parts = (self.arch, self.input, *((self.opt, self.sched) if self.architecture.trained_by_gradient else ()))
        return "-".join(parts)

    @property
    def validated_on(self) -> str:
        """The part of a split's name that runs must share to be compared: the fold, and which fragments are used."""
        fold = f", fold {self.fold + 1} of {self.folds}" if self.folds else ""
        return fold + (", first fragments" if self.fragments == "first" else "")

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Widths of the hidden dense layers; empty for none."""
        return self.hidden or ()

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Channels of the convolution blocks; empty for a network without them."""
        return self.channels or ()

    @property
    def learning_rate(self) -> float:
        """Initial learning rate, or the peak of a one-cycle schedule."""
        return DEFAULT_LR[self.opt] if self.lr is None else self.lr


def split_name(policy: str, seed: int) -> str:
    """Return the name of a split in results. The seed is part of it if the split is drawn.

    >>> split_name("artist", 3), split_name("fault-filtered", 3)
    ('artist, seed 3', 'fault-filtered')
    """
    return policy if policy in ("fault-filtered", "manifest") else f"{policy}, seed {seed}"
