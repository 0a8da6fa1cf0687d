"""Keep the best bundles of each split under readable names, and choose among the bundles of a folder."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genrekit.errors import BundleError, GenrekitError, few
from genrekit.io.files import cannot, exclusive_lock, require_writable
from genrekit.metrics.formatting import percent
from genrekit.models.bundle import find_bundles, new_folder, read_metadata
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.models.kept_bundles import digests, is_unchanged, read_record, write_record

KEPT = 5
"""Number of bundles that are kept for one split."""


def require_best_folder(folder: Path) -> None:
    """Check before a training run that its bundle can be copied to a folder, which need not exist yet.

    Errors: GenrekitError if it cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise GenrekitError(f"{folder} is not a directory; --best-models needs one")
    require_writable(folder)


@dataclass(frozen=True)
class Choice:
    """The bundle that was chosen in a folder. `note` says why; it is empty if there was no other.

    `problems` has the reasons why other bundles cannot be read.
    """

    bundle: Path
    note: str = ""
    problems: tuple[str, ...] = ()


def choose_best(folder: Path) -> Choice:
    """Choose the bundle at a path, or the best on validation of the bundles in a folder.

    Errors: BundleError if there is none, none can be read, or their genres differ.
    """
    bundles: dict[Path, BundleMetadata] = {}
    problems: list[BundleError] = []
    for path in find_bundles(folder):
        try:
            bundles[path] = read_metadata(path)
        except BundleError as error:
            problems.append(error)
    if not bundles:
        raise problems[-1]
    best = min(bundles, key=lambda path: (bundles[path].rank, path))
    reasons = tuple(map(str, problems))
    return Choice(best, "" if len(bundles) == 1 else _note(folder, best, bundles), reasons)


def _note(folder: Path, best: Path, bundles: Mapping[Path, BundleMetadata]) -> str:
    """Say why a bundle was chosen, and whether the accuracies of the bundles can be compared.

    Errors: BundleError if their genres differ.
    """
    chosen = bundles[best]
    for path, other in bundles.items():
        if set(other.genres) != set(chosen.genres):
            differing = few(sorted(set(other.genres) ^ set(chosen.genres)))
            raise BundleError(
                f"the models in {folder} have different genres ({best.name} and {path.name} differ in {differing}): "
                f"choose one, such as --model {shlex.quote(str(best))}"
            )
    accuracy = percent(chosen.validation_figures.track_accuracy.value)
    note = f"{best} is used: the best of {len(bundles)} on validation ({accuracy} of tracks)"
    splits = sorted({other.split_name for other in bundles.values()})
    if len({_measured_on(other) for other in bundles.values()}) == 1:
        return note
    differ = f"their splits differ ({'; '.join(splits)})" if len(splits) > 1 else "their validation tracks differ"
    return f"{note}; {differ}, so their accuracies cannot be compared: choose one with --model"


def _measured_on(metadata: BundleMetadata) -> tuple[str, frozenset[str]]:
    """What bundles must share so that their validation accuracies can be compared, as in `compare`."""
    return metadata.split_name, frozenset(metadata.validation.values())


def keep_best(bundle: Path, folder: Path, limit: int = KEPT) -> Path | None:
    """Copy a bundle into a folder if it is among the `limit` best copies there of the same genres and split.

    A copy that is no longer among the best is removed. If a run is repeated, its copy replaces the earlier one.
    Bundles, files and links that others put there, and copies that they changed, stay and do not count.
    Returns the path of the copy, or None if the bundle is not among the best.
    Errors: BundleError if it is not a bundle, or cannot be copied.
    """
    metadata = read_metadata(bundle)
    try:
        with exclusive_lock(folder / ".lock", f"cannot keep a bundle in {folder}", wait=True):
            return _keep(bundle, metadata, folder, limit)
    except OSError as error:
        raise BundleError(str(cannot("keep a bundle in", folder, error))) from error


def kept_trainings(folder: Path) -> frozenset[str]:
    """Return the `BundleMetadata.training_key` of each bundle in a folder; none if there is no such folder."""
    return frozenset(metadata.training_key for _, metadata in _kept(folder)) if folder.is_dir() else frozenset()


def _keep(bundle: Path, metadata: BundleMetadata, folder: Path, limit: int) -> Path | None:
    record = read_record(folder)
    copies = [
        (path, other) for path, other in _kept(folder) if _comparable(other, metadata) and is_unchanged(path, record)
    ]
    key = metadata.training_key
    repeated = [path for path, other in copies if other.training_key == key]
    rivals = sorted(((rival.rank, path) for path, rival in copies if path not in repeated), key=lambda item: item[0])
    if len(rivals) >= limit and metadata.rank >= rivals[limit - 1][0]:
        return None
    copy = _free_name(folder, metadata, repeated)
    replaced = [path for path in (*repeated, *(path for _, path in rivals[limit - 1 :])) if path != copy]
    present = {name: files for name, files in record.items() if (folder / name).is_dir()}
    write_record(folder, {**present, copy.name: digests(bundle)})  # before the copy, in case of a kill
    with new_folder(copy) as scratch:
        for path in filter(Path.is_file, bundle.iterdir()):
            shutil.copy(path, scratch)
    for path in replaced:
        shutil.rmtree(path)
    return copy


def _kept(folder: Path) -> Iterator[tuple[Path, BundleMetadata]]:
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            with suppress(BundleError):
                yield path, read_metadata(path)


def _comparable(first: BundleMetadata, second: BundleMetadata) -> bool:
    return (first.genres, first.split_name) == (second.genres, second.split_name)


def _free_name(folder: Path, metadata: BundleMetadata, replaced: Collection[Path]) -> Path:
    """The first of NAME, NAME-2, … that is free, also of links that lead nowhere."""
    train = metadata.train
    accuracy = metadata.validation_figures.track_accuracy.value
    name = f"{train.stem}-{accuracy:.3f}"
    candidates = (folder / (f"{name}-{number}" if number > 1 else name) for number in range(1, 1_000_000))
    return next(path for path in candidates if path in replaced or not os.path.lexists(path))
