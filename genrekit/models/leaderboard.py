"""Keep the best bundles of each split under readable names."""

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
"""Number of bundles that are kept for one split."""


def require_best_folder(folder: Path) -> None:
    """Check before a training run that its bundle can be copied to a folder, which need not exist yet.

    Errors: GenrekitError if it cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise GenrekitError(f"{folder} is not a directory; --best-models needs one")
    require_writable(folder)


def keep_best(bundle: Path, folder: Path, limit: int = KEPT) -> Path | None:
    """Copy a bundle into a folder if it is among the `limit` best there of the same genres and split.

    A bundle that is no longer among the best is removed.
    Returns the path of the copy, or None if the bundle is not among the best.
    Errors: BundleError if it is not a bundle, or cannot be copied.
    """
    metadata = read_metadata(bundle)
    try:
        with exclusive_lock(folder / ".lock", f"cannot keep a bundle in {folder}", wait=True):
            return _keep(bundle, metadata, folder, limit)
    except OSError as error:
        raise BundleError(str(cannot("keep a bundle in", folder, error))) from error


def _keep(bundle: Path, metadata: BundleMetadata, folder: Path, limit: int) -> Path | None:
    rivals = sorted(
        ((rival.rank, path) for path, rival in _kept(folder) if _comparable(rival, metadata)),
        key=lambda item: item[0],
    )
    if len(rivals) >= limit and metadata.rank >= rivals[limit - 1][0]:
        return None
    copy = _free_name(folder, metadata)
    with new_folder(copy) as scratch:
        for path in filter(Path.is_file, bundle.iterdir()):
            shutil.copy(path, scratch)
    for _, path in rivals[limit - 1 :]:
        shutil.rmtree(path)
    return copy


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
