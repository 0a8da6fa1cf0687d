"""A bundle: a trained model as a folder with `model.safetensors`, `model.json` and a model card.

A bundle has the configuration of its features, so it predicts from an audio file alone. Loading one reads JSON and
tensors, and runs no code from the folder.
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
from genrekit.config import is_registered
from genrekit.errors import BundleError, GenrekitError, UsageError
from genrekit.io.files import cannot, is_file, new_file, read_json
from genrekit.io.tensors import write_tensors
from genrekit.models import build_model, count_parameters
from genrekit.models.bundle_metadata import FORMAT_VERSION, BundleMetadata
from genrekit.models.card import model_card

_JSON, _TENSORS = "model.json", "model.safetensors"

_CARD = "README.md"
"""The model card. genrekit does not read it."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. The model is on the CPU and in evaluation mode."""

    path: Path
    metadata: BundleMetadata
    model: nn.Module


def save_bundle(folder: Path, model: nn.Module, metadata: BundleMetadata) -> None:
    """Write a bundle. At every moment, the folder is absent, the old bundle or the new one.

    Errors: BundleError if the folder exists and is not a bundle, or cannot be written.
    """
    if folder.exists() and not is_bundle(folder):
        raise BundleError(f"{folder} exists and is not a bundle: choose another name, or remove it")
    try:
        with new_folder(folder) as scratch:
            with new_file(scratch / _TENSORS) as new:
                write_tensors(new, model.state_dict())
            (scratch / _JSON).write_text(metadata.to_json() + "\n", encoding="utf-8")
            (scratch / _CARD).write_text(model_card(metadata), encoding="utf-8")
    except OSError as error:
        raise BundleError(str(cannot("write the bundle", folder, error))) from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder that replaces `folder` when the block ends.

    After an error, the new folder is removed and the old one is unchanged.
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
    """Read the metadata of a bundle, without its weights.

    Errors: BundleError if it is not a bundle, is damaged, has another format version, or has an architecture that is
    not registered.
    """
    try:
        if not is_bundle(folder):
            raise BundleError(f"{folder} is not a bundle: it needs {_JSON} and {_TENSORS}")
        values = read_json(folder / _JSON)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder} has bundle format {version}, this version of genrekit reads format {FORMAT_VERSION}: "
                "train the model again, or use the version of genrekit that wrote it"
            )
        _require_architecture(folder, values)
        return BundleMetadata.of(values)
    except BundleError:
        raise
    except PermissionError as error:
        raise BundleError(str(cannot("read", folder, error))) from error
    except GenrekitError as error:
        damaged = "" if isinstance(error.__cause__, OSError) else f"{folder / _JSON} is damaged: "
        raise BundleError(f"{damaged}{error}") from error


def _require_architecture(folder: Path, values: dict[str, Any]) -> None:
    """Refuse an architecture that is not registered, and name the module that registers it if the bundle has it."""
    train, module = values.get("train"), values.get("architecture_module")
    arch = train.get("arch") if isinstance(train, dict) else None
    if not isinstance(arch, str) or is_registered(arch):
        return
    remedy = f"install or import {module}" if isinstance(module, str) else "register it before you load the bundle"
    raise BundleError(f"{folder} has the architecture {arch!r}, which is not registered: {remedy}")


def load_bundle(path: AnyPath) -> Bundle:
    """Load a bundle.

    Errors: BundleError if a file is missing or damaged, or if the tensors do not fit the model in the JSON.
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
    _check_shapes(folder, model, tensors)
    try:
        model.load_state_dict(tensors)
    except ValueError as error:
        raise BundleError(f"{folder / _TENSORS} is damaged: {error}") from error
    _check_values(folder, tensors)
    return Bundle(folder, metadata, model.eval())


def _check_size(folder: Path, metadata: BundleMetadata, tensors: dict[str, Any]) -> None:
    """Refuse a JSON whose model is larger than the tensors, before memory is allocated for the model."""
    import torch

    try:
        with torch.device("meta"):
            expected = count_parameters(build_model(metadata.train, metadata.prepare.front_end, len(metadata.genres)))
    except UsageError as error:
        raise BundleError(f"{folder / _JSON} is damaged: {error}") from error
    stored = sum(tensor.numel() for tensor in tensors.values())
    if expected > stored:
        raise BundleError(
            f"{folder}: {_TENSORS} does not fit {_JSON}: the model has {expected:,} parameters, "
            f"the file {stored:,} values"
        )


def _check_shapes(folder: Path, model: nn.Module, tensors: dict[str, Any]) -> None:
    expected = {name: _shape(tensor) for name, tensor in model.state_dict().items()}
    stored = {name: _shape(tensor) for name, tensor in tensors.items()}
    for name in sorted({*expected, *stored}):
        got, wanted = stored.get(name, "missing"), expected.get(name, "missing")
        if got != wanted:
            raise BundleError(f"{folder}: {_TENSORS} does not fit {_JSON}: {name} is {got}, expected {wanted}")


def _shape(tensor: Any) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")


def _check_values(folder: Path, tensors: dict[str, Any]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BundleError(f"{folder / _TENSORS} is damaged: {name} has NaN or infinite values")


def is_bundle(folder: Path) -> bool:
    """Return whether a folder has the two files of a bundle.

    Errors: PermissionError if the folder cannot be read.
    """
    return is_file(folder / _JSON) and is_file(folder / _TENSORS)


def find_bundles(folder: Path) -> list[Path]:
    """Return the bundle at a path, or the bundles in a folder.

    Errors: BundleError if there is none.
    """
    if is_bundle(folder):
        return [folder]
    bundles = sorted(path for path in folder.glob("[!.]*") if _may_be_bundle(path)) if folder.is_dir() else []
    if not bundles:
        raise BundleError(f"no bundle at {folder}: train a model first, or name a folder that has bundles")
    return bundles


def _may_be_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle or unreadable. Reading an unreadable one reports the error."""
    try:
        return is_bundle(folder)
    except PermissionError:
        return True
