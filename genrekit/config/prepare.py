"""The configuration of a cache: features, augmentation, and what is stored of each fragment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from genrekit.config.base import Config, Option, split_items

Kind = Literal["time_stretch", "pitch_shift", "noise", "resampling"]

AUGMENTATIONS: tuple[Kind, ...] = ("time_stretch", "pitch_shift", "noise", "resampling")
"""The kinds of augmentation, in the order of their variants (after "original") and strengths in a cache."""

ArtistSource = Literal["auto", "tags", "folders"]
"""Where artists come from: `auto` is the manifest, or GTZAN's index for its tracks."""

Stored = Literal["mel", "waveform"]
Input = Literal[Stored, "stft"]
Range = Annotated[tuple[float, float], BeforeValidator(split_items)]
Kinds = Annotated[tuple[Kind, ...], BeforeValidator(split_items)]

Padding = Literal["wrap", "reflect", "zero"]

STFT_N_FFT, STFT_HOP = 400, 200
"""Window length and hop length, in samples, of the power spectrogram that is the input "stft"."""


MOST_VALUES = 30_000_000
"""Most values of one input of a fragment: ten minutes of waveform at 48 kHz, 120 MB as float32."""

MOST_FRAGMENTS = 100_000
"""Most fragments of a track that are spread evenly."""

_MOST_ALTERED_SAMPLES = 15_000_000
"""Most samples of a fragment that is augmented. A phase vocoder takes about 100 bytes for each."""


class FeatureConfig(Config):
    """How waveforms and mel spectrograms of fragments are computed from a track."""

    sample_rate: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        22_050, ge=1_000, le=384_000, description="Sample rate in Hz, to which audio is resampled."
    )
    duration_s: Annotated[float, Option("Fragments")] = Field(
        5.0, gt=0, le=600, description="Length of a fragment in seconds."
    )
    pad: Annotated[Padding, Option("Fragments")] = Field(
        "wrap", description="How to fill the fragment of a track that is shorter: repeat it, mirror it, or add zeros."
    )
    normalization: Annotated[Literal["peak", "rms", "none"], Option("Waveform and mel spectrogram")] = Field(
        "peak",
        description="Normalize each track by its peak (to 1), its RMS (to -20 dBFS) or not at all; then clip to 1.",
    )
    n_fft: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        2_048, ge=16, le=65_536, description="Window length of the STFT, in samples."
    )
    hop_length: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        512, ge=1, description="Hop length of the STFT, in samples."
    )
    n_mels: Annotated[int, Option("Waveform and mel spectrogram")] = Field(
        128, ge=1, le=1_024, description="Number of mel bands."
    )
    fmin: Annotated[float, Option("Waveform and mel spectrogram")] = Field(
        30.0, ge=0, description="Lower edge of the lowest mel band in Hz."
    )
    fmax: Annotated[float | None, Option("Waveform and mel spectrogram")] = Field(
        None, gt=0, description="Upper edge of the highest mel band in Hz; by default half the sample rate."
    )
    top_db: Annotated[float, Option("Waveform and mel spectrogram")] = Field(
        80.0, gt=0, le=200, description="Dynamic range of mel spectrograms in dB, mapped to [0, 1]."
    )
    db_reference: Annotated[Literal["track", "fragment"], Option("Waveform and mel spectrogram")] = Field(
        "track", description="The loudest value of the track or of each fragment is 0 dB."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length must be at most n_fft ({self.n_fft}), got {self.hop_length}")
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
        for what, values, remedy in (
            ("the waveform", self.n_samples, "choose a smaller duration_s or sample_rate"),
            ("the mel spectrogram", self.n_mels * self.n_frames, "choose a smaller duration_s or a larger hop_length"),
        ):
            if values > MOST_VALUES:
                raise ValueError(
                    f"{what} of a fragment can have at most {MOST_VALUES:,} values, got {values:,}: {remedy}"
                )
        return self

    @property
    def n_samples(self) -> int:
        """Samples per fragment."""
        return round(self.duration_s * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """Frames per mel spectrogram of a fragment, with centred windows."""
        odd = self.n_fft % 2  # padding by half an odd window on both sides is a sample less than the window
        return 1 + (self.n_samples - odd) // self.hop_length

    @property
    def frames_per_s(self) -> float:
        """Frames of a mel spectrogram per second."""
        return self.sample_rate / self.hop_length

    @property
    def fmax_hz(self) -> float:
        """Upper edge of the highest mel band in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    def shape(self, kind: Input) -> tuple[int, ...]:
        """Return the shape of a fragment: [n_mels, n_frames], [n_samples], or [bands, frames] of the power spectrogram.

        >>> FeatureConfig().shape("mel"), FeatureConfig().shape("waveform"), FeatureConfig().shape("stft")
        ((128, 216), (110250,), (201, 552))
        """
        if kind == "stft":
            return (STFT_N_FFT // 2 + 1, 1 + self.n_samples // STFT_HOP)
        return (self.n_mels, self.n_frames) if kind == "mel" else (self.n_samples,)


class Augmentation(Config):
    """Augmented variants of each fragment. The strength of each is drawn uniformly from its range.

    With the default ranges, a listener still recognizes the same piece of music: performances of a piece differ by 10 %
    of tempo and two semitones, the noise is that of a good recording, and the bandwidths are those of old recordings
    and low bit rates.

    `benchmarks/augmentation_strength.py` measures the accuracy of logistic regression, trained on mel statistics of
    clean music, on augmented music (197 tracks, plus or minus 0.07). Clean: 0.55. Tempo 0.9 and 1.1: 0.50; 0.7: 0.39;
    1.4: 0.45. Two semitones down: 0.43, up: 0.47; six down: 0.29, up: 0.37. Noise at 40 dB: 0.56, at 30: 0.48, at 20:
    0.42. Resampling to 0.8: 0.41, to 0.4: 0.15, because its upper bands are empty.
    """

    augment: Annotated[bool, Option("Augmentation")] = Field(
        False, description="Add augmented variants of each fragment, by default one of each kind."
    )
    augmentations: Annotated[Kinds, Option("Augmentation")] = Field(
        AUGMENTATIONS, description="Kinds of augmentation to use: time_stretch, pitch_shift, noise, resampling."
    )
    variants_each: Annotated[int, Option("Augmentation")] = Field(
        1, ge=0, le=50, description="Variants of each kind, each with another strength."
    )
    copies: Annotated[int, Option("Augmentation")] = Field(
        0, ge=0, le=200, description="Additional variants, each a random chain of the kinds."
    )
    time_stretch: Annotated[Range, Option("Augmentation")] = Field(
        (0.9, 1.1), description="Range of tempo factors; the pitch stays the same."
    )
    pitch_shift: Annotated[Range, Option("Augmentation")] = Field(
        (-2.0, 2.0), description="Range of pitch shifts in semitones; the tempo stays the same."
    )
    noise: Annotated[Range, Option("Augmentation")] = Field(
        (30.0, 50.0), description="Range of signal-to-noise ratios in dB of white noise."
    )
    resampling: Annotated[Range, Option("Augmentation")] = Field(
        (0.4, 0.8),
        description="Audio is resampled to a lower rate and back. Range of that rate, as a share of --sample-rate.",
    )
    augment_seed: Annotated[int, Option("Augmentation")] = Field(
        0, ge=0, description="Seed of the strengths and the noise."
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
            raise ValueError(f"a fragment can have at most 256 variants, got {len(self.variants)}")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds in use, in the order of `AUGMENTATIONS`."""
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


def variant_kind(variant: str) -> str:
    """Return the kind of a variant from its name. The kind of a chain is "chain".

    >>> variant_kind("time_stretch_2"), variant_kind("pitch_shift"), variant_kind("chain")
    ('time_stretch', 'pitch_shift', 'chain')
    """
    return re.sub(r"_\d+$", "", variant)


def _fragments(value: object) -> object:
    if value in ("all", "first"):
        return value
    if not str(value).isdecimal() or int(str(value)) < 1:
        raise ValueError(f"fragments must be all, first or a number from 1, got {value!r}")
    if int(str(value)) > MOST_FRAGMENTS:
        raise ValueError(f"fragments must be at most {MOST_FRAGMENTS:,}, got {value}")
    return int(str(value))


def with_earlier_defaults(values: Any) -> Any:
    """Complete the content of a cache or bundle. Versions that had no `pad` filled short tracks with zeros."""
    if isinstance(values, Mapping) and isinstance(front_end := values.get("front_end"), Mapping):
        return {**values, "front_end": {"pad": "zero", **front_end}}
    return values


def for_fingerprint(config: PrepareConfig) -> dict[str, Any]:
    """Return the values of a configuration, without those that earlier versions had no option for.

    The fingerprint of a cache that an earlier version wrote does not change then.
    """
    values = config.model_dump(mode="json")
    if values["front_end"]["pad"] == "zero":
        del values["front_end"]["pad"]
    return values


class PrepareConfig(Config):
    """The configuration of a cache. Caches with the same configuration and audio are equal."""

    front_end: FeatureConfig = FeatureConfig()
    fragments: Annotated[Literal["all", "first"] | int, BeforeValidator(_fragments), Option("Fragments")] = Field(
        "all", description="Fragments per track: all whole ones, the first one, or N evenly spread ones."
    )
    store: Annotated[Literal["both", "mel", "waveform"], Option("Fragments")] = Field(
        "both", description="What the cache stores of each fragment."
    )
    mel_dtype: Annotated[Literal["float16", "float32"], Option("Fragments")] = Field(
        "float16", description="Number format of mel spectrograms. float16 is exact to 0.04 dB and half the size."
    )
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _augmentation_fits_memory(self) -> Self:
        if not self.augmentation.augment:
            return self
        samples = round(self.front_end.n_samples * max(1.0, self.augmentation.time_stretch[1]))
        if samples > _MOST_ALTERED_SAMPLES:
            raise ValueError(
                f"augmentation needs fragments of at most {_MOST_ALTERED_SAMPLES:,} samples, got {samples:,}: "
                "choose a smaller duration_s, or leave out augment"
            )
        return self

    @property
    def inputs(self) -> tuple[Stored, ...]:
        """What the cache stores of each fragment."""
        return ("waveform", "mel") if self.store == "both" else (self.store,)

    def dtype(self, kind: Stored) -> str:
        """Return the number format of a stored input: int16 for waveforms, to be divided by 32,767."""
        return "int16" if kind == "waveform" else self.mel_dtype
