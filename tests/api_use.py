"""A program that uses the whole API. Nothing runs it: mypy checks it with the rest of the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from genrekit import (
    Augmentation,
    FeatureConfig,
    FilePrediction,
    GenreModel,
    PrepareConfig,
    Progress,
    Reporter,
    compare,
    evaluate,
    export,
    info,
    load_model,
    predict,
    prepare,
)


def prepare_twice(data: Path) -> int:
    """Prepare with keywords and with a configuration."""
    features = FeatureConfig(n_mels=96)
    first = prepare(data, out="one.h5", features=features, augment=Augmentation(noise=(20.0, 40.0)), fragments="first")
    second = prepare(data, PrepareConfig(front_end=features), out="two.h5", reporter=Progress(print))
    return first.fragments + second.fragments


def predict_all(model: GenreModel, songs: list[Path], waveform: npt.NDArray[np.float32]) -> dict[str, float]:
    """Predict one path, several paths and a waveform."""
    one: FilePrediction = model.predict(songs[0])
    several: list[FilePrediction] = model.predict(songs, min_confidence=0.5)
    probabilities: npt.NDArray[np.float32] = model.predict_proba(waveform, sample_rate=44_100)
    genre: str | None = one.genre  # None if the file is silent
    return {genre or "silent": several[0].probability, model.genres[0]: float(probabilities[0])}


def report(bundle: Path, reporter: Reporter) -> tuple[str, float, object]:
    """Rank, evaluate, export and describe."""
    best: str = compare("runs", reporter=reporter).ranking[0]
    accuracy: float = evaluate(bundle, "one.h5").models[0].track_accuracy.value
    size: int = export(bundle, force=True).size
    genre: str | None = predict(["song.mp3"], bundle, hop_seconds=1.0).files[0].genre
    return best + (genre or "silent"), accuracy + size, info(load_model(bundle).path).facts


def mistakes(model: GenreModel, songs: list[Path]) -> None:
    """Uses that a type checker must refuse: strict mypy reports an ignored error that is not there."""
    model.predict(songs).genre  # type: ignore[attr-defined]  # noqa: B018
    prepare("data")  # type: ignore[call-arg]
    prepare("data", out="one.h5", fragments="some")  # type: ignore[arg-type]
    predict("song.mp3", {"hop_seconds": 1.0})  # type: ignore[arg-type]
