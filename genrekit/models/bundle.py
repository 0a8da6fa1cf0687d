"""A bundle: a trained model as a folder with `model.safetensors`, `model.json` and a model card.

A bundle has the configuration of its features, so it predicts from an audio file alone. Loading one reads JSON and
tensors, and runs no code from the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from genrekit._types import AnyPath
from genrekit.config import is_registered
from genrekit.config.features import is_network_file
from genrekit.errors import BundleError, GenrekitError, UsageError, shortened
from genrekit.io.files import cannot, is_file, new_file, read_json, require_size
from genrekit.io.regular_files import open_regular
from genrekit.io.tensors import first_not_finite, write_tensors
from genrekit.models import build_model, count_parameters
from genrekit.models.bundle_metadata import FORMAT_VERSION, BundleMetadata
from genrekit.models.bundle_network import CARRIED, bundle_extractor
from genrekit.models.calibrated import Calibrated
from genrekit.models.card import model_card
from genrekit.models.classical import Classifier
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.fitted import allocate_estimators
from genrekit.models.network_file import NetworkFile
from genrekit.models.seen_audio import LANDMARKS_FILE, SeenAudio

_JSON, _TENSORS = "model.json", "model.safetensors"

_TRAIN_AGAIN = "train the model again, or use another copy of it"

_MOST_BUFFERS, _MOST_FITTED = 256 << 20, 4 << 30
"""Most bytes of the buffers of a network, and of the tensors of fitted estimators."""

_CARD = "README.md"
"""The model card. genrekit does not read it."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. The model is on the CPU and in evaluation mode. Its logits may be calibrated."""

    path: Path
    metadata: BundleMetadata
    model: nn.Module


def save_bundle(folder: Path, model: nn.Module, metadata: BundleMetadata, seen: SeenAudio | None = None) -> None:
    """Write a bundle, with the landmarks of the tracks that the model has seen if they are given.

    At every moment, the folder is absent, the old bundle or the new one. If it is a link to a bundle, that is replaced.
    A link that leads nowhere is removed.

    Errors: BundleError if the folder exists and is not a bundle, or cannot be written.
    """
    if folder.is_symlink():
        if folder.exists():
            folder = folder.resolve()
        else:
            folder.unlink()
    if folder.exists() and not is_bundle(folder):
        raise BundleError(f"{folder} exists and is not a bundle: remove it, or choose another folder with --out")
    try:
        with new_folder(folder) as scratch:
            with new_file(scratch / _TENSORS) as new:
                write_tensors(new, model.state_dict())
            (scratch / _JSON).write_text(metadata.to_json() + "\n", encoding="utf-8")
            if seen is not None:
                seen.write(scratch / LANDMARKS_FILE)
            if metadata.network is not None and metadata.network.carried:
                (scratch / CARRIED).write_bytes(_network_content(model))
            (scratch / _CARD).write_text(model_card(metadata), encoding="utf-8")
    except OSError as error:
        raise BundleError(str(cannot("write the bundle", folder, error))) from error


def _network_content(model: nn.Module) -> bytes:
    assert isinstance(model, Classifier)
    assert isinstance(model.extractor, NetworkFile)
    return model.extractor.content


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
            raise BundleError(f"{folder} is not a bundle: it needs {_JSON} and {_TENSORS}{nearby(folder)}")
        values = read_json(folder / _JSON)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder} has bundle format {shortened(repr(version))}, this version of genrekit reads format "
                f"{FORMAT_VERSION}: train the model again, or use the version of genrekit that wrote it"
            )
        _require_architecture(folder, values)
        return BundleMetadata.of(values)
    except BundleError:
        raise
    except PermissionError as error:
        raise BundleError(str(cannot("read", folder, error))) from error
    except GenrekitError as error:
        if isinstance(error.__cause__, OSError):
            raise BundleError(str(error)) from error
        raise BundleError(f"{folder / _JSON} is damaged: {error}; {_TRAIN_AGAIN}") from error


def _require_architecture(folder: Path, values: dict[str, Any]) -> None:
    """Refuse an architecture that is not registered, and name the module that registers it if the bundle has it."""
    train, module = values.get("train"), values.get("architecture_module")
    arch = train.get("arch") if isinstance(train, dict) else None
    if not isinstance(arch, str) or is_registered(arch):
        return
    remedy = f"install or import {module}" if isinstance(module, str) else "register it before you load the bundle"
    raise BundleError(f"{folder} has the architecture {arch!r}, which is not registered: {remedy}")


def load_bundle(path: AnyPath, network: AnyPath | None = None) -> Bundle:
    """Load a bundle. `network` is the file of the network that computes its features, if the bundle does not carry it.

    Errors: BundleError if a file is missing or damaged, or if the tensors do not fit the model in the JSON; those of
    `bundle_extractor`.
    """
    folder = Path(path)
    metadata = read_metadata(folder)
    extractor = bundle_extractor(folder, metadata, None if network is None else Path(network))
    expected = _expected_values(folder, metadata, extractor)
    try:
        require_size(folder / _TENSORS, _most_bytes(metadata, expected))
        with open_regular(folder / _TENSORS) as file:
            tensors = load_tensors(file.read())
    except OSError as error:
        raise BundleError(str(cannot("read", folder / _TENSORS, error))) from error
    except (SafetensorError, ValueError, RecursionError) as error:
        raise BundleError(f"{folder / _TENSORS} is damaged: {' '.join(str(error).split())}; {_TRAIN_AGAIN}") from error
    _check_size(folder, expected, tensors)
    model = build_model(metadata.train, metadata.prepare.front_end, len(metadata.genres), extractor)
    if not metadata.train.architecture.trained_by_gradient:
        allocate_estimators(model, tensors)
    _check_shapes(folder, model, tensors)
    try:
        model.load_state_dict(tensors)
    except ValueError as error:
        raise BundleError(f"{folder / _TENSORS} is damaged: {error}") from error
    _check_values(folder, tensors)
    if metadata.temperature is not None:
        model = Calibrated(model, metadata.temperature)
    return Bundle(folder, metadata, model.eval())


def network_for(path: Path, network: AnyPath | None) -> AnyPath | None:
    """Return the network that a user named, for a bundle among several: None if this one needs none."""
    return network if network is not None and is_network_file(read_metadata(path).train.features) else None


def _expected_values(folder: Path, metadata: BundleMetadata, extractor: FeatureExtractor | None) -> int:
    """Return the number of parameters of the model in the JSON, without memory for them."""
    import torch

    try:
        with torch.device("meta"):
            front_end, n_genres = metadata.prepare.front_end, len(metadata.genres)
            return count_parameters(build_model(metadata.train, front_end, n_genres, extractor))
    except UsageError as error:
        raise BundleError(f"{folder / _JSON} is damaged: {error}") from error


def _most_bytes(metadata: BundleMetadata, expected: int) -> int:
    """Return the most bytes that the tensors can have. Buffers are fewer than parameters, but for small models.

    Fitted estimators may have any number of tensors.
    """
    return 16 * expected + _MOST_BUFFERS if metadata.train.architecture.trained_by_gradient else _MOST_FITTED


def _check_size(folder: Path, expected: int, tensors: dict[str, Any]) -> None:
    """Refuse a JSON whose model is larger than the tensors, before memory is allocated for the model."""
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
    if name := first_not_finite(tensors):
        raise BundleError(f"{folder / _TENSORS} is damaged: {name} has NaN or infinite values; {_TRAIN_AGAIN}")


def is_bundle(folder: Path) -> bool:
    """Return whether a folder has the two files of a bundle.

    Errors: PermissionError if the folder cannot be read.
    """
    return is_file(folder / _JSON) and is_file(folder / _TENSORS)


def find_bundles(folder: Path) -> list[Path]:
    """Return the bundle at a path, the bundles in a folder, or those of the runs in a folder.

    Errors: BundleError if there is none.
    """
    if is_bundle(folder):
        return [folder]
    inside = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
    bundles = [path for path in inside if _may_be_bundle(path)]
    bundles = bundles or [path / "best" for path in inside if _may_be_bundle(path / "best")]
    if not bundles:
        beside = [path.name for path in folder.absolute().parent.glob("[!.]*") if path.is_dir()]
        close = [] if folder.exists() else get_close_matches(folder.name, beside, n=1, cutoff=0.8)
        meant = [folder.parent / name for name in close]
        if is_file(folder) and is_bundle(folder.parent):
            meant = [folder.parent]
        instead = "train a model first, or name a folder that has bundles"
        remedy = f"did you mean {meant[0]}?" if meant else instead
        raise BundleError(f"no bundle at {folder}: {remedy}")
    return bundles


def nearby(folder: Path) -> str:
    """Return a question with the first bundle in a folder, for a message; empty if there is none."""
    with suppress(GenrekitError, OSError):
        return f"; did you mean {find_bundles(folder)[0]}?"
    return ""


def _may_be_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle or unreadable. Reading an unreadable one reports the error."""
    try:
        return is_bundle(folder)
    except PermissionError:
        return True
