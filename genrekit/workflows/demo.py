"""demo: the whole way, on a small synthetic collection in a folder of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from genrekit.config import FeatureConfig, PrepareConfig, TrainConfig
from genrekit.demo.synthesizer import write_collection
from genrekit.errors import GenrekitError
from genrekit.io.files import write_json
from genrekit.metrics.evaluation import EvaluateResult
from genrekit.training.tracking import Tracking
from genrekit.workflows.compare import CompareResult, compare
from genrekit.workflows.evaluate import evaluate
from genrekit.workflows.predict import PredictResult, predict
from genrekit.workflows.prepare import PrepareResult, prepare
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.train import TrainResult, train

TRACKS_PER_GENRE, DURATION_S, SAMPLE_RATE = 24, 10.0, 16_000

FRONT_END = FeatureConfig(sample_rate=SAMPLE_RATE, duration_s=5.0, n_fft=1_024, hop_length=512, n_mels=64)
"""A smaller front end than the default one: the demo is to end in two minutes."""

_CEL = {"arch": "cel", "channels": (8, 16, 32, 32), "dropout": 0.1, "sched": "onecycle", "lr": 3e-3}

MODELS = {
    "cel": TrainConfig.of({**_CEL, "batch_size": 16, "epochs": 16}),
    "mlp": TrainConfig.of({"arch": "mlp", "hidden": (64, 32), "epochs": 12}),
}
"""The two models that the demo compares."""

_MARK = "demo.json"
_QUIET = Reporter()


@dataclass(frozen=True)
class DemoResult:
    """What each step of the demo gave."""

    folder: Path
    prepared: PrepareResult
    trained: tuple[TrainResult, ...]
    compared: CompareResult
    evaluated: EvaluateResult
    predicted: PredictResult


def demo(folder: Path, *, seed: int = 0, reporter: Reporter = _QUIET) -> DemoResult:
    """Synthesize ten genres into `folder`, then prepare, train two models, compare, evaluate and predict there.

    Errors: GenrekitError where the folder holds anything that is not a demo's.
    """
    _claim(folder, seed)
    audio, cache, runs, best = (folder / name for name in ("audio", "cache.h5", "runs", "best_models"))
    reporter.stage(f"1. Synthesize {TRACKS_PER_GENRE} tracks of each of ten genres into {audio}")
    write_collection(
        audio,
        tracks_per_genre=TRACKS_PER_GENRE,
        duration_s=DURATION_S,
        sample_rate=SAMPLE_RATE,
        seed=seed,
        on_track=reporter.tracks_done,
    )
    reporter.finished()
    reporter.stage("2. Prepare: decode, cut into fragments, transform, cache")
    prepared = prepare(audio, PrepareConfig(front_end=FRONT_END), out=cache, reporter=reporter)
    trained = []
    for number, (name, config) in enumerate(MODELS.items(), 3):
        reporter.stage(f"{number}. Train {name} from the cache")
        trained.append(
            train(
                cache,
                {**config.model_dump(), "seed": seed},
                out=runs / name,
                best_models=best,
                tracking=Tracking("off"),
                reporter=reporter,
            )
        )
    reporter.stage("5. Compare on validation, evaluate on the test part, predict a file")
    compared = compare([runs], reporter=reporter)
    evaluated = evaluate(best, cache, reporter=reporter)
    predicted = predict([_example(audio)], best, reporter=reporter)
    return DemoResult(folder, prepared, tuple(trained), compared, evaluated, predicted)


def _claim(folder: Path, seed: int) -> None:
    """Take the folder if it is new, empty or an earlier demo's, whose runs and audio are then replaced."""
    if folder.exists() and not (folder / _MARK).is_file() and any(folder.iterdir()):
        raise GenrekitError(f"{folder} holds something that is not a demo's: choose another folder for the demo")
    for name in ("audio", "runs", "best_models", "cache.splits"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "cache.h5").unlink(missing_ok=True)
    write_json(folder / _MARK, {"format_version": 1, "seed": seed})


def _example(audio: Path) -> Path:
    return sorted((audio / "reggae").glob("*.wav"))[0]
