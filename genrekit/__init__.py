r"""Train and evaluate music genre classifiers.

From a folder with one folder of audio files per genre to predictions:

    from genrekit import evaluate, load_model, prepare, train

    prepare("data", out="data/cache.h5", augment=True)
    run = train("data/cache.h5", {"arch": "cel3", "opt": "sgd", "sched": "cosine"})
    print(run.validation.track_accuracy)
    print(evaluate(run.bundle, "data/cache.h5").models[0].track_accuracy)

    model = load_model(run.bundle)
    print(model.predict("song.mp3").genre)
    print(model.predict_proba(waveform, sample_rate=44_100))

Each function does what the command of the same name does, and returns what it prints with `--json`, as a dataclass. It
shows its progress on one line in a terminal and in a notebook, and prints nothing else; `reporter=Reporter()` switches
the progress off. Problems that you can fix raise a `GenrekitError` with a message of one line.

The same on a small synthetic collection:

    >>> import shutil, tempfile
    >>> from pathlib import Path
    >>> from genrekit import FeatureConfig, Tracking, compare, evaluate, info, load_model, predict, prepare, train
    >>> from genrekit.demo.synthesizer import write_collection
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_collection(folder / "data", tracks_per_genre=3, duration_s=2, sample_rate=8_000, seed=0)

    >>> features = FeatureConfig(sample_rate=8_000, duration_s=1, n_mels=32)
    >>> cache = folder / "cache.h5"
    >>> prepare(folder / "data", out=cache, features=features, workers=1).tracks
    30
    >>> info(cache).facts["fragments"]
    60
    >>> best_models, folders = folder / "best_models", {"runs": folder / "runs", "best_models": folder / "best_models"}
    >>> off = Tracking("off")
    >>> run = train(cache, arch="mlp", hidden=(8, 8), epochs=1, split="track", tracking=off, **folders)
    >>> len(compare(folder / "runs").ranking)
    1
    >>> evaluate(run.bundle, cache).readings  # how often the test set has been evaluated
    1
    >>> songs = sorted((folder / "data").rglob("*-000.wav"))
    >>> len(predict(songs, best_models, hop_seconds=0.5).files[0].fragments)
    3

A loaded model also predicts waveforms in memory:

    >>> import numpy as np
    >>> model = load_model(run.bundle)
    >>> model.predict(songs[0]).duration_s
    2.0
    >>> silence = np.zeros((2, 44_100), np.float32)  # a batch of two waveforms of one second
    >>> model.predict_proba(silence, sample_rate=44_100).shape
    (2, 10)

`run_study` trains the runs of a study and tests its hypotheses; `export` writes a model as ONNX:

    >>> from genrekit import StudyOptions, run_study
    >>> _ = (folder / "widths.toml").write_text(
    ...     'title = "Widths"\n'
    ...     'question = "Does the width of a perceptron matter?"\n'
    ...     "seeds = 1\n"
    ...     'base = { arch = "mlp", epochs = 1, split = "track" }\n'
    ...     "[axes.width]\n"
    ...     "narrow = { hidden = [4, 4] }\n"
    ...     "wide = { hidden = [16, 16] }\n"
    ... )
    >>> folders = {"runs": folder / "runs", "reports": folder / "reports"}
    >>> study = run_study(folder / "widths.toml", cache, StudyOptions(epochs=1), **folders)
    >>> sorted(study.ranking)
    ['narrow', 'wide']

Pass a `reporter` to follow the progress of a function in your own way:

    >>> from genrekit import Progress
    >>> _ = predict(songs[:2], best_models, reporter=Progress(lambda done, of: print(done, "of", of)))
    1 of 2
    2 of 2
    >>> shutil.rmtree(folder)

Names are imported when they are first used, so `import genrekit` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genrekit._version import __version__

if TYPE_CHECKING:
    from genrekit.config import (
        Architecture,
        ArchitectureOptions,
        Augmentation,
        FeatureConfig,
        PredictConfig,
        PrepareConfig,
        TrainConfig,
        register_architecture,
    )
    from genrekit.data.cache.reader import open_cache
    from genrekit.data.dataset import FragmentDataset
    from genrekit.errors import GenrekitError
    from genrekit.inference.model import GenreModel, load_model
    from genrekit.inference.prediction import FilePrediction
    from genrekit.studies.plan import StudyOptions
    from genrekit.studies.runner import run_study
    from genrekit.training.tracking import Tracking
    from genrekit.workflows.compare import compare
    from genrekit.workflows.evaluate import evaluate
    from genrekit.workflows.export import export
    from genrekit.workflows.info import info
    from genrekit.workflows.predict import predict
    from genrekit.workflows.prepare import prepare
    from genrekit.workflows.reporter import Progress, Reporter
    from genrekit.workflows.train import train

__all__ = [
    "Architecture",
    "ArchitectureOptions",
    "Augmentation",
    "FeatureConfig",
    "FilePrediction",
    "FragmentDataset",
    "GenreModel",
    "GenrekitError",
    "PredictConfig",
    "PrepareConfig",
    "Progress",
    "Reporter",
    "StudyOptions",
    "Tracking",
    "TrainConfig",
    "__version__",
    "compare",
    "evaluate",
    "export",
    "info",
    "load_model",
    "open_cache",
    "predict",
    "prepare",
    "register_architecture",
    "run_study",
    "train",
]

_MODULES = {
    "Architecture": "genrekit.config",
    "ArchitectureOptions": "genrekit.config",
    "Augmentation": "genrekit.config",
    "FeatureConfig": "genrekit.config",
    "FilePrediction": "genrekit.inference.prediction",
    "FragmentDataset": "genrekit.data.dataset",
    "GenreModel": "genrekit.inference.model",
    "GenrekitError": "genrekit.errors",
    "PredictConfig": "genrekit.config",
    "PrepareConfig": "genrekit.config",
    "Progress": "genrekit.workflows.reporter",
    "Reporter": "genrekit.workflows.reporter",
    "StudyOptions": "genrekit.studies.plan",
    "Tracking": "genrekit.training.tracking",
    "TrainConfig": "genrekit.config",
    "compare": "genrekit.workflows.compare",
    "evaluate": "genrekit.workflows.evaluate",
    "export": "genrekit.workflows.export",
    "info": "genrekit.workflows.info",
    "load_model": "genrekit.inference.model",
    "open_cache": "genrekit.data.cache.reader",
    "predict": "genrekit.workflows.predict",
    "prepare": "genrekit.workflows.prepare",
    "register_architecture": "genrekit.config",
    "run_study": "genrekit.studies.runner",
    "train": "genrekit.workflows.train",
}
"""The module that defines each name."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> "list[str]":
    return sorted(__all__)
