"""What a split is: the subset of each track, and what must be known of a track to decide it."""

from __future__ import annotations

from dataclasses import dataclass, field

from genrekit.config import split_name

SET_NAMES = {"train": "training set", "validation": "validation set", "test": "test set"}
"""The subsets of a split, and their names in messages."""

REQUIRED = ("train", "validation")
"""The subsets in which every genre must have tracks."""


@dataclass(frozen=True)
class SplitTrack:
    """What a split must know of a track.

    `subset` is the manifest's, if it has one. Tracks with equal digests have sample-identical audio. Tracks with equal
    recordings have the same audio at another level, sample rate, codec or offset. An empty digest or recording is
    unknown and equals no other.
    """

    id: str
    genre: str
    artists: tuple[str, ...] = ()
    subset: str | None = None
    digest: str = ""
    recording: str = ""


@dataclass(frozen=True)
class Split:
    """The subset of each track, by track id; the tracks left out, with the reason; and notes for the user.

    A fragment split puts the fragments of each track on both sides. With `folds`, fold number `fold` validates.
    """

    policy: str
    seed: int
    subsets: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """The name of the split in results, such as "artist, seed 0"."""
        return split_name(self.policy, self.seed)

    def ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's tracks, sorted. In a fragment split, all tracks train and validate."""
        if self.policy == "fragment":
            return sorted(self.subsets) if subset in REQUIRED else []
        return sorted(track_id for track_id, assigned in self.subsets.items() if assigned == subset)
