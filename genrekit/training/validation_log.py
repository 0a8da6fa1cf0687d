"""The results of a run for each validation track after each epoch, in a safetensors file.

Reading it unpickles nothing: the results are tensors, and everything else is JSON in the file's metadata.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from genrekit._types import FloatArray
from genrekit.config import Config
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot, new_file
from genrekit.io.tensors import DAMAGES, metadata_of, read_tensors, write_tensors
from genrekit.metrics.epochs import EpochFigures

FORMAT_VERSION = 1

ANSWERS = "answers.safetensors"
"""Name of the file in the folder of a run."""


_PREDICTED = "predicted_"
"""Start of the names of the tensors with predicted genres, before "best" and "last"."""

Share = Annotated[float, Field(ge=0, le=1)]


class StoredFigures(Config):
    """The figures of an epoch in a file. In JSON files, a loss that is not finite is null."""

    loss: float | None
    fragment_accuracy: Share
    track_accuracy: Share


class _Header(Config):
    """The metadata of the file."""

    format_version: int
    track_ids: tuple[str, ...] = Field(min_length=1)
    clusters: tuple[str, ...]
    steps_per_epoch: int = Field(ge=1)
    best_epoch: int = Field(ge=1)
    resampled: Literal["tracks", "artists"]
    training: dict[Literal["best", "last"], StoredFigures]
    dead_channels: Share | None
    genres: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The results for T validation tracks after each of E epochs, and what comparisons of runs need.

    `right` is whether the genre with the highest mean probability over a track's fragments is correct, `loss` the mean
    cross-entropy of the fragments, in nats. `clusters` names the artist cluster of each track; `resampled` is whether
    intervals resample "tracks" or "artists". `training` has the figures of the "best" and the "last" epoch.
    `dead_channels` is the share of channels and hidden units that no validation fragment activates after the last
    epoch; None for a model without any. `predicted` has the index in `genres` of the genre that each track is predicted
    as after the "best" and the "last" epoch; runs of earlier versions do not have it.
    Shapes: right bool [E, T], loss float32 [E, T], predicted int64 [T]; track_ids and clusters have T items.
    """

    track_ids: tuple[str, ...]
    clusters: tuple[str, ...]
    right: npt.NDArray[np.bool_]
    loss: FloatArray
    steps_per_epoch: int
    best_epoch: int
    resampled: str
    training: dict[str, EpochFigures]
    dead_channels: float | None
    genres: tuple[str, ...] = ()
    predicted: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.right.shape == self.loss.shape == (len(self.right), len(self.track_ids)):
            raise ValueError(
                f"results {self.right.shape} and losses {self.loss.shape} do not fit {len(self.track_ids)} tracks"
            )
        if len(self.clusters) != len(self.track_ids):
            raise ValueError(f"{len(self.clusters)} clusters do not fit {len(self.track_ids)} tracks")
        if not 1 <= self.best_epoch <= len(self.right):
            raise ValueError(f"best epoch {self.best_epoch} is not one of {len(self.right)}")
        for predicted in self.predicted.values():
            if predicted.shape != (len(self.track_ids),):
                raise ValueError(f"predictions {predicted.shape} do not fit {len(self.track_ids)} tracks")
            if not ((predicted >= 0) & (predicted < len(self.genres))).all():
                raise ValueError(f"a prediction is not one of {len(self.genres)} genres")


def save_answers(path: Path, answers: Answers) -> None:
    """Replace the file at `path`.

    Errors: GenrekitError if it cannot be written, such as on a full disk.
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
        "genres": answers.genres,
    }
    predicted = {f"{_PREDICTED}{at}": values.astype(np.int32) for at, values in answers.predicted.items()}
    tensors = {"right": answers.right, "loss": np.asarray(answers.loss, np.float32), **predicted}
    try:
        with new_file(path) as new:
            write_tensors(new, tensors, metadata_of(metadata))
    except OSError as error:
        raise GenrekitError(f"{cannot('write', path, error)}, then resume the run") from error


def load_answers(path: Path) -> Answers:
    """Read the file at `path`.

    Errors: GenrekitError if it is missing, damaged or of another format version.
    """
    if not path.exists():
        raise GenrekitError(f"no predictions at {path}: train the run again with another --out")
    try:
        return _answers(
            *read_tensors(
                path,
                "np",
                version=FORMAT_VERSION,
                what="predictions",
                remedy="train the run again with another --out",
                header=_Header,
            )
        )
    except DAMAGES as error:
        raise GenrekitError(
            f"{path} is damaged ({' '.join(str(error).split())}): train the run again with another --out"
        ) from error


def _answers(metadata: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Answers:
    right, loss = tensors["right"], tensors["loss"]
    if right.dtype != np.bool_ or loss.dtype != np.float32:
        raise ValueError(f"right is {right.dtype} and loss {loss.dtype}, expected bool and float32")
    if not np.isfinite(loss).all():
        raise ValueError("loss has NaN or infinite values")
    predicted = {at: tensors[f"{_PREDICTED}{at}"] for at in ("best", "last") if f"{_PREDICTED}{at}" in tensors}
    if any(values.dtype != np.int32 for values in predicted.values()):
        raise ValueError("predicted genres are not int32")
    if len(set(metadata["track_ids"])) < len(metadata["track_ids"]):
        raise ValueError("a track is in it twice")
    return Answers(
        track_ids=tuple(metadata["track_ids"]),
        clusters=tuple(metadata["clusters"]),
        right=right,
        loss=loss,
        steps_per_epoch=metadata["steps_per_epoch"],
        best_epoch=metadata["best_epoch"],
        resampled=metadata["resampled"],
        training={name: EpochFigures(**figures) for name, figures in metadata["training"].items()},
        dead_channels=metadata["dead_channels"],
        genres=tuple(metadata.get("genres", ())),
        predicted={at: values.astype(np.int64) for at, values in predicted.items()},
    )
