"""How well altered copies of a recording are told from other recordings: our landmarks beside chromaprint.

Usage: python benchmarks/fingerprints.py FOLDER [--tracks N]

FOLDER is a folder of genre folders. Prints, for each alteration, the share of copies whose score lies above that of
every pair of different tracks, for our landmarks (votes at one offset) and, where the program fpcalc is installed, for
chromaprint's fingerprints (lowest share of differing bits over all offsets, over at least five seconds).

Then it prints how many copies count as the same recording, and how many of the tracks that share a few seconds do.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from genrekit._types import FloatArray
from genrekit.audio.augment import time_stretch
from genrekit.audio.decode import decode
from genrekit.audio.fingerprint import landmarks
from genrekit.audio.fragments import cut, fragment_starts
from genrekit.audio.level import normalize_waveform
from genrekit.audio.transform import unit_mels
from genrekit.config import FeatureConfig
from genrekit.data.collection import scan_folder
from genrekit.data.matching import LandmarkIndex

FRONT_END = FeatureConfig()
RATE = FRONT_END.sample_rate
POPCOUNT = np.array([bin(number).count("1") for number in range(65_536)], np.uint8)

Marks = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
Codes = npt.NDArray[np.uint32]


def through_codec(waveform: FloatArray, form: str, level: float) -> FloatArray:
    """Encode and decode; a higher level is a lower bit rate."""
    with tempfile.NamedTemporaryFile(suffix=f".{form.lower()}") as file:
        subtype = {"MP3": "MPEG_LAYER_III", "OGG": "VORBIS"}[form]
        soundfile.write(file.name, waveform, RATE, format=form, subtype=subtype, compression_level=level)
        return decode(Path(file.name), RATE).waveform


ALTERATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "20 dB quieter": lambda x: 0.1 * x,
    "MP3, low bit rate": lambda x: through_codec(x, "MP3", 0.9),
    "Ogg Vorbis, low bit rate": lambda x: through_codec(x, "OGG", 0.9),
    "8 kHz and back": lambda x: soxr.resample(soxr.resample(x, RATE, 8_000), 8_000, RATE),
    "begins 1.2 s later": lambda x: x[round(1.2 * RATE) :],
    "begins 13.7 s later": lambda x: x[round(13.7 * RATE) :],
    "clipped by 6 dB": lambda x: np.clip(2 * x / np.abs(x).max(), -1, 1),
    "15 seconds of it": lambda x: x[5 * RATE : 20 * RATE],
    "tempo 2 % higher": lambda x: time_stretch(x, 1.02),
    "tempo 2 % lower": lambda x: time_stretch(x, 0.98),
    "played 1 % faster": lambda x: soxr.resample(x, RATE, RATE / 1.01),
    "played 2 % faster": lambda x: soxr.resample(x, RATE, RATE / 1.02),
    "MP3 of what begins 7.8 s later": lambda x: through_codec(x[round(7.77 * RATE) :], "MP3", 0.9),
}


def our_marks(waveform: FloatArray) -> Marks:
    """Codes and frames of a track's landmarks."""
    waveform = normalize_waveform(waveform, "peak")
    starts = fragment_starts(len(waveform), FRONT_END.n_samples, "all")
    mels = unit_mels([cut(waveform, start, FRONT_END.n_samples) for start in starts], FRONT_END)
    marks = np.stack([landmarks(mel) for mel in mels])
    row, place = np.nonzero(marks)
    first_frame = np.rint(np.array(starts) / FRONT_END.hop_length).astype(np.int64)
    found = marks[row, place]
    return (found >> np.uint64(32)).astype(np.int64), first_frame[row] + (found & np.uint64(0xFFFF_FFFF)).astype(
        np.int64
    )


def our_score(first: Marks, second: Marks) -> float:
    """Landmarks that agree at one offset."""
    here, there = np.nonzero(first[0][:, None] == second[0])
    if not len(here):
        return 0.0
    offsets = second[1][there] - first[1][here]
    return float(np.convolve(np.bincount(offsets - offsets.min()), [1, 1, 1]).max())


def same_recording(first: Marks, second: Marks) -> bool:
    """Whether two tracks count as the same recording."""
    index = LandmarkIndex(*first, np.zeros(len(first[0]), np.int64), 1, FRONT_END.frames_per_s)
    return any(shared.same_recording for _, shared in index.shared_with(*second, 1, np.ones(1, np.bool_)))


def print_recordings(waveforms: list[FloatArray]) -> None:
    """Print how many copies, and how many tracks with the same first seconds, count as the same recording."""
    originals = [our_marks(waveform) for waveform in waveforms]
    print("counted as the same recording", flush=True)
    for what, alter in ALTERATIONS.items():
        copies = [our_marks(alter(waveform).astype(np.float32)) for waveform in waveforms]
        print(f"  {what:32} {np.mean(list(map(same_recording, originals, copies))):6.1%}", flush=True)
    for seconds in (5, 10):
        others = waveforms[1:] + waveforms[:1]
        joined = [
            np.concatenate([one[: seconds * RATE], other[seconds * RATE :]])
            for one, other in zip(waveforms, others, strict=True)
        ]
        found = np.mean(list(map(same_recording, originals, map(our_marks, joined))))
        print(f"  {f'another track after {seconds} seconds':32} {found:6.1%}", flush=True)


def chromaprint(waveform: FloatArray) -> Codes:
    """Chromaprint's raw fingerprint, about eight codes of 32 bits a second."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        soundfile.write(file.name, waveform, RATE)
        # It ends with 3 where the decoder meets the end of the file in a way of its own; the fingerprint is there.
        done = subprocess.run(["fpcalc", "-raw", "-json", "-length", "0", file.name], check=False, capture_output=True)
    return np.array(json.loads(done.stdout)["fingerprint"], np.uint32)


def chromaprint_score(first: Codes, second: Codes) -> float:
    """The negative of the lowest share of differing bits over all offsets."""
    best = 1.0
    for offset in range(-len(first) + 40, len(second) - 40):
        here, there = first[max(0, -offset) :], second[max(0, offset) :]
        n = min(len(here), len(there))
        different = here[:n] ^ there[:n]
        bits = POPCOUNT[different & 0xFFFF].sum() + POPCOUNT[different >> 16].sum(dtype=np.int64)
        best = min(best, float(bits) / (32 * n))
    return -best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=int, default=40)
    options = parser.parse_args()
    tracks = scan_folder(options.folder).tracks
    chosen = tracks[:: max(1, len(tracks) // options.tracks)][: options.tracks]
    waveforms = [decode(track.path, RATE).waveform for track in chosen]
    methods: dict[str, tuple[Callable[..., object], Callable[..., float]]] = {"landmarks": (our_marks, our_score)}
    if shutil.which("fpcalc"):
        methods["chromaprint"] = (chromaprint, chromaprint_score)
    for name, (fingerprint, score) in methods.items():
        originals = [fingerprint(waveform) for waveform in waveforms]
        strangers = max(score(*pair) for pair in itertools.combinations(originals, 2))
        print(f"{name}: {len(chosen)} tracks, highest score of two different ones {strangers:.3g}", flush=True)
        for what, alter in ALTERATIONS.items():
            scores = [
                score(original, fingerprint(alter(waveform).astype(np.float32)))
                for original, waveform in zip(originals, waveforms, strict=True)
            ]
            known = np.mean([own > strangers for own in scores])
            print(f"  {what:32} {known:6.1%} above it, the lowest {min(scores):.3g}", flush=True)
    print_recordings(waveforms)


if __name__ == "__main__":
    main()
