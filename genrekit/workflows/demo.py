"""demo: all steps, from audio files to predictions, on a small synthetic collection."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genrekit.config import FeatureConfig, PrepareConfig, TrainConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.splits.store import open_split
from genrekit.demo.synthesizer import write_collection
from genrekit.errors import GenrekitError
from genrekit.io.files import read_json, write_json
from genrekit.io.targets import refuse_dangling
from genrekit.metrics.evaluation import EvaluateResult
from genrekit.models.bundle import read_metadata
from genrekit.models.kept_bundles import remove_copies
from genrekit.training.tracking import Tracking
from genrekit.workflows.compare import CompareResult, compare
from genrekit.workflows.evaluate import evaluate
from genrekit.workflows.predict import PredictResult, predict
from genrekit.workflows.prepare import PrepareResult, prepare
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.train import TrainResult, train

TRACKS_PER_GENRE, DURATION_S, SAMPLE_RATE = 24, 10.0, 16_000

FRONT_END = FeatureConfig(sample_rate=SAMPLE_RATE, duration_s=5.0, n_fft=1_024, hop_length=512, n_mels=64)
"""Smaller features than the default ones, so that the demo takes less than two minutes."""

_CEL = {"arch": "cel", "channels": (8, 16, 32, 32), "dropout": 0.1, "sched": "onecycle", "lr": 3e-3}
_LAYERS = {"center": False, "downsample": (1, 1), "pool": "flatten"}
_SHARED = {"mixup": 0.0, "monitor": "loss"}

MODELS = {
    "cel": TrainConfig.of({**_CEL, **_LAYERS, **_SHARED, "batch_size": 16, "epochs": 16}),
    "mlp": TrainConfig.of({"arch": "mlp", **_SHARED, "sched": "none", "hidden": (64, 32), "epochs": 12}),
}
"""The two models that the demo compares."""

_MARK = "demo.json"
_QUIET = Reporter()


@dataclass(frozen=True)
class DemoResult:
    """The result of each step of the demo."""

    folder: Path
    prepared: PrepareResult
    trained: tuple[TrainResult, ...]
    compared: CompareResult
    evaluated: EvaluateResult
    predicted: PredictResult


def demo(folder: Path, *, seed: int = 0, reporter: Reporter = _QUIET) -> DemoResult:
    """Synthesize tracks of ten genres in `folder`, then prepare, train two models, compare, evaluate and predict.

    Errors: GenrekitError if the folder is not empty and not from an earlier demo.
    """
    _reset_folder(folder, seed)
    audio, cache, runs, best = (folder / name for name in ("audio", "cache.h5", "runs", "best_models"))
    reporter.stage(f"1. Synthesize {TRACKS_PER_GENRE} tracks for each of ten genres in {audio}")
    write_collection(
        audio,
        tracks_per_genre=TRACKS_PER_GENRE,
        duration_s=DURATION_S,
        sample_rate=SAMPLE_RATE,
        seed=seed,
        on_track=reporter.tracks_done,
    )
    reporter.finished()
    reporter.stage("2. Prepare: decode the tracks, cut them into fragments, compute mel spectrograms")
    prepared = prepare(audio, PrepareConfig(front_end=FRONT_END), out=cache, reporter=reporter)
    trained = []
    for number, (name, config) in enumerate(MODELS.items(), 3):
        reporter.stage(f"{number}. Train {name}")
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
    reporter.stage("5. Compare on the validation set, evaluate on the test set, predict a track of the test set")
    compared = compare([runs / name for name in MODELS], best_models=best, reporter=reporter)
    evaluated = evaluate(best, cache, reporter=reporter)
    predicted = predict(audio / f"{_test_track(cache, trained[0].bundle)}.wav", best, reporter=reporter)
    return DemoResult(folder, prepared, tuple(trained), compared, evaluated, predicted)


def _reset_folder(folder: Path, seed: int) -> None:
    """Remove the files of an earlier demo, and nothing that was added to them.

    Errors: GenrekitError if the folder has other files and is not from an earlier demo.
    """
    refuse_dangling(folder)
    if folder.exists() and not _is_demo(folder) and any(folder.iterdir()):
        raise GenrekitError(
            f"{folder} is not empty and not from an earlier demo: name an empty one, such as genrekit demo {folder}-2"
        )
    for name in MODELS:
        shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    shutil.rmtree(folder / "cache.splits", ignore_errors=True)
    remove_copies(folder / "best_models")
    for path in (*folder.glob("audio/*/demo-*.wav"), folder / "cache.h5"):
        path.unlink(missing_ok=True)
    write_json(folder / _MARK, {"format_version": 1, "seed": seed})


def _is_demo(folder: Path) -> bool:
    with suppress(GenrekitError):
        values = read_json(folder / _MARK) if (folder / _MARK).is_file() else None
        return isinstance(values, dict) and set(values) == {"format_version", "seed"}
    return False


def _test_track(cache: Path, bundle: Path) -> str:
    """The id of a track that no model was trained or validated on."""
    metadata = read_metadata(bundle)
    return min(open_split(open_cache(cache), metadata.split, metadata.split_seed).ids("test"))
