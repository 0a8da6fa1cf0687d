"""What a cache holds: the front end, the augmented variants, and what is stored of each fragment."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from genrekit.config.base import Config, Option, split_items

Kind = Literal["time_stretch", "pitch_shift", "noise", "resampling"]

AUGMENTATIONS: tuple[Kind, ...] = ("time_stretch", "pitch_shift", "noise", "resampling")
"""The kinds of augmentation, in the order of their variants after "original" and of the strengths in a cache."""

Stored = Literal["mel", "waveform"]
Input = Literal[Stored, "stft"]
Range = Annotated[tuple[float, float], BeforeValidator(split_items)]
Kinds = Annotated[tuple[Kind, ...], BeforeValidator(split_items)]

STFT_N_FFT, STFT_HOP = 400, 200
"""Samples per window, and from one window to the next, of the power spectrogram that a model reads as "stft"."""


class FeatureConfig(Config):
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

        >>> FeatureConfig().shape("mel"), FeatureConfig().shape("waveform"), FeatureConfig().shape("stft")
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

    front_end: FeatureConfig = FeatureConfig()
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
