"""What a prediction costs beside the work that cannot be avoided: many songs, one song, and ten hours.

Usage: python benchmarks/predict.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; of some of them, three minutes of stereo MP3 at
44.1 kHz and a WAV file of ten hours are made in a temporary folder (TMPDIR says where; it needs 2 GB). The model is an
untrained network of the default kind, which answers as fast as a trained one. Prints one table: what, ours, the peer's
or the most that is allowed, their ratio (median of the repeats, and the range), the bar, met or missed. Every process
has one thread for its libraries; files are heard by two.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from measuring import Bench, Row, Sample, peak_megabytes, run_table, seconds

from genrekit import __version__
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.models import build_model, count_parameters
from genrekit.models.bundle import save_bundle
from genrekit.models.bundle_metadata import BundleMetadata

SONGS, DISTINCT = 100, 10
"""Files that are predicted at once, and how many of them have audio of their own."""

SONG_S, MP3_RATE = 180, 44_100

FLOOR = Path(__file__).with_name("peer_predict_floor.py")

GENRES = tuple(f"genre {number}" for number in range(10))


def bundle(bench: Bench) -> Path:
    """A bundle of the default network with the default front end, made once."""
    folder = bench.scratch / "bundle"
    if not folder.exists():
        config, prepared = TrainConfig(), PrepareConfig()
        model = build_model(config, prepared.front_end, len(GENRES))
        figure = {"value": 0.0, "low": 0.0, "high": 1.0}
        values = {
            "genrekit_version": __version__,
            "versions": {},
            "created": "2000-01-01",
            "train": config.model_dump(),
            "prepare": prepared.model_dump(),
            "genres": GENRES,
            "split": "track",
            "split_seed": 0,
            "training": {},
            "validation": {},
            "epochs": 1,
            "best_epoch": 1,
            "validation_figures": {"loss": 0.0, "fragment_accuracy": figure, "track_accuracy": figure},
            "parameters": count_parameters(model),
        }
        save_bundle(folder, model, BundleMetadata.of(values))
    return folder


def music(bench: Bench, number: int) -> tuple[np.ndarray, int]:
    """A track of the collection, float32 [n_samples] and its rate."""
    paths = sorted(bench.tracks(DISTINCT).rglob("*.wav"))
    samples, rate = soundfile.read(paths[number % len(paths)], dtype="float32", always_2d=True)
    return samples[:, 0], rate


def songs(bench: Bench) -> Path:
    """A folder of MP3 files: the distinct ones, and links to them."""
    folder = bench.scratch / "songs"
    for number in range(bench.size(SONGS)) if not folder.exists() else ():
        path = folder / f"song-{number:03d}.mp3"
        if number >= DISTINCT:
            os.link(folder / f"song-{number % DISTINCT:03d}.mp3", path)
            continue
        folder.mkdir(exist_ok=True)
        samples, rate = music(bench, number)
        mono = np.resize(soxr.resample(samples, rate, MP3_RATE), bench.size(SONG_S) * MP3_RATE)
        soundfile.write(path, np.stack([mono, 0.8 * np.roll(mono, 40)], axis=1), MP3_RATE, format="MP3")
    return folder


def predict(bench: Bench, path: Path) -> list[object]:
    """The command that predicts a file or a folder."""
    return [sys.executable, "-m", "genrekit", "predict", path, "--model", bundle(bench), "--workers", 2, "--json"]


def files(bench: Bench) -> Sample:
    """Seconds for a folder of songs, start-up included, against the floor."""
    folder = songs(bench)
    ours = seconds(predict(bench, folder))
    return Sample(ours, seconds([sys.executable, FLOOR, folder, bundle(bench)]))


def one(bench: Bench) -> Sample:
    """Seconds for one file of 30 s, above those of importing torch; 1 is allowed."""
    path = bench.scratch / "one.wav"
    samples, rate = music(bench, 0)
    soundfile.write(path, np.resize(samples, 30 * rate), rate)
    return Sample(seconds(predict(bench, path)) - seconds([sys.executable, "-c", "import torch"]), 1)


def memory(bench: Bench) -> Sample:
    """Peak megabytes for ten hours, and for ten minutes; in short for twelve minutes and for six."""
    long, short = (12, 6) if bench.quick else (600, 10)
    many, few = (peak_megabytes(predict(bench, recording(bench, minutes))) for minutes in (long, short))
    return Sample(many, few)


def recording(bench: Bench, minutes: int) -> Path:
    """A WAV file of that length, the same track again and again."""
    path = bench.scratch / f"{minutes}.wav"
    if not path.exists():
        samples, rate = music(bench, 0)
        minute = np.resize(samples, 60 * rate)
        with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
    return path


ROWS = [
    Row("files", "100 songs of three minutes against decoding, resampling and the network", "s", "at most", 1.3, files),
    Row("one", "one file of 30 s, above import torch", "s", "at most", 1, one),
    Row("memory", "peak memory for ten hours against ten minutes", "MiB", "at most", 1.1, memory),
]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
