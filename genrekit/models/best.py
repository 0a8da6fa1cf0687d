"""The few best bundles of each split, kept under readable names."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from genrekit.errors import BundleError
from genrekit.files import exclusive_lock
from genrekit.models.bundle import BundleMetadata, is_bundle, place_folder, read_metadata

KEPT = 5
"""How many bundles of one split are kept."""


def keep_best(bundle: Path, folder: Path, limit: int = KEPT) -> Path | None:
    """Copy a bundle into a folder if it is among the best of its genres and split there; the one that falls out goes.

    Returns the copy's path, or None where the bundle is not among the best.
    """
    own = read_metadata(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder / ".lock", f"cannot keep a bundle in {folder}", wait=True):
        rivals = sorted(
            ((metadata.rank, path) for path, metadata in _kept(folder) if _comparable(metadata, own)),
            key=lambda r: r[0],
        )
        if len(rivals) >= limit and own.rank >= rivals[limit - 1][0]:
            return None
        place = _free_name(folder, own)
        scratch = Path(tempfile.mkdtemp(prefix=".new.", dir=folder))
        shutil.copytree(bundle, scratch, dirs_exist_ok=True)
        place_folder(scratch, place)
        for _, path in rivals[limit - 1 :]:
            shutil.rmtree(path)
        return place


def _kept(folder: Path) -> Iterator[tuple[Path, BundleMetadata]]:
    for path in sorted(folder.iterdir()):
        if is_bundle(path) and not path.name.startswith("."):
            with suppress(BundleError):
                yield path, read_metadata(path)


def _comparable(first: BundleMetadata, second: BundleMetadata) -> bool:
    return (first.genres, first.split_name) == (second.genres, second.split_name)


def _free_name(folder: Path, metadata: BundleMetadata) -> Path:
    train = metadata.train
    accuracy = metadata.validation_figures.track_accuracy.value
    name = f"{train.arch}-{train.input}-{train.opt}-{train.sched}-{accuracy:.3f}"
    candidates = (folder / (f"{name}-{number}" if number > 1 else name) for number in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
