"""Check how a cache is stored, before its datasets are read: links, storage, types and shapes.

HDF5 can show the content of other files as that of a dataset, by external storage, virtual datasets and links. It can
load plugins to read a dataset with filters. A cache has none of these, so a file that has them is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from genrekit.config import PrepareConfig
from genrekit.data.cache.layout import (
    FILE_STATUS,
    SKIP_NUMBERS,
    SKIP_TEXTS,
    TRACK_FACTS,
    TRACK_NUMBERS,
    TRACK_RESULTS,
    TRACK_TEXTS,
    dataset_types,
)

MOST_ROWS = 50_000_000
"""Most rows of a cache. The columns that are read whole take 1 GB then."""

_GROUPS = ("tracks", "skipped")

_ADDED = {"note", "decoder", "file_digest", *FILE_STATUS, *TRACK_FACTS}
"""Datasets of tracks that a cache of version 2 may lack."""


def own_datasets(file: Any, size: int) -> dict[str, Any]:
    """Return the datasets of a cache by name, such as `tracks/id`, if all values are in its file, of `size` bytes.

    Errors: ValueError with the name of a dataset or group that is a link, is in other files, or is compressed.
    """
    datasets = _plain_members(file, size)
    for name in _GROUPS:
        if not isinstance(file.get(name), h5py.Group):
            raise ValueError(f"/{name} is missing or not a group")
        datasets |= _plain_members(file[name], size)
    return datasets


def members(datasets: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return the datasets of a group by their names in it.

    >>> members({"track": 1, "tracks/id": 2}, "tracks")
    {'id': 2}
    """
    return {
        name.removeprefix(f"{group}/"): dataset for name, dataset in datasets.items() if name.startswith(f"{group}/")
    }


def _plain_members(group: Any, size: int) -> dict[str, Any]:
    datasets = {}
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        if group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{path} is a link to something else")
        if isinstance(node := group[name], h5py.Dataset):
            _require_plain(path, node, size)
            datasets[path.removeprefix("/")] = node
    return datasets


def _require_plain(path: str, dataset: Any, size: int) -> None:
    if dataset.shape and dataset.shape[0] > MOST_ROWS:
        raise ValueError(f"{path} declares {dataset.shape[0]:,} rows")
    settings = dataset.id.get_create_plist()
    layout = settings.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise ValueError(f"{path} is virtual: its values are in other files")
    if settings.get_external_count():
        raise ValueError(f"{path} has external storage: its values are in other files")
    if settings.get_nfilters():
        raise ValueError(f"{path} is compressed")
    if layout != h5py.h5d.CONTIGUOUS:
        raise ValueError(f"{path} is not contiguous")
    offset = dataset.id.get_offset()
    needed = max(dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize)
    if needed and offset is None:
        raise ValueError(f"{path} has no values")
    if needed and offset + needed > size:
        raise ValueError(f"{path} is truncated: it ends at byte {offset + needed} of {size}")


def require_layout(datasets: Mapping[str, Any], config: PrepareConfig, version: int) -> None:
    """Check the types and the shapes of all datasets that are read, by the configuration of the cache.

    Errors: ValueError with the name of a dataset that is missing or another one.
    """
    n_rows, n_tracks, n_skipped = (len(_dataset(datasets, name)) for name in ("track", "tracks/id", "skipped/path"))
    for name, (kind, shape) in dataset_types(config).items():
        _require_type(datasets, name, kind, (n_rows, *shape))
    for name, kind in {**TRACK_NUMBERS, **TRACK_RESULTS, **FILE_STATUS}.items():
        if version > 2 or name not in _ADDED or f"tracks/{name}" in datasets:
            _require_type(datasets, f"tracks/{name}", kind, (n_tracks,))
    for name, kind in {**SKIP_NUMBERS, **FILE_STATUS}.items():
        if name in SKIP_NUMBERS or f"skipped/{name}" in datasets:  # older caches have no status of skipped files
            _require_type(datasets, f"skipped/{name}", kind, (n_skipped,))
    texts = {f"tracks/{name}": n_tracks for name in TRACK_TEXTS} | {f"skipped/{name}": n_skipped for name in SKIP_TEXTS}
    if version > 2:
        texts |= {name: len(_dataset(datasets, name)) for name in ("genres", "variants")}
    for name, count in texts.items():
        dataset = _dataset(datasets, name)
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape != (count,):
            raise ValueError(
                f"/{name} is {_described(dataset.dtype, dataset.shape)}, expected text of shape ({count},)"
            )


def _dataset(datasets: Mapping[str, Any], name: str) -> Any:
    node = datasets.get(name)
    if node is None or not node.shape:
        raise ValueError(f"/{name} is missing or not an array")
    return node


def _require_type(datasets: Mapping[str, Any], name: str, kind: str, shape: tuple[int, ...]) -> None:
    dataset, expected = _dataset(datasets, name), np.dtype(kind).newbyteorder("<")
    if dataset.dtype != expected or dataset.shape != shape:
        got = _described(dataset.dtype, dataset.shape)
        raise ValueError(f"/{name} is {got}, expected {_described(expected, shape)}")


def _described(kind: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{kind} of shape {shape}"
