"""How hard the demo collection is: a small CNN against a linear model on mean spectra, over seeds of the collection.

Both learn from the same tracks (as many as the demo trains on, with the same few for validation) and are scored per
track on a larger held-out set than the demo's own, so that the error bars are small.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from genrekit._types import FloatArray
from genrekit.config import FeatureConfig
from genrekit.demo.synthesizer import GENRES, write_collection

FRONT_END = FeatureConfig(sample_rate=16_000, duration_s=5.0, n_fft=1_024, hop_length=512, n_mels=48)
CHANNELS = (8, 16, 32, 32)
INVERSE_PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Part:
    """Tracks of one part of the split: mel [tracks, fragments, n_mels, n_frames] in [0, 1], genre [tracks]."""

    mel: FloatArray
    genre: npt.NDArray[np.int64]


def main() -> None:
    """Print a table: a row a seed, then the means."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    print(
        f"{'seed':>4} {'linear':>7} {'CNN':>7} {'difference':>10}   (track accuracy, held out)   seconds: make, train"
    )
    rows = []
    for seed in arguments.seeds:
        start = time.perf_counter()
        training, validation, held_out = _parts(seed, arguments)
        made = time.perf_counter()
        linear = _linear_accuracy(training, validation, held_out)
        cnn_start = time.perf_counter()
        cnn = np.mean([_cnn_accuracy(training, validation, held_out, s, arguments) for s in range(arguments.repeats)])
        seconds = (time.perf_counter() - cnn_start) / arguments.repeats
        rows.append((linear, float(cnn)))
        print(
            f"{seed:>4} {linear:7.3f} {cnn:7.3f} {cnn - linear:+10.3f} {made - start:33.1f} {seconds:.1f}", flush=True
        )
    linear, cnn = np.mean(rows, axis=0)
    print(f"mean {linear:7.3f} {cnn:7.3f} {cnn - linear:+10.3f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the collection")
    parser.add_argument("--training", type=int, default=19, help="training tracks per genre")
    parser.add_argument("--validation", type=int, default=2, help="validation tracks per genre")
    parser.add_argument("--held-out", type=int, default=20, help="held-out tracks per genre")
    parser.add_argument("--duration-s", type=float, default=10.0, help="length of a track")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of the CNN")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate of the one-cycle schedule")
    parser.add_argument("--batch-size", type=int, default=16, help="fragments per step")
    parser.add_argument("--dropout", type=float, default=0.1, help="share of channels dropped")
    parser.add_argument("--repeats", type=int, default=1, help="trainings per collection")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    return parser.parse_args()


def _parts(seed: int, arguments: argparse.Namespace) -> tuple[Part, Part, Part]:
    """Synthesize a collection and cut each genre's tracks into training, validation and held-out ones."""
    sizes = (arguments.training, arguments.validation, arguments.held_out)
    with tempfile.TemporaryDirectory() as folder:
        write_collection(
            Path(folder),
            tracks_per_genre=sum(sizes),
            duration_s=arguments.duration_s,
            sample_rate=FRONT_END.sample_rate,
            seed=seed,
        )
        mel = np.stack([[_mel(path) for path in sorted(Path(folder, genre).iterdir())] for genre in GENRES])
    parts = []
    for tracks in np.split(mel, np.cumsum(sizes)[:-1], axis=1):
        genre = np.repeat(np.arange(len(GENRES)), tracks.shape[1])
        parts.append(Part(tracks.reshape(-1, *tracks.shape[2:]), genre))
    return parts[0], parts[1], parts[2]


def _mel(path: Path) -> FloatArray:
    """Fragments of a track as dB mel spectrograms below the track's loudest value: [fragments, n_mels, n_frames]."""
    waveform, _ = soundfile.read(path, dtype="float32")
    fragments = waveform[: len(waveform) // FRONT_END.n_samples * FRONT_END.n_samples].reshape(-1, FRONT_END.n_samples)
    power = librosa.feature.melspectrogram(
        y=fragments / np.max(np.abs(fragments)),
        sr=FRONT_END.sample_rate,
        n_fft=FRONT_END.n_fft,
        hop_length=FRONT_END.hop_length,
        n_mels=FRONT_END.n_mels,
        fmin=FRONT_END.fmin,
        pad_mode="reflect",
    )
    mel = librosa.power_to_db(power / np.max(power), ref=1.0, amin=1e-10, top_db=FRONT_END.top_db)
    return np.asarray(1 + mel / FRONT_END.top_db, np.float32)


def _linear_accuracy(training: Part, validation: Part, held_out: Part) -> float:
    """Logistic regression on each track's mean spectrum; the penalty is chosen on the validation tracks."""
    spectra = [part.mel.mean(axis=(1, 3)) for part in (training, validation, held_out)]
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2_000)).fit(spectra[0], training.genre)
        for c in INVERSE_PENALTIES
    ]
    best = max(models, key=lambda model: model.score(spectra[1], validation.genre))
    return float(best.score(spectra[2], held_out.genre))


def _network(n_frames: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    height, width, previous = FRONT_END.n_mels, n_frames, 1
    for channels in CHANNELS:
        layers += [nn.Conv2d(previous, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Dropout2d(dropout)]
        height, width, previous = height // 2, width // 2, channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(previous * height * width, len(GENRES)))


def _cnn_accuracy(training: Part, validation: Part, held_out: Part, seed: int, arguments: argparse.Namespace) -> float:
    """Train on fragments, keep the epoch of lowest validation loss, average probabilities over a track's fragments."""
    torch.manual_seed(seed)
    mean = training.mel.mean(axis=(0, 1, 3))[:, None]
    deviation = training.mel.std(axis=(0, 1, 3))[:, None]

    def fragments(part: Part) -> Tensor:
        standardized = (part.mel - mean) / deviation
        return torch.from_numpy(standardized.reshape(-1, 1, *part.mel.shape[2:]).astype(np.float32))

    inputs, checks, unseen = fragments(training), fragments(validation), fragments(held_out)
    per_track = training.mel.shape[1]
    targets = torch.from_numpy(training.genre).repeat_interleave(per_track)
    check_targets = torch.from_numpy(validation.genre).repeat_interleave(per_track)
    network = _network(inputs.shape[-1], arguments.dropout)
    optimizer = torch.optim.Adam(network.parameters(), lr=arguments.lr)
    steps = -(-len(inputs) // arguments.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.lr, epochs=arguments.epochs, steps_per_epoch=steps
    )
    best_loss, best_weights = float("inf"), network.state_dict()
    for _ in range(arguments.epochs):
        network.train()
        for rows in torch.randperm(len(inputs)).split(arguments.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            loss = float(nn.functional.cross_entropy(network(checks), check_targets))
        if loss < best_loss:
            best_loss = loss
            best_weights = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best_weights)
    with torch.no_grad():
        probability = network(unseen).softmax(1).reshape(-1, per_track, len(GENRES)).mean(1)
    return float((probability.argmax(1).numpy() == held_out.genre).mean())


if __name__ == "__main__":
    main()
