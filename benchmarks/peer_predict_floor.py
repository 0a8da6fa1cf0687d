"""The floor of predicting: decode, resample, and ask the network about tensors that are ready, and nothing else.

Usage: python benchmarks/peer_predict_floor.py FOLDER BUNDLE

Two threads with torch on one core each take the MP3 files in turn. soundfile decodes to float32, the channels are
added, soxr resamples. The network predicts as many fragments as the file has, in batches of eight. The fragments are
zeros that are made once. Larger batches are slower, because the system must provide memory for larger activations.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
import soxr
import torch

from genrekit.models.bundle import load_bundle


def main(folder: Path, bundle: Path) -> None:
    """Ask about every file below a folder."""
    loaded = load_bundle(bundle)
    front_end = loaded.metadata.prepare.front_end
    ready = torch.zeros(64, *front_end.shape(loaded.metadata.train.input))

    def ask(path: Path) -> None:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = sum(samples.T[1:], start=samples.T[0])
        waveform = soxr.resample(mono, rate, front_end.sample_rate, quality="HQ")
        with torch.inference_mode():
            for some in ready[: len(waveform) // front_end.n_samples].split(8):
                loaded.model(some).softmax(dim=1)

    with ThreadPoolExecutor(2, initializer=lambda: torch.set_num_threads(1)) as executor:
        for _ in executor.map(ask, sorted(folder.rglob("*.mp3"))):
            pass


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
