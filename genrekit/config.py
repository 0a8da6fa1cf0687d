"""Validated configurations: frozen values that are passed whole and own the facts that follow from them.

One schema serves the command line, JSON on disk and the Python API: names, defaults, ranges and help texts
stand here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from genrekit.errors import UsageError, unknown_name

Kind = Literal["time_stretch", "pitch_shift", "noise", "resampling"]

AUGMENTATIONS: tuple[Kind, ...] = ("time_stretch", "pitch_shift", "noise", "resampling")
"""The kinds of augmentation, in the order of their variants after "original" and of the strengths in a cache."""

Network = Literal["mlp", "mlp2", "cel", "cel2", "cel3"]
Classical = Literal["logreg", "lda", "svm", "forest"]
Architecture = Literal[Network, Classical]
Stored = Literal["mel", "waveform"]
Input = Literal[Stored, "stft"]
SplitPolicy = Literal["auto", "track", "artist", "fault-filtered", "manifest", "fragment"]


def _items(value: object) -> object:
    """Read "64,32" as the items 64 and 32; "none" as no item at all."""
    if isinstance(value, str):
        return () if value.strip().lower() in ("", "none") else tuple(part.strip() for part in value.split(","))
    return value


Widths = Annotated[tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...], BeforeValidator(_items)]
Range = Annotated[tuple[float, float], BeforeValidator(_items)]
Kinds = Annotated[tuple[Kind, ...], BeforeValidator(_items)]


STFT_N_FFT, STFT_HOP = 400, 200
"""Samples per window, and from one window to the next, of the power spectrogram that a model reads as "stft"."""


class Config(BaseModel):
    """A frozen configuration that refuses unknown keys.

    Errors: UsageError, one line that names the key, the value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Validate a mapping of keys to values; keys that are left out take their defaults."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _usage_error(cls, error) from None


Panel = Literal[
    "Fragments",
    "Waveform and mel spectrogram",
    "Augmentation",
    "Model",
    "Optimization",
    "Augmentation while training",
    "Machine",
    "Split",
]
"""The headings under which help pages list options."""

Scope = Literal["model", "comparison", "split", "run", "repetition"]
"""What a value of a training configuration belongs to.

- `model`: a study or a search may vary it.
- `comparison`: a study may vary it, but all trials of a search share it, so that they can be compared.
- `split`: it selects the training, validation and test set; all trials of a search share it.
- `run`: it is set when a study or search starts.
- `repetition`: it differs between the repeated runs of one configuration.
"""


@dataclass(frozen=True)
class Option:
    """Facts about a field beside its type, default, range and description, given in its annotation.

    - `panel`: the heading of the field on the help page.
    - `scope`: what the field belongs to.
    - `used_by`: whether classical models use the field too, or only networks.
    - `affects_cost`: whether the field changes the time or the memory of a training step.
    """

    panel: Panel
    scope: Scope = "model"
    used_by: Literal["all models", "networks"] = "networks"
    affects_cost: bool = False


def option_of(field: FieldInfo) -> Option | None:
    """Return the `Option` in a field's annotation; None if it has none.

    >>> option_of(FrontEnd.model_fields["n_mels"]).panel
    'Waveform and mel spectrogram'
    """
    return next((item for item in field.metadata if isinstance(item, Option)), None)


def fields_with(schema: type[Config], has: Callable[[Option], bool]) -> tuple[str, ...]:
    """Return the names of the fields whose option has a property, in the order of the schema.

    >>> fields_with(TrainConfig, lambda option: option.scope == "split")
    ('split', 'split_seed')
    """
    options = {name: option_of(field) for name, field in schema.model_fields.items()}
    return tuple(name for name, option in options.items() if option is not None and has(option))


class FrontEnd(Config):
    """How a track becomes waveform and mel fragments."""

    sample_rate: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        22_050, ge=1_000, le=384_000, description="Samples per second after resampling."
    )
    duration_s: Annotated[float, Option("Fragments")] = Field(
        5.0, gt=0, le=600, description="Length of a fragment in seconds."
    )
    normalization: Annotated[Literal["peak", "rms", "none"], Option("Waveform and mel spectrogram")] = Field(
        "peak", description="Level of each track: peak to 1, rms to -20 dBFS, or none; always clipped to 1."
    )
    n_fft: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        2_048, ge=16, le=65_536, description="Samples per analysis window."
    )
    hop_length: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        512, ge=1, description="Samples from one analysis window to the next."
    )
    n_mels: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        128, ge=1, le=1_024, description="Mel bands."
    )
    fmin: Annotated[float, Option("Waveform and mel spectrogram")] = Field(
        30.0, ge=0, description="Lower edge of the lowest mel band in Hz."
    )
    fmax: Annotated[float | None, Option("Waveform and mel spectrogram")] = Field(
        None, gt=0, description="Upper edge of the highest mel band in Hz; Nyquist if not given."
    )
    top_db: Annotated[float, Option("Waveform and mel spectrogram")] = Field(
        80.0, gt=0, le=200, description="Range of a mel spectrogram in dB, mapped to [0, 1]."
    )
    db_reference: Annotated[Literal["track", "fragment"], Option("Waveform and mel spectrogram")] = Field(
        "track", description="Whose loudest value is 0 dB: the track's fragments' or each fragment's own."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length must be in 1..n_fft ({self.n_fft}), got {self.hop_length}")
        if not self.fmin < self.fmax_hz <= self.sample_rate / 2:
            raise ValueError(
                f"fmax must be above fmin ({self.fmin:g} Hz) and at most half the sample rate "
                f"({self.sample_rate / 2:g} Hz), got {self.fmax_hz:g}"
            )
        if self.n_samples <= self.n_fft // 2:
            raise ValueError(
                f"duration_s must be longer than half an analysis window "
                f"({self.n_fft / 2 / self.sample_rate:.3g} s), got {self.duration_s:g}"
            )
        return self

    @property
    def n_samples(self) -> int:
        """Samples per fragment."""
        return round(self.duration_s * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """Frames per mel spectrogram of a fragment, with centred windows."""
        odd = self.n_fft % 2  # half an odd window on both sides is a sample less than the window
        return 1 + (self.n_samples - odd) // self.hop_length

    @property
    def fmax_hz(self) -> float:
        """Upper edge of the highest mel band in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    def shape(self, kind: Input) -> tuple[int, ...]:
        """Shape of one fragment: [n_mels, n_frames], [n_samples], or the bands and frames of a power spectrogram.

        >>> FrontEnd().shape("mel"), FrontEnd().shape("waveform"), FrontEnd().shape("stft")
        ((128, 216), (110250,), (201, 552))
        """
        if kind == "stft":
            return (STFT_N_FFT // 2 + 1, 1 + self.n_samples // STFT_HOP)
        return (self.n_mels, self.n_frames) if kind == "mel" else (self.n_samples,)


class Augmentation(Config):
    """Augmented variants of each fragment; each draws its strength uniformly from its range.

    The default ranges are what a listener still takes for the same piece of music: 10 % of tempo and two semitones are
    within what performances of a piece differ by, noise stays at the level of a good recording's, and band limits are
    those of old recordings and low bit rates. What that costs logistic regression on mel statistics that heard clean
    music only (`benchmarks/augmentation_strength.py`; 197 tracks, give or take 0.07): clean 0.55; tempo 0.9 and 1.1
    0.50, 0.7 and 1.4 0.39 and 0.45; 2 semitones down and up 0.43 and 0.47, 6 0.29 and 0.37; noise at 40 dB 0.56, at 30
    0.48, at 20 0.42; resampling to 0.8 0.41, to 0.4 0.15: such a model is lost where its upper bands are empty.
    """

    augment: Annotated[bool, Option("Augmentation")] = Field(
        False, description="Add augmented variants of every fragment: by default one of each kind."
    )
    augmentations: Annotated[Kinds, Option("Augmentation")] = Field(
        AUGMENTATIONS, description="The kinds in use, of time_stretch, pitch_shift, noise and resampling."
    )
    variants_each: Annotated[int, Option("Augmentation")] = Field(
        1, ge=0, le=50, description="Variants of each kind, each with a strength of its own."
    )
    copies: Annotated[int, Option("Augmentation")] = Field(
        0, ge=0, le=200, description="Further variants, each a random chain of the kinds in use."
    )
    time_stretch: Annotated[Range, Option("Augmentation")] = Field(
        (0.9, 1.1), description="Speed factors: tempo changes, pitch stays."
    )
    pitch_shift: Annotated[Range, Option("Augmentation")] = Field(
        (-2.0, 2.0), description="Semitones: pitch changes, tempo stays."
    )
    noise: Annotated[Range, Option("Augmentation")] = Field(
        (30.0, 50.0), description="White noise, as a signal-to-noise ratio in dB."
    )
    resampling: Annotated[Range, Option("Augmentation")] = Field(
        (0.4, 0.8), description="A lower rate, as a share of the sample rate, and back: bandwidth is lost."
    )
    augment_seed: Annotated[int, Option("Augmentation")] = Field(
        0, ge=0, description="Seed of the drawn strengths and of the noise."
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        limits = {
            "time_stretch": (0.25, 4.0),
            "pitch_shift": (-24.0, 24.0),
            "noise": (-20.0, 120.0),
            "resampling": (0.05, 1.0),
        }
        for name, (low, high) in limits.items():
            first, last = getattr(self, name)
            if not low <= first <= last <= high:
                raise ValueError(f"{name} must be two rising numbers in {low:g}..{high:g}, got {first:g},{last:g}")
        if self.copies and not self.augment:
            raise ValueError(f"copies must be 0 without augment, got {self.copies}")
        if self.augment and len(self.variants) == 1:
            raise ValueError("augment needs a kind of augmentation, and variants_each or copies above 0")
        if len(self.variants) > 256:
            raise ValueError(f"a fragment can have 256 variants, got {len(self.variants)}")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds in use, in their usual order."""
        return tuple(kind for kind in AUGMENTATIONS if kind in self.augmentations)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants of each fragment, "original" first.

        >>> Augmentation(augment=True, augmentations=("noise",), variants_each=2, copies=1).variants
        ('original', 'noise', 'noise_2', 'chain')
        """
        if not self.augment:
            return ("original",)
        single = [_numbered(kind, number) for kind in self.kinds for number in range(1, self.variants_each + 1)]
        chains = [_numbered("chain", number) for number in range(1, self.copies + 1) if self.kinds]
        return ("original", *single, *chains)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def split_name(policy: str, seed: int) -> str:
    """How results name a split: the seed matters where it is drawn.

    >>> split_name("artist", 3), split_name("fault-filtered", 3)
    ('artist, seed 3', 'fault-filtered')
    """
    return policy if policy in ("fault-filtered", "manifest") else f"{policy}, seed {seed}"


def variant_kind(variant: str) -> str:
    """The kind of a variant by its name; a chain's is "chain".

    >>> variant_kind("time_stretch_2"), variant_kind("pitch_shift"), variant_kind("chain")
    ('time_stretch', 'pitch_shift', 'chain')
    """
    return re.sub(r"_\d+$", "", variant)


def _fragments(value: object) -> object:
    if value in ("all", "first"):
        return value
    if not str(value).isdecimal() or int(str(value)) < 1:
        raise ValueError(f"fragments must be all, first or a number from 1, got {value!r}")
    return int(str(value))


class PrepareConfig(Config):
    """What a cache holds: two caches with the same configuration and audio are equal."""

    front_end: FrontEnd = FrontEnd()
    fragments: Annotated[Literal["all", "first"] | int, BeforeValidator(_fragments), Option("Fragments")] = Field(
        "all", description="Fragments per track: all whole ones, the first, or N evenly spread ones."
    )
    store: Annotated[Literal["both", "mel", "waveform"], Option("Fragments")] = Field(
        "both", description="What the cache holds of each fragment."
    )
    mel_dtype: Annotated[Literal["float16", "float32"], Option("Fragments")] = Field(
        "float16", description="Numbers of mel spectrograms; float16 is exact to 0.04 dB and half the size."
    )
    augmentation: Augmentation = Augmentation()

    @property
    def inputs(self) -> tuple[Stored, ...]:
        """What the cache holds of each fragment."""
        return ("waveform", "mel") if self.store == "both" else (self.store,)

    def dtype(self, kind: Stored) -> str:
        """How the numbers of a stored input are written: int16 for waveforms, to be divided by 32,767."""
        return "int16" if kind == "waveform" else self.mel_dtype


DEFAULT_HIDDEN: dict[str, tuple[int, ...]] = {
    "mlp": (256, 128),
    "mlp2": (512, 256),
    "cel": (),
    "cel2": (),
    "cel3": (),
} | dict.fromkeys(get_args(Classical), ())
"""Hidden dense layers of each architecture where none are given."""

DEFAULT_CHANNELS: dict[str, tuple[int, ...]] = {
    "mel": (16, 32, 64, 128, 128),
    "stft": (16, 32, 64, 128, 128),
    "waveform": (16, 32, 32, 64, 64, 64, 64, 64),
}
"""Convolution blocks of the cel family for each input where none are given."""

DEFAULT_LR = {"adam": 1e-3, "adamw": 1e-3, "sgd": 1e-2}
"""Learning rate of each optimizer where none is given."""

CONVOLUTIONAL = ("cel", "cel2", "cel3")

CLASSICAL: tuple[Classical, ...] = ("logreg", "lda", "svm", "forest")
"""Architectures that are fitted at once, on statistics of mel spectrograms."""


class TrainConfig(Config):
    """One training, whole: the same configuration on the same cache gives the same weights.

    On a CPU that holds bit for bit with the same number of threads and the same torch. CUDA is told to choose
    deterministic convolutions; other operations there may still add in another order. What gives up more for speed is
    never a default on a CPU: `precision` and `compile`, each of which repeats itself, but gives other weights.
    """

    arch: Annotated[Architecture, Option("Model", used_by="all models", affects_cost=True)] = Field(
        "cel", description="Architecture: a network, or a classical model on mel statistics."
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
        """Spell out what depends on the architecture, the input and the optimizer."""
        if not isinstance(values, dict):
            return values
        # What is no name at all, such as a list, has no defaults and is refused later.
        arch, kind, opt = (str(values.get(*pair)) for pair in (("arch", "cel"), ("input", "mel"), ("opt", "adam")))
        filled = dict(values)
        if filled.get("hidden") is None:
            filled["hidden"] = DEFAULT_HIDDEN.get(arch)
        if filled.get("channels") is None:
            filled["channels"] = DEFAULT_CHANNELS.get(kind) if arch in CONVOLUTIONAL else ()
        if filled.get("lr") is None:
            filled["lr"] = DEFAULT_LR.get(opt)
        if arch in CLASSICAL and filled.get("epochs") is None:
            filled["epochs"] = 1
        return filled

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.arch in CONVOLUTIONAL and not self.channels:
            raise ValueError(f"channels must name at least one convolution block for {self.arch}, got none")
        if self.arch not in CONVOLUTIONAL and self.channels:
            raise ValueError(f"channels must be none for {self.arch}, which has no convolutions, got {self.channels}")
        if self.arch in CLASSICAL:
            self._require_classical()
        if self.arch == "mlp" and len(self.hidden_widths) != 2:
            raise ValueError(f"hidden must be two widths for mlp (three linear layers), got {len(self.hidden_widths)}")
        if self.arch == "mlp2" and self.hidden_widths and self.batch_size == 1:
            raise ValueError("batch_size must be at least 2 for mlp2, whose batch norm compares fragments, got 1")
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

    def _require_classical(self) -> None:
        """Refuse values that a classical model would ignore."""
        if self.input != "mel":
            raise ValueError(f"input must be mel for {self.arch}, which reads its statistics, got {self.input}")
        used = fields_with(TrainConfig, lambda option: option.used_by == "all models")
        defaults = {"hidden": (), "epochs": 1, "lr": DEFAULT_LR[self.opt]}
        for name, field in TrainConfig.model_fields.items():
            if name not in used and getattr(self, name) != defaults.get(name, field.default):
                raise ValueError(
                    f"{name} is for networks: leave it out for {self.arch}, which is fitted at once, "
                    f"got {getattr(self, name)}"
                )

    @property
    def stem(self) -> str:
        """What tells this training from others, for names of runs and bundles; a classical model has no optimizer.

        >>> TrainConfig.of({"arch": "mlp"}).stem, TrainConfig.of({"arch": "lda"}).stem
        ('mlp-mel-adam-none', 'lda-mel')
        """
        parts = (self.arch, self.input, *(() if self.arch in CLASSICAL else (self.opt, self.sched)))
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


class PredictConfig(Config):
    """How audio files are listened to."""

    hop_seconds: float | None = Field(
        None, gt=0, le=600, description="Seconds from one fragment to the next; by default a fragment's length."
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Least probability of the likeliest genre: a file below it is unsure."
    )


def to_toml(config: Config) -> str:
    """Write a flat configuration as TOML, each value under what it means.

    >>> print(to_toml(Augmentation()).splitlines()[1])
    augment = false
    """
    lines = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        # JSON's numbers, texts and lists are TOML's too; what has no value is left out.
        lines += [f"# {field.description}", f"{name} = {json.dumps(value)}" if value is not None else f"# {name} ="]
    return "\n".join(lines) + "\n"


def _usage_error(cls: type[Config], error: ValidationError) -> UsageError:
    found = error.errors()
    first = next((its for its in found if its["type"] == "extra_forbidden"), found[0])  # it may be why one is missing
    key = ".".join(
        str(part) for part in first["loc"] if not str(part).startswith(("function-", "literal[", "constrained-"))
    )
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(cls, [str(part) for part in first["loc"]])
    if kind == "literal_error" and key == "format_version":
        return UsageError(
            f"format_version {first['input']!r} is of another genrekit: this one reads {context['expected']}"
        )
    if kind == "literal_error":
        return unknown_name(re.sub(r"\.\d+$", "", key), str(first["input"]), _choices(str(context["expected"])))
    if kind == "value_error":
        return UsageError(str(context["error"]))
    if kind == "missing":  # what was given is all the rest
        return UsageError(f"{key}: field required")
    said = _lower_first(first["msg"]).replace("valid tuple", "list")
    return UsageError(f"{key}: {said}, got {first['input']!r}")


def _unknown_key(cls: type[Config], location: list[str]) -> UsageError:
    """Compare a key with those of the part that it stands in."""
    *parts, key = location
    for part in parts:
        if part in cls.model_fields:  # else it is a place in a list
            cls = next(_configs(cls.model_fields[part].annotation), cls)
    named = [part for part in reversed(parts) if not part.isdecimal()]
    known = [name for name, its in cls.model_fields.items() if not its.exclude]
    return unknown_name(" of ".join(["key", *named]), key, known)


def _configs(annotation: Any) -> Iterator[type[Config]]:
    """The configurations in an annotation, such as the one that a list is of."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for inner in get_args(annotation):
        yield from _configs(inner)


def _choices(expected: str) -> list[str]:
    """Read pydantic's "'a', 'b' or 'c'" as a, b and c."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
