r"""Music genre classification that is fast, pleasant and honest.

The verbs of the command line as functions. Each returns a record, the one that `--json` prints, and says nothing:

    >>> import shutil, tempfile
    >>> from pathlib import Path
    >>> from genrekit import PrepareConfig, Progress, compare, evaluate, info, load_model, predict, prepare, train
    >>> from genrekit.demo.synthesizer import write_collection
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_collection(folder / "data", tracks_per_genre=3, duration_s=2, sample_rate=8_000, seed=0)

    >>> small = PrepareConfig.of({"front_end": {"sample_rate": 8_000, "duration_s": 1, "n_mels": 32}})
    >>> prepare(folder / "data", small, out=folder / "cache.h5", workers=1).tracks
    30
    >>> info(folder / "cache.h5").facts["fragments"]
    60
    >>> folders = {"runs": folder / "runs", "best_models": folder / "best_models"}
    >>> run = train(folder / "cache.h5", arch="mlp", hidden=(8, 8), epochs=1, split="track", **folders)
    >>> len(compare([folder / "runs"]).ranking)
    1
    >>> evaluate(run.bundle, folder / "cache.h5").readings  # the test part is read here only, and that is counted
    1
    >>> songs = sorted((folder / "data").rglob("*-000.wav"))
    >>> len(predict(songs, folder / "best_models", {"hop_seconds": 0.5}).files[0].fragments)
    3
    >>> load_model(run.bundle).predict(songs[0]).duration_s
    2.0

`run_study` trains what a study file declares and judges its claims; `export` writes a model as ONNX:

    >>> from genrekit import StudyOptions, run_study
    >>> _ = (folder / "widths.toml").write_text(
    ...     'title = "Widths"\n'
    ...     'question = "Does it matter how wide a perceptron is?"\n'
    ...     "seeds = 1\n"
    ...     'base = { arch = "mlp", epochs = 1, split = "track" }\n'
    ...     "[axes.width]\n"
    ...     "narrow = { hidden = [4, 4] }\n"
    ...     "wide = { hidden = [16, 16] }\n"
    ... )
    >>> places = {"runs": folder / "runs", "reports": folder / "reports"}
    >>> study = run_study(folder / "widths.toml", folder / "cache.h5", StudyOptions(epochs=1), **places)
    >>> sorted(study.ranking)
    ['narrow', 'wide']

A workflow tells its `reporter` how it goes; `Progress` passes that on to a function:

    >>> done = predict(songs[:2], folder / "best_models", reporter=Progress(lambda done, of: print(done, "of", of)))
    1 of 2
    2 of 2
    >>> shutil.rmtree(folder)

What can be mended is a `GenrekitError`, one line that says how. Everything is imported when it is first used, so that
importing genrekit costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genrekit._version import __version__

if TYPE_CHECKING:
    from genrekit.config import Architecture, FeatureConfig, PrepareConfig, TrainConfig, register_architecture
    from genrekit.errors import GenrekitError
    from genrekit.inference.model import load_model
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
    "FeatureConfig",
    "GenrekitError",
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
    "predict",
    "prepare",
    "register_architecture",
    "run_study",
    "train",
]

_HOMES = {
    "Architecture": ("genrekit.config", "Architecture"),
    "FeatureConfig": ("genrekit.config", "FeatureConfig"),
    "GenrekitError": ("genrekit.errors", "GenrekitError"),
    "PrepareConfig": ("genrekit.config", "PrepareConfig"),
    "Progress": ("genrekit.workflows.reporter", "Progress"),
    "Reporter": ("genrekit.workflows.reporter", "Reporter"),
    "StudyOptions": ("genrekit.studies.plan", "StudyOptions"),
    "Tracking": ("genrekit.training.tracking", "Tracking"),
    "TrainConfig": ("genrekit.config", "TrainConfig"),
    "compare": ("genrekit.workflows.compare", "compare"),
    "evaluate": ("genrekit.workflows.evaluate", "evaluate"),
    "export": ("genrekit.workflows.export", "export"),
    "info": ("genrekit.workflows.info", "info"),
    "load_model": ("genrekit.inference.model", "load_model"),
    "predict": ("genrekit.workflows.predict", "predict"),
    "prepare": ("genrekit.workflows.prepare", "prepare"),
    "register_architecture": ("genrekit.config", "register_architecture"),
    "run_study": ("genrekit.studies.runner", "run_study"),
    "train": ("genrekit.workflows.train", "train"),
}


def __getattr__(name: str) -> Any:
    """Import a function of the API when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _HOMES[name]
    return getattr(import_module(module), function)
