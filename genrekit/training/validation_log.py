"""What a model answered to the validation tracks after every epoch: one safetensors file beside a run's result.

Nothing is ever unpickled: the answers are tensors, everything else is JSON in the file's metadata.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit._types import FloatArray
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot, new_file
from genrekit.io.tensors import DAMAGES, metadata_of, read_tensors, write_tensors
from genrekit.metrics.epochs import TrainingFigures

FORMAT_VERSION = 1

ANSWERS = "answers.safetensors"
"""The file's name in the folder of a run."""


@dataclass(frozen=True)
class Answers:
    """A training's answers to the T validation tracks after each of its E epochs, and what is needed to judge them.

    `right` is by mean probability over a track's fragments, `loss` the mean cross-entropy of these, in nats. `clusters`
    names each track's artist cluster, which is what is to be resampled where `resampled` says "artists". `training`
    has the figures of the "best" and the "last" epoch. `dead_channels` is the share of the last epoch's channels and
    hidden units that no validation fragment activates; None for a model without any.
    Shapes: right bool [E, T], loss float32 [E, T]; track_ids and clusters have T items.
    """

    track_ids: tuple[str, ...]
    clusters: tuple[str, ...]
    right: npt.NDArray[np.bool_]
    loss: FloatArray
    steps_per_epoch: int
    best_epoch: int
    resampled: str
    training: dict[str, TrainingFigures]
    dead_channels: float | None

    def __post_init__(self) -> None:
        if not self.right.shape == self.loss.shape == (len(self.right), len(self.track_ids)):
            raise ValueError(
                f"{self.right.shape} answers and {self.loss.shape} losses for {len(self.track_ids)} tracks"
            )
        if len(self.clusters) != len(self.track_ids):
            raise ValueError(f"{len(self.clusters)} clusters for {len(self.track_ids)} tracks")
        if not 1 <= self.best_epoch <= len(self.right):
            raise ValueError(f"best epoch {self.best_epoch} of {len(self.right)}")


def save_answers(path: Path, answers: Answers) -> None:
    """Replace the file at `path`.

    Errors: GenrekitError where it cannot be written, such as on a full disk.
    """
    metadata = {
        "format_version": FORMAT_VERSION,
        "track_ids": answers.track_ids,
        "clusters": answers.clusters,
        "steps_per_epoch": answers.steps_per_epoch,
        "best_epoch": answers.best_epoch,
        "resampled": answers.resampled,
        "training": {name: asdict(figures) for name, figures in answers.training.items()},
        "dead_channels": answers.dead_channels,
    }
    tensors = {"right": answers.right, "loss": np.asarray(answers.loss, np.float32)}
    try:
        with new_file(path) as new:
            write_tensors(new, tensors, metadata_of(metadata))
    except OSError as error:
        raise GenrekitError(f"{cannot('write', path, error)}, then resume the run") from error


def load_answers(path: Path) -> Answers:
    """Read the file at `path`.

    Errors: GenrekitError where there is none, or it is damaged or of another format version.
    """
    if not path.is_file():
        raise GenrekitError(f"no answers at {path}: train the run anew")
    try:
        return _answers(*read_tensors(path, "np", version=FORMAT_VERSION, what="answers", remedy="train the run anew"))
    except DAMAGES as error:
        raise GenrekitError(f"{path} is damaged ({' '.join(str(error).split())}): train the run anew") from error


def _answers(metadata: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Answers:
    right, loss = tensors["right"], tensors["loss"]
    if right.dtype != np.bool_ or loss.dtype != np.float32:
        raise ValueError(f"answers are {right.dtype} and {loss.dtype}")
    return Answers(
        track_ids=tuple(metadata["track_ids"]),
        clusters=tuple(metadata["clusters"]),
        right=right,
        loss=loss,
        steps_per_epoch=metadata["steps_per_epoch"],
        best_epoch=metadata["best_epoch"],
        resampled=metadata["resampled"],
        training={name: TrainingFigures(**figures) for name, figures in metadata["training"].items()},
        dead_channels=metadata["dead_channels"],
    )
