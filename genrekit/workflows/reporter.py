"""How workflows report progress. A subclass of `Reporter` overrides the events that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Self

from genrekit.data.collection import SkippedFile
from genrekit.errors import few
from genrekit.metrics.epochs import Epoch, Step


@dataclass(frozen=True)
class RunProgress:
    """The state of one run of a study. `accuracy` is the share of correct validation tracks after its last epoch."""

    name: str
    state: RunState
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    seconds_left: float | None = None


RunState = Literal["waiting", "running", "finished", "pruned", "failed", "finished before"]
"""`finished before` means in an earlier call."""


@dataclass(frozen=True)
class PreparePlan:
    """The work of `prepare`, before it starts."""

    tracks: int
    fragments: int
    variants: int
    to_transform: int
    bytes_needed: int
    bytes_free: int


@dataclass(frozen=True)
class TrainSize:
    """The bytes that training a network needs. `memory_bytes` is the estimated peak, without torch itself."""

    checkpoint_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class TrainPlan:
    """A training run, before it starts.

    Fragments are counted without augmented variants. `size` is None for a model that is fitted in one step.
    """

    run: str
    arch: str
    input: str
    parameters: int
    parameter_bytes: int
    size: TrainSize | None
    epochs: int
    patience: int
    device: str
    precision: str
    split: str
    training_tracks: int
    training_fragments: int
    validation_tracks: int
    validation_fragments: int
    tracking: str
    tracking_reason: str = ""


class Reporter:
    """Ignores all events. Pass a subclass as `reporter` to show the progress of a workflow.

    >>> class Warnings(Reporter):
    ...     def warning(self, text: str) -> None:
    ...         print("warning:", text)
    >>> Warnings().warning("skipped song.mp3: not decodable")
    warning: skipped song.mp3: not decodable
    """

    def stage(self, text: str) -> None:
        """A stage of a longer workflow starts."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def warning(self, text: str) -> None:
        """Something that may be wrong."""

    def preparing(self, plan: PreparePlan) -> None:
        """`prepare` starts to transform tracks."""

    def tracks_done(self, done: int, of: int) -> None:
        """`done` of `of` tracks are transformed, written or predicted."""

    def fragments_altered(self, done: int, of: int) -> None:
        """`done` of `of` training fragments have another tempo and pitch."""

    def statistics_done(self, done: int, of: int) -> None:
        """Statistics of `done` of `of` fragments are computed."""

    def training(self, plan: TrainPlan) -> None:
        """A training run starts."""

    def finishing_steps(self) -> AbstractContextManager[None]:
        """Return a context for training steps. To stop training, raise an exception in `step`."""
        return nullcontext()

    def saving(self) -> AbstractContextManager[None]:
        """Return a context in which a checkpoint is written. It must not be interrupted."""
        return nullcontext()

    def step(self, step: Step) -> None:
        """A training step is done."""

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """An epoch is done; `best` if it is the best so far."""

    def runs(self, runs: Sequence[RunProgress]) -> None:
        """The states of the runs of a study."""

    def resumable(self, run: str, cache: str, *, has_checkpoint: bool) -> None:
        """A training run was stopped. It can resume from its last complete epoch, or from the start if it has none."""

    def finished(self) -> None:
        """The current progress display can be removed."""


class Progress(Reporter):
    """Calls a function with the number of tracks, files or training steps that are done, and their total number.

    >>> Progress(print).tracks_done(3, 10)
    3 10
    """

    def __init__(self, callback: Callable[[int, int], object]) -> None:
        self._callback = callback

    def tracks_done(self, done: int, of: int) -> None:
        """Pass on the tracks."""
        self._callback(done, of)

    def step(self, step: Step) -> None:
        """Pass on the steps of all epochs."""
        self._callback((step.epoch - 1) * step.steps + step.step, step.epochs * step.steps)


MOST_SKIPPED = 20
"""Maximum number of skipped files that are named in warnings."""


class SkipWarnings:
    """Warns about skipped files. The first ones are named. The others are counted in one warning at the end.

    >>> class Warnings(Reporter):
    ...     def warning(self, text: str) -> None:
    ...         print(text)
    >>> with SkipWarnings(Warnings(), most=1) as skips:
    ...     for name in ("a.wav", "b.wav", "c.wav"):
    ...         skips.add(name, "it is empty")
    skipped a.wav: it is empty
    skipped 2 more files: it is empty (2); --json lists all
    """

    def __init__(self, reporter: Reporter, *, most: int = MOST_SKIPPED) -> None:
        self._reporter, self._most = reporter, most
        self._named = self._seen = 0
        self._others: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._others:
            reasons = few([f"{reason} ({number:,})" for reason, number in self._others.most_common()])
            self._reporter.warning(f"skipped {self._others.total():,} more files: {reasons}; --json lists all")

    def add_new(self, files: Sequence[SkippedFile]) -> None:
        """Warn about the files at the end of a growing list that were not in it before."""
        for file in files[self._seen :]:
            self.add(file.path, file.reason)
        self._seen = len(files)

    def add(self, path: str, reason: str) -> None:
        """Warn about a file, or count it."""
        if self._named < self._most:
            self._named += 1
            self._reporter.warning(f"skipped {path}: {reason}")
        else:
            self._others[reason] += 1
