"""Fragments as a torch dataset, for training loops outside genrekit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from genrekit._types import AnyPath
from genrekit.config import SplitPolicy, Stored
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.loader import FragmentSource, as_read, subset_source
from genrekit.data.splits.split import SET_NAMES, Split
from genrekit.data.splits.store import open_split
from genrekit.errors import unknown_name

Subset = Literal["train", "validation", "test", "all"]


class FragmentDataset(Dataset[tuple[Tensor, int]]):
    """The fragments of one subset of a cache, as a map-style `torch.utils.data.Dataset`.

    Item i is a pair (input, genre). `genre` is an index into `genres`. The input is a float32 tensor:

    - `kind="mel"`: [n_mels, n_frames], a dB mel spectrogram in [0, 1];
    - `kind="waveform"`: [n_samples], in [-1, 1].

    Items are in the order of the cache: by track, then by time. `tracks[i]` is the index of item i's track in
    `cache.tracks`, for results per track. With `variants=True`, all augmented variants of each fragment are items, too;
    use this for training only.

    `cache` is an open cache or its path. `subset` is `train`, `validation`, `test`, or `all` tracks of the cache.
    `split` is a policy as for `genrekit train --split`, with the seed `split_seed`, or a `Split`. A split is stored
    beside the cache when it is first used, so this dataset, `train` and `evaluate` use the same one. Only
    `genrekit.evaluate` counts how often a test set is evaluated; if you read the test set here, count it yourself.

    The dataset can be pickled and works with `DataLoader(num_workers=...)`. Each process maps the cache file itself.

    Errors: GenrekitError if there is no such cache; IncompatibleCacheError if it does not have this `kind`; SplitError
    if the split cannot be made; UsageError for an unknown subset.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from genrekit import FragmentDataset, PrepareConfig, prepare
    >>> from genrekit.demo.synthesizer import write_collection
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_collection(Path(folder, "data"), tracks_per_genre=3, duration_s=2, sample_rate=8_000, seed=0)
    ...     small = PrepareConfig.of({"front_end": {"sample_rate": 8_000, "duration_s": 1, "n_mels": 32}})
    ...     _ = prepare(Path(folder, "data"), small, out=Path(folder, "cache.h5"), workers=1)
    ...     training = FragmentDataset(Path(folder, "cache.h5"), split="track")
    ...     mel, genre = training[0]
    ...     len(training), mel.shape, training.genres[genre]
    (20, torch.Size([32, 16]), 'blues')
    """

    def __init__(
        self,
        cache: Cache | AnyPath,
        subset: Subset = "train",
        kind: Stored = "mel",
        *,
        split: SplitPolicy | Split = "auto",
        split_seed: int = 0,
        variants: bool = False,
    ) -> None:
        if subset not in (*SET_NAMES, "all"):
            raise unknown_name("subset", subset, (*SET_NAMES, "all"))
        self.cache = cache if isinstance(cache, Cache) else open_cache(cache)
        self.kind: Stored = kind
        if subset == "all":
            source = FragmentSource(self.cache, kind, [track.id for track in self.cache.tracks])
        else:
            chosen = split if isinstance(split, Split) else open_split(self.cache, split, split_seed)
            source = subset_source(self.cache, kind, chosen, subset)
        offsets = np.arange(len(self.cache.variants) if variants else 1)
        self.rows = (source.rows[:, None] + offsets).ravel()
        """The row of each item in the cache, int64 [items]."""
        self.tracks = self.cache.track[self.rows]
        """The index of each item's track in `cache.tracks`, int32 [items]."""

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres of the cache, in alphabetical order."""
        return self.cache.genres

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.rows[index]
        stored = self.cache.tensor(self.kind)[[row]]
        return as_read(self.kind, stored)[0], int(self.cache.genre[row])
