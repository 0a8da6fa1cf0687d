"""Music genre classification that is fast, pleasant and honest.

The verbs of the command line as functions, each of which returns a record:

    from genrekit import prepare, train, evaluate

    prepare("data", out="data/cache.h5")
    train("data/cache.h5", {"arch": "cel3", "opt": "sgd", "sched": "cosine"}, best_models="best_models")
    print(evaluate("best_models", "data/cache.h5").models[0].track_accuracy)

They are imported when they are first used, so that importing genrekit costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from genrekit.models.bundle import load_bundle as load_model
    from genrekit.workflows.compare import compare
    from genrekit.workflows.evaluate import evaluate
    from genrekit.workflows.predict import predict
    from genrekit.workflows.prepare import prepare
    from genrekit.workflows.train import train

__all__ = ["compare", "evaluate", "load_model", "predict", "prepare", "train"]

_HOMES = {
    "compare": ("genrekit.workflows.compare", "compare"),
    "evaluate": ("genrekit.workflows.evaluate", "evaluate"),
    "load_model": ("genrekit.models.bundle", "load_bundle"),
    "predict": ("genrekit.workflows.predict", "predict"),
    "prepare": ("genrekit.workflows.prepare", "prepare"),
    "train": ("genrekit.workflows.train", "train"),
}


def __getattr__(name: str) -> Any:
    """Import a function of the API when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _HOMES[name]
    return getattr(import_module(module), function)
