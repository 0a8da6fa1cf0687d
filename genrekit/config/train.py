"""The configuration of one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from pydantic_core import PydanticKnownError

from genrekit.config.architecture_options import ArchitectureOptions
from genrekit.config.architectures import Architecture, architecture, architecture_names, is_registered
from genrekit.config.base import Config, Option, fields_with, split_items
from genrekit.config.features import DESCRIPTORS, FEATURES, features_label, known_features
from genrekit.config.prepare import Input
from genrekit.config.train_rules import (
    check_architecture,
    check_augmentation,
    check_folds,
    check_optimization,
    default_lr,
    fill_in_defaults,
)

Monitor = Literal["loss", "track_accuracy", "last"]
Pool = Literal["flatten", "mean", "mean-max", "attention"]
SplitPolicy = Literal["auto", "track", "artist", "fault-filtered", "manifest", "fragment"]
Steps = Annotated[
    tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]], BeforeValidator(split_items)
]
Widths = Annotated[tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...], BeforeValidator(split_items)]


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
        description="Architecture: a network, or a classical model on the features of --features.",
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
    arch_options: Annotated[
        SerializeAsAny[ArchitectureOptions], Option("Model", used_by="all models", affects_cost=True)
    ] = Field(
        ArchitectureOptions(), description="Option that the architecture declares, such as depth=4. You can repeat it."
    )
    center: Annotated[bool | None, Option("Model", affects_cost=True)] = Field(
        None, description="Subtract from each band of a fragment its mean over time (spectrograms only)."
    )
    downsample: Annotated[Steps | None, Option("Model", affects_cost=True)] = Field(
        None,
        description="Average this many neighbouring bands and frames before the first block, such as 2,4 (spectrograms "
        "only).",
    )
    pool: Annotated[Pool | None, Option("Model", affects_cost=True)] = Field(
        None,
        description="Pooling over time after the convolution blocks: keep all frames, or take their mean, their mean "
        "and maximum, or a mean with learned weights.",
    )
    dropout: Annotated[float, Option("Model", affects_cost=True)] = Field(
        0.2, ge=0, lt=1, description="Probability of dropping a channel or a hidden unit."
    )
    members: Annotated[int, Option("Model", affects_cost=True)] = Field(
        1,
        ge=1,
        le=100,
        description="Number of networks that are trained together and whose probabilities are averaged.",
    )
    standardize: Annotated[bool, Option("Model", affects_cost=True)] = Field(
        True, description="Standardize the input with statistics of the training set."
    )
    features: Annotated[
        str,
        BeforeValidator(known_features),
        Option("Model", used_by="classical models", choices=lambda: FEATURES),
    ] = Field(
        DESCRIPTORS,
        description="Features of a classical model: descriptors of the mel spectrogram, the pretrained network "
        "musicnn, or the path of your own network as ONNX or TorchScript.",
    )
    features_rate: Annotated[int | None, Option("Model", used_by="classical models")] = Field(
        None, ge=1_000, le=1_000_000, description="Sample rate in Hz of the input of the network in --features."
    )
    features_window: Annotated[float | None, Option("Model", used_by="classical models")] = Field(
        None,
        gt=0,
        description="Seconds that the network in --features reads at a time; by default the whole fragment. Its "
        "outputs are averaged over a fragment.",
    )
    carry_network: Annotated[bool, Option("Model", used_by="classical models")] = Field(
        False, description="Copy the network in --features into the bundle (ONNX only, at most 64 MB)."
    )
    c: Annotated[float | None, Option("Model", used_by="classical models")] = Field(
        None,
        gt=0,
        description="Inverse strength of the penalty, for logreg (by default 0.003) and svm (by default 0.0001).",
    )
    calibrate: Annotated[bool, Option("Model", used_by="all models")] = Field(
        False,
        description="Divide the logits by a temperature that is fitted on the validation set.",
    )
    opt: Annotated[Literal["adam", "adamw", "sgd"], Option("Optimization", affects_cost=True)] = Field(
        "adam", description="Optimizer. sgd uses momentum 0.9."
    )
    sched: Annotated[
        Literal["none", "plateau", "cosine", "onecycle", "loss-cosine"],
        Option("Optimization", hidden_choices=("loss-cosine",)),
    ] = Field("onecycle", description="Learning rate schedule.")
    sched_by: Annotated[Literal["step", "epoch"], Option("Optimization", hidden=True)] = Field(
        "step", description="Update the cosine schedule after each step or each epoch."
    )
    eta_min: Annotated[float, Option("Optimization")] = Field(
        0.0, ge=0, description="Final learning rate of the cosine schedule."
    )
    lr: Annotated[float | None, Option("Optimization")] = Field(
        None,
        gt=0,
        description="Initial learning rate, or the peak for onecycle. Default: 0.03 for sgd; otherwise 0.003 for "
        "onecycle, and 0.001 for other schedules.",
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
        20, ge=1, description="Maximum number of epochs."
    )
    patience: Annotated[int, Option("Optimization")] = Field(
        0, ge=0, description="Stop after this many epochs without improvement; 0 turns early stopping off."
    )
    monitor: Annotated[Monitor | None, Option("Optimization")] = Field(
        None,
        description="Select the best epoch by validation loss or track accuracy, or take the last epoch. Default: the "
        "last, or with patience by track accuracy.",
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
        "none",
        description="Weights of genres in the loss: none, or inversely proportional to their numbers of fragments.",
    )
    spec_freq_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Maximum width of the frequency mask, in bands (spectrograms only)."
    )
    spec_time_mask: Annotated[int, Option("Augmentation while training")] = Field(
        0, ge=0, description="Maximum width of the time mask, in frames (spectrograms only)."
    )
    mixup: Annotated[float, Option("Augmentation while training")] = Field(
        0.3, ge=0, description="Alpha of mixup's beta distribution; 0 turns mixup off."
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
        "auto", description="How tracks are split into training, validation and test sets."
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
        if not isinstance(values, dict):
            return values
        defaults = {name: cls.model_fields[name].default for name in ("arch", "input", "opt", "sched")}
        return fill_in_defaults(values, defaults)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_architecture(self)
        check_optimization(self)
        check_folds(self)
        check_augmentation(self)
        return self

    @property
    def augments_batches(self) -> bool:
        """Whether batches are augmented by masks, mixup, gain or noise."""
        return bool(self.spec_freq_mask or self.spec_time_mask or self.mixup or self.gain_db or self.noise_std)

    @property
    def alters_fragments(self) -> bool:
        """Whether all training fragments are replaced by versions with another tempo or pitch."""
        return (self.altered_tempo, self.altered_pitch) != (1.0, 0.0)

    def ignores(self, field: str) -> bool:
        """Whether the model does not use a field, because it is for networks or for classical models only.

        >>> config = TrainConfig.of({"arch": "lda"})
        >>> config.ignores("lr"), config.ignores("calibrate")
        (True, False)
        """
        unused = "classical models" if self.architecture.trained_by_gradient else "networks"
        return field in fields_with(TrainConfig, lambda option: option.used_by == unused)

    @property
    def architecture(self) -> Architecture:
        """The registered architecture that `arch` names."""
        return architecture(self.arch)

    @property
    def stem(self) -> str:
        """The start of the names of runs and bundles: architecture, input, and the optimizer and schedule if used.

        >>> TrainConfig.of({"arch": "mlp"}).stem, TrainConfig.of({"arch": "lda"}).stem
        ('mlp-mel-adam-onecycle', 'lda-mel')
        >>> TrainConfig.of({"arch": "logreg", "features": "musicnn"}).stem
        'logreg-musicnn'
        """
        what = self.input if self.features == DESCRIPTORS else features_label(self.features)
        parts = (self.arch, what, *((self.opt, self.sched) if self.architecture.trained_by_gradient else ()))
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
        lr = default_lr(self.opt, self.sched) if self.lr is None else self.lr
        assert lr is not None
        return lr


def split_name(policy: str, seed: int) -> str:
    """Return the name of a split in results. The seed is part of it if the split is drawn.

    >>> split_name("artist", 3), split_name("fault-filtered", 3)
    ('artist, seed 3', 'fault-filtered')
    """
    return policy if policy in ("fault-filtered", "manifest") else f"{policy}, seed {seed}"
