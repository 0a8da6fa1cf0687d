"""The few best bundles of each split, kept under readable names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from genrekit.errors import BundleError, GenrekitError
from genrekit.io.files import cannot, exclusive_lock, require_writable
from genrekit.models.bundle import new_folder, read_metadata
from genrekit.models.bundle_metadata import BundleMetadata

KEPT = 5
"""How many bundles of one split are kept."""


def require_best_folder(folder: Path) -> None:
    """Make sure, before a run is trained, that its bundle can be kept in a folder, which need not exist yet.

    Errors: GenrekitError that says why not.
    """
    if folder.exists() and not folder.is_dir():
        raise GenrekitError(f"{folder} is not a directory; --best-models needs one")
    require_writable(folder)


def keep_best(bundle: Path, folder: Path, limit: int = KEPT) -> Path | None:
    """Copy a bundle into a folder if it is among the best of its genres and split there; the one that falls out goes.

    Returns the copy's path, or None where the bundle is not among the best.
    Errors: BundleError where it is no bundle, or cannot be copied.
    """
    own = read_metadata(bundle)
    try:
        with exclusive_lock(folder / ".lock", f"cannot keep a bundle in {folder}", wait=True):
            return _keep(bundle, own, folder, limit)
    except OSError as error:
        raise BundleError(str(cannot("keep a bundle in", folder, error))) from error


def _keep(bundle: Path, own: BundleMetadata, folder: Path, limit: int) -> Path | None:
    rivals = sorted(
        ((metadata.rank, path) for path, metadata in _kept(folder) if _comparable(metadata, own)),
        key=lambda r: r[0],
    )
    if len(rivals) >= limit and own.rank >= rivals[limit - 1][0]:
        return None
    place = _free_name(folder, own)
    with new_folder(place) as scratch:
        for path in filter(Path.is_file, bundle.iterdir()):
            shutil.copy(path, scratch)
    for _, path in rivals[limit - 1 :]:
        shutil.rmtree(path)
    return place


def _kept(folder: Path) -> Iterator[tuple[Path, BundleMetadata]]:
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            with suppress(BundleError):
                yield path, read_metadata(path)


def _comparable(first: BundleMetadata, second: BundleMetadata) -> bool:
    return (first.genres, first.split_name) == (second.genres, second.split_name)


def _free_name(folder: Path, metadata: BundleMetadata) -> Path:
    train = metadata.train
    accuracy = metadata.validation_figures.track_accuracy.value
    name = f"{train.stem}-{accuracy:.3f}"
    candidates = (folder / (f"{name}-{number}" if number > 1 else name) for number in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
