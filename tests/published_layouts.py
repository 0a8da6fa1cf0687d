"""Small copies of published collections, with the folders and file names that their archives have."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

GTZAN_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
DANCES = (
    *("ChaChaCha", "Jive", "Quickstep", "Samba", "Tango", "VienneseWaltz", "Waltz"),
    *("Rumba-American", "Rumba-International", "Rumba-Misc"),
)

_FMA_HEADER = [
    ["", "artist", "set", "set", "track", "track"],
    ["", "name", "split", "subset", "genre_top", "title"],
    ["track_id", "", "", "", "", ""],
]


def write_published(folder: Path) -> None:
    """Write GTZAN as on Kaggle and Hugging Face, FMA, Ballroom and Emotify into a folder, as their archives unpack."""
    for root in ("Data/genres_original", "genres"):
        _write_audio(folder / root / genre / f"{genre}.{n:05d}.wav" for genre in GTZAN_GENRES for n in range(2))
    (folder / "Data" / "features_30_sec.csv").write_text("filename,length,label\nblues.00000.wav,661794,blues\n")
    for genre in GTZAN_GENRES:
        picture = folder / "Data" / "images_original" / genre / f"{genre}00000.png"
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    _write_fma(folder)
    _write_audio(folder / "BallroomData" / dance / f"Albums-{dance}-{n:02d}.wav" for dance in DANCES for n in range(2))
    (folder / "BallroomData" / "allBallroomFiles").write_text("./ChaChaCha/Albums-ChaChaCha-00.wav\n")
    genres = ("classical", "electronic", "pop", "rock")
    _write_audio(folder / "emotifymusic" / genre / f"{n}.mp3" for genre in genres for n in (1, 2))


def _write_fma(folder: Path) -> None:
    rows = [
        ["2", "AWOL", "training", "small", "Hip-Hop", "Food"],
        ["5", "AWOL", "training", "small", "Hip-Hop", "This World"],
        ["10", "Kurt Vile", "validation", "small", "Rock", "Freeway"],
        ["140", "Alec K. Redfearn", "test", "small", "Folk", "Queen of the Wires"],
        ["1000", "Nicky Cook", "test", "small", "", "Spiritual Level"],
    ]
    (folder / "fma_metadata").mkdir()
    with open(folder / "fma_metadata" / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(_FMA_HEADER + rows)
    numbers = [f"{int(row[0]):06d}" for row in rows]
    _write_audio(folder / "fma_small" / number[:3] / f"{number}.mp3" for number in numbers)


def _write_audio(paths: Iterable[Path]) -> None:
    """Write one second of noise to each path, different in each."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = [ord(letter) for letter in str(path.relative_to(path.parents[1]))]
        soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 22_050), 22_050)
