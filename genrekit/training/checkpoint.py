"""Checkpoints of training runs: a safetensors file that is replaced atomically after each epoch.

Reading one unpickles nothing. The names of tensors start with "model.", "best.", "optimizer.", "answers." and, if
weights are averaged, "average."; everything else is JSON in the file's metadata. The previous file is kept, too.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from genrekit.config import Config
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot, new_file
from genrekit.io.tensors import DAMAGES, first_not_finite, metadata_of, read_tensors, write_tensors

FORMAT_VERSION = 2

CHECKPOINT = "last.safetensors"
"""Name of the file in the folder of a run."""

State = dict[str, Tensor]


class _Header(Config):
    """What the metadata of the file has."""

    format_version: int
    groups: list[dict[str, Any]]
    progress: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch. `progress` has JSON values, `answers` the validation results of each epoch."""

    model: State
    best: State
    optimizer: dict[str, Any]
    progress: dict[str, Any]
    average: State = field(default_factory=dict)
    answers: State = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint at `path`, and keep the old one as `previous_path(path)`.

    Errors: GenrekitError if it cannot be written, such as on a full disk. The old checkpoint is then unchanged.
    """
    slots = checkpoint.optimizer["state"]
    tensors = {f"model.{name}": tensor for name, tensor in checkpoint.model.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in checkpoint.best.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in checkpoint.average.items()}
    tensors |= {f"answers.{name}": tensor for name, tensor in checkpoint.answers.items()}
    tensors |= {f"optimizer.{slot}.{name}": value for slot, values in slots.items() for name, value in values.items()}
    metadata = {
        "format_version": FORMAT_VERSION,
        "groups": checkpoint.optimizer["param_groups"],
        "progress": checkpoint.progress,
    }
    try:
        with new_file(path) as new:
            write_tensors(new, tensors, metadata_of(metadata))
            if path.exists():
                _keep(path, previous_path(path))
    except OSError as error:
        raise GenrekitError(f"{cannot('write', path, error)}, then resume the run") from error


def _keep(path: Path, previous: Path) -> None:
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:  # a file system without links
        shutil.copyfile(path, previous)


def previous_path(path: Path) -> Path:
    """Return the path of the checkpoint before the last one."""
    return path.with_name(f"previous-{path.name}")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Errors: GenrekitError if it is missing, damaged or of another format version.
    """
    if not path.exists():
        raise GenrekitError(f"no checkpoint at {path}: there is nothing to resume; start a new run without --resume")
    try:
        metadata, tensors = read_tensors(
            path,
            "pt",
            version=FORMAT_VERSION,
            what="checkpoint",
            remedy="start a new run with another --out",
            header=_Header,
        )
        weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("optimizer.")}
        if name := first_not_finite(weights):
            raise ValueError(f"{name} has NaN or infinite values")
        slots: dict[int, State] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            slot, _, key = name.partition(".")
            slots.setdefault(int(slot), {})[key] = tensor
        optimizer = {"state": slots, "param_groups": metadata["groups"]}
        model, best, average, answers = (
            _under(prefix, tensors) for prefix in ("model.", "best.", "average.", "answers.")
        )
        return Checkpoint(model, best, optimizer, metadata["progress"], average, answers)
    except DAMAGES as error:
        previous = previous_path(path)
        replace = f"replace it by {previous.name} to resume one epoch earlier"
        remedy = replace if previous.exists() else "start a new run with another --out"
        raise GenrekitError(f"{path} is damaged ({error}): {remedy}") from error


def _under(prefix: str, tensors: State) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
