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
    names = architecture_names()
    if name not in names:  # the error of an unknown literal, whose choices are listed
        raise PydanticKnownError("literal_error", {"expected": " or ".join(f"'{known}'" for known in names)})
    return name


def _list_architectures(schema: dict[str, Any]) -> None:
    schema["enum"] = list(architecture_names())


class TrainConfig(Config):
    """One training, whole: the same configuration on the same cache gives the same weights.

    On a CPU that holds bit for bit with the same number of threads and the same torch. CUDA is told to choose
    deterministic convolutions; other operations there may still add in another order. What gives up more for speed is
    never a default on a CPU: `precision` and `compile`, each of which repeats itself, but gives other weights.
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
    input: Annotated[Input, Option("Model", used_by="all models", affects_cost=True)] = Field(
        "mel", description="What the model reads: stft is the linear power spectrogram of the waveform."
    )
    hidden: Annotated[Widths | None, Option("Model", affects_cost=True)] = Field(
        None, description="Widths of the hidden dense layers, such as 256,128; none for none."
    )
    channels: Annotated[Widths | None, Option("Model", used_by="all models", affects_cost=True)] = Field(
        None, description="Channels of the convolution blocks, such as 16,32,64."
    )
    dropout: Annotated[float, Option("Model", affects_cost=True)] = Field(
        0.2, ge=0, lt=1, description="Share of channels and hidden units dropped in training."
    )
    standardize: Annotated[bool, Option("Model", affects_cost=True)] = Field(
        True, description="Standardize inputs by the training part's statistics; off feeds them as they are."
    )
    opt: Annotated[Literal["adam", "adamw", "sgd"], Option("Optimization", affects_cost=True)] = Field(
        "adam", description="Optimizer; sgd has momentum 0.9."
    )
    sched: Annotated[Literal["none", "plateau", "cosine", "onecycle", "loss-cosine"], Option("Optimization")] = Field(
        "none",
        description="Learning rate schedule; loss-cosine is a known slip, a cosine of the loss and not of time.",
    )
    sched_by: Annotated[Literal["step", "epoch"], Option("Optimization")] = Field(
        "step", description="Whether a cosine moves at every step or epoch; cosine only."
    )
    eta_min: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Rate at the end of a cosine; cosine only."
    )
    lr: Annotated[float | None, Option("Optimization")] = Field(
        None, gt=0, description="Initial learning rate; the peak for onecycle."
    )
    nesterov: Annotated[bool, Option("Optimization", affects_cost=True)] = Field(
        False, description="Nesterov's momentum; sgd only."
    )
    warmup_epochs: Annotated[int, Option("Optimization")] = Field(
        0, ge=0, description="Epochs in which the rate rises from zero; cosine only."
    )
    clip_norm: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Largest norm of the whole gradient; 0 for no limit."
    )
    ema: Annotated[float, Option("Optimization", affects_cost=True)] = Field(
        0.0, ge=0, lt=1, description="Decay of the moving average of weights that is validated and kept; 0 for none."
    )
    batch_size: Annotated[int, Option("Optimization", affects_cost=True)] = Field(
        32, ge=1, description="Fragments per step."
    )
    log_gradients: Annotated[bool, Option("Optimization")] = Field(
        False, description="Track the norm of the whole gradient: its mean and largest value in each epoch."
    )
    epochs: Annotated[int, Option("Optimization", scope="comparison")] = Field(
        30, ge=1, description="Most epochs to train."
    )
    patience: Annotated[int, Option("Optimization")] = Field(
        10, ge=0, description="Epochs without improvement before stopping; 0 never stops early."
    )
    monitor: Annotated[Literal["loss", "track_accuracy", "last"], Option("Optimization")] = Field(
        "loss", description="Validation figure that decides the best epoch; last lets the last epoch count."
    )
    l1: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Factor of the sum of absolute weights."
    )
    l2: Annotated[float, Option("Optimization")] = Field(0.0, ge=0, description="Factor of the sum of squared weights.")
    penalty: Annotated[Literal["weights", "norms"], Option("Optimization")] = Field(
        "weights",
        description="What l1 and l2 sum: absolute and squared weights, or the L1 and L2 norms of all parameters.",
    )
    label_smoothing: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, lt=1, description="Share of each label that is spread over all genres."
    )
    class_weights: Annotated[Literal["none", "balanced"], Option("Optimization")] = Field(
        "none", description="Weights of genres in the loss: equal for fragments, or balanced for genres."
    )
    spec_freq_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Most neighbouring bands that training hides in each fragment; mel and stft only."
    )
    spec_time_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Most neighbouring frames that training hides in each fragment; mel and stft only."
    )
    mixup: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, description="Alpha of the beta distribution of shares in which training mixes fragments; 0 for none."
    )
    gain_db: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, le=60, description="Largest gain or loss in dB that training gives each fragment; waveform only."
    )
    noise_std: Annotated[float, Option("Augmentation while training")] = Field(
        0.0, ge=0, description="Deviation of the white noise that training adds to inputs before they are standardized."
    )
    random_start: Annotated[bool, Option("Augmentation while training")] = Field(
        False, description="Training reads original fragments from anywhere within their track; waveform only."
    )
    altered_tempo: Annotated[float, Option("Augmentation while training")] = Field(
        1.0,
        ge=0.25,
        le=4.0,
        description="Train on fragments made this much faster, all of them, in place of the originals; waveform only.",
    )
    altered_pitch: Annotated[float, Option("Augmentation while training")] = Field(
        0.0,
        ge=-24.0,
        le=24.0,
        description="Train on fragments this many semitones higher, all of them, in place of the originals; "
        "waveform only.",
    )
    seed: Annotated[int, Option("Optimization", scope="repetition", used_by="all models")] = Field(
        0, ge=0, lt=2**63, description="Seed of weights, order, variants, dropout and augmentation."
    )
    split: Annotated[SplitPolicy, Option("Split", scope="split", used_by="all models")] = Field(
        "auto", description="How tracks are divided into training, validation and test."
    )
    split_seed: Annotated[int, Option("Split", scope="split", used_by="all models")] = Field(
        0, ge=0, lt=2**63, description="Seed of the split, apart from the training's."
    )
    folds: Annotated[int, Option("Split", scope="run", used_by="all models")] = Field(
        0,
        ge=0,
        le=100,
        description="Divide what is not tested into this many folds, one of which validates; 0 for none.",
    )
    fold: Annotated[int, Option("Split", scope="repetition", used_by="all models")] = Field(
        0, ge=0, description="The fold that validates, counted from 0."
    )
    fragments: Annotated[Literal["all", "first"], Option("Fragments", scope="comparison", used_by="all models")] = (
        Field("all", description="Fragments of each track that train and validate: all in the cache, or the first.")
    )
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Option("Machine", scope="run", used_by="all models")] = (
        Field("auto", description="Where to train.")
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], Option("Machine")] = Field(
        "auto",
        description="Numbers of the forward pass in training; auto is bf16 on a CUDA device that has it, else fp32.",
    )
    compile: Annotated[bool, Option("Machine")] = Field(
        False, description="Compile the model with torch.compile: a slow first step, then faster ones on most devices."
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
            raise ValueError(
                f"patience must be 0 with monitor last, which waits for no best epoch, got {self.patience}"
            )
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
                "random_start must be off for mel, whose fragments end in reflections and would be joined with a seam"
            )
        if self.random_start and self.fragments == "first":
            raise ValueError("random_start needs all fragments, whose neighbours it reads, got fragments first")
        if self.random_start and self.input != "waveform":
            raise ValueError(f"random_start needs input waveform, got {self.input}")
        if self.alters_fragments and self.input != "waveform":
            raise ValueError(f"altered_tempo and altered_pitch need input waveform, got {self.input}")
        if self.alters_fragments and self.random_start:
            raise ValueError(
                "random_start must be off with altered_tempo or altered_pitch: fragments that are altered one by one "
                "do not go on in each other"
            )
        return self

    @property
    def augments_batches(self) -> bool:
        """Whether training changes batches by masks, mixup, gain or noise."""
        return bool(self.spec_freq_mask or self.spec_time_mask or self.mixup or self.gain_db or self.noise_std)

    @property
    def alters_fragments(self) -> bool:
        """Whether training reads its fragments at another tempo or pitch."""
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
        """What runs must share to be ranked together, beside the split itself: the fold, and which fragments."""
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
    """How results name a split: the seed matters where it is drawn.

    >>> split_name("artist", 3), split_name("fault-filtered", 3)
    ('artist, seed 3', 'fault-filtered')
    """
    return policy if policy in ("fault-filtered", "manifest") else f"{policy}, seed {seed}"
