"""A bundle: a trained model as a folder with `model.safetensors` and `model.json`, and a card for people.

It predicts from an audio file alone, because it carries its front end. Loading reads JSON and tensors; no code is run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from genrekit._types import AnyPath
from genrekit.errors import BundleError, GenrekitError, UsageError
from genrekit.io.files import cannot, is_file, new_file, read_json
from genrekit.io.tensors import write_tensors
from genrekit.models import Model, build_model, count_parameters
from genrekit.models.bundle_metadata import FORMAT_VERSION, BundleMetadata
from genrekit.models.card import model_card
from genrekit.models.classical import Forest

_JSON, _TENSORS = "model.json", "model.safetensors"

_CARD = "README.md"
"""For people; nothing reads it."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; the model is on the CPU and in evaluation mode."""

    path: Path
    metadata: BundleMetadata
    model: Model


def save_bundle(folder: Path, model: nn.Module, metadata: BundleMetadata) -> None:
    """Write a bundle so that the folder holds nothing, the old bundle or the new one, never a half one.

    Errors: BundleError where the folder holds something that is no bundle, or cannot be written.
    """
    if folder.exists() and not is_bundle(folder):
        raise BundleError(f"{folder} exists and is no bundle: choose another name, or remove it")
    try:
        with new_folder(folder) as scratch:
            with new_file(scratch / _TENSORS) as new:
                write_tensors(new, model.state_dict())
            (scratch / _JSON).write_text(metadata.model_dump_json(indent=2) + "\n", encoding="utf-8")
            (scratch / _CARD).write_text(model_card(metadata), encoding="utf-8")
    except OSError as error:
        raise BundleError(str(cannot("write the bundle", folder, error))) from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder beside `folder` that takes its place when the block ends without an error.

    After an error, what stood there is there again and the new one is gone.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = new.with_name(new.name + ".old")
    try:
        yield new
        new.chmod(0o755)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    except BaseException:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_metadata(folder: Path) -> BundleMetadata:
    """Read what a bundle says of itself, without its weights.

    Errors: BundleError where it is no bundle, damaged, or of another format version.
    """
    try:
        if not is_bundle(folder):
            raise BundleError(f"{folder} is no bundle: it needs {_JSON} and {_TENSORS}")
        values = read_json(folder / _JSON)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder} has bundle format {version}, this genrekit reads format {FORMAT_VERSION}: "
                "train the model anew, or use the genrekit that wrote it"
            )
        return BundleMetadata.of(values)
    except BundleError:
        raise
    except PermissionError as error:
        raise BundleError(str(cannot("read", folder, error))) from error
    except GenrekitError as error:
        damaged = "" if isinstance(error.__cause__, OSError) else f"{folder / _JSON} is damaged: "
        raise BundleError(f"{damaged}{error}") from error


def load_bundle(path: AnyPath) -> Bundle:
    """Load a bundle.

    Errors: BundleError where a file is missing, damaged, or does not hold the model that the JSON claims.
    """
    folder = Path(path)
    metadata = read_metadata(folder)
    try:
        tensors = load_tensors((folder / _TENSORS).read_bytes())
    except OSError as error:
        raise BundleError(str(cannot("read", folder / _TENSORS, error))) from error
    except (SafetensorError, json.JSONDecodeError) as error:
        raise BundleError(f"{folder / _TENSORS} is damaged: {error}") from error
    _check_size(folder, metadata, tensors)
    model = build_model(metadata.train, metadata.prepare.front_end, len(metadata.genres))
    claimed = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if claimed != found:
        name = next(name for name in sorted({*claimed, *found}) if claimed.get(name) != found.get(name))
        raise BundleError(
            f"{folder}: {_TENSORS} does not hold the model that {_JSON} claims: {name} is {_shape(found.get(name))}, "
            f"claimed {_shape(claimed.get(name))}"
        )
    model.load_state_dict(tensors)
    _check_values(folder, model)
    return Bundle(folder, metadata, model.eval())


def _check_size(folder: Path, metadata: BundleMetadata, tensors: dict[str, Any]) -> None:
    """Refuse a JSON that claims a larger model than the tensors before any memory is taken for it."""
    import torch

    try:
        with torch.device("meta"):
            claimed = count_parameters(build_model(metadata.train, metadata.prepare.front_end, len(metadata.genres)))
    except UsageError as error:
        raise BundleError(f"{folder / _JSON} is damaged: {error}") from error
    stored = sum(tensor.numel() for tensor in tensors.values())
    if claimed > stored:
        raise BundleError(f"{folder}: {_JSON} claims {claimed:,} parameters, {_TENSORS} holds {stored:,} values")


def _check_values(folder: Path, model: Model) -> None:
    """Refuse tensors of the right shapes that no training leaves behind."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BundleError(f"{folder / _TENSORS} is damaged: {name} holds NaN or infinite values")
    if isinstance(model, Forest) and not model.leads_nowhere_else():
        raise BundleError(f"{folder / _TENSORS} is damaged: its trees lead to nodes or statistics that are not there")


def _shape(found: tuple[tuple[int, ...], Any] | None) -> str:
    return "missing" if found is None else f"{found[1]} {list(found[0])}".removeprefix("torch.")


def is_bundle(folder: Path) -> bool:
    """Whether a folder has the two files of a bundle.

    Errors: PermissionError if that cannot be found out.
    """
    return is_file(folder / _JSON) and is_file(folder / _TENSORS)


def find_bundles(folder: Path) -> list[Path]:
    """A bundle itself, or the bundles in a folder.

    Errors: BundleError where there is none.
    """
    if is_bundle(folder):
        return [folder]
    found = sorted(path for path in folder.glob("[!.]*") if _may_be_bundle(path)) if folder.is_dir() else []
    if not found:
        raise BundleError(f"no bundle at {folder}: train a model first, or name a folder that holds bundles")
    return found


def _may_be_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle, or cannot be looked into: reading it says why."""
    try:
        return is_bundle(folder)
    except PermissionError:
        return True
