"""How much accuracy each augmentation costs a model that was trained on clean audio, strength by strength.

Usage: python benchmarks/augmentation_strength.py FOLDER [--split fault-filtered]

The reason of the default ranges: within them, altered tracks are still recognized about as well as clean ones, so a
label still fits. The model is logistic regression on each fragment's mel statistics (mean, deviation and mean absolute
change of each band); its figure is the accuracy per track on the validation part, which trains nothing.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genrekit.audio.augment import augmented_fragment
from genrekit.audio.decode import decode
from genrekit.audio.fragments import fragment_starts
from genrekit.audio.level import normalize_waveform
from genrekit.audio.transform import unit_mels
from genrekit.config import FeatureConfig
from genrekit.data.collection import Track, scan_folder
from genrekit.data.splits.policy import make_split
from genrekit.data.splits.split import SplitTrack

FRONT_END = FeatureConfig()

STRENGTHS: dict[str, tuple[float, ...]] = {
    "time_stretch": (0.7, 0.8, 0.9, 1.1, 1.25, 1.4),
    "pitch_shift": (-6, -4, -2, -1, 1, 2, 4, 6),
    "noise": (50, 40, 30, 20, 10),
    "resampling": (0.8, 0.6, 0.4, 0.25),
}
"""Speed factors, semitones, dB of signal to noise, and shares of the sample rate."""


def features(track: Track, strengths: Mapping[str, float]) -> npt.NDArray[np.float32]:
    """Mel statistics of a track's fragments: [fragments, 3 * n_mels]."""
    waveform = normalize_waveform(decode(track.path, FRONT_END.sample_rate).waveform, FRONT_END.normalization)
    starts = fragment_starts(len(waveform), FRONT_END.n_samples, "all")
    generator = np.random.default_rng(0)
    pieces = [
        augmented_fragment(waveform, start, FRONT_END.n_samples, strengths, FRONT_END.sample_rate, generator)
        for start in starts
    ]
    mel = unit_mels(pieces, FRONT_END)
    return np.concatenate([mel.mean(2), mel.std(2), np.abs(np.diff(mel, axis=2)).mean(2)], axis=1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=["fault-filtered", "track"], default="track")
    options = parser.parse_args()
    tracks = scan_folder(options.folder).tracks
    split = make_split([SplitTrack(track.id, track.genre) for track in tracks], options.split, 0)
    training = [track for track in tracks if split.subsets.get(track.id) == "train"]
    validation = [track for track in tracks if split.subsets.get(track.id) == "validation"]

    clean = [features(track, {}) for track in training]
    genres = np.repeat([track.genre for track in training], [len(rows) for rows in clean])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2_000))
    model.fit(np.concatenate(clean), genres)

    def accuracy(strengths: Mapping[str, float]) -> float:
        called = [
            model.classes_[model.predict_proba(features(track, strengths)).mean(0).argmax()] for track in validation
        ]
        return float(np.mean([genre == track.genre for genre, track in zip(called, validation, strict=True)]))

    print(f"{len(training)} training and {len(validation)} validation tracks, {options.split} split", flush=True)
    print(f"{'clean':28} {accuracy({}):.3f}", flush=True)
    for kind, strengths in STRENGTHS.items():
        for strength in strengths:
            print(f"{kind:14} {strength:13g} {accuracy({kind: strength}):.3f}", flush=True)


if __name__ == "__main__":
    main()
