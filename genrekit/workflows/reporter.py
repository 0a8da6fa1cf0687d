"""How workflows report progress. A subclass of `Reporter` overrides the events that it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from genrekit.metrics.epochs import Epoch, Step


@dataclass(frozen=True)
class RunProgress:
    """The state of one run of a study; `accuracy` is the best validation track accuracy so far."""

    name: str
    state: RunState
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    seconds_left: float | None = None


RunState = Literal["waiting", "running", "finished", "pruned", "failed", "there"]
"""`there`: finished in an earlier call."""


@dataclass(frozen=True)
class PreparePlan:
    """The work that `prepare` starts; sizes in bytes."""

    tracks: int
    fragments: int
    variants: int
    to_transform: int
    bytes_needed: int
    bytes_free: int


@dataclass(frozen=True)
class TrainSize:
    """Bytes that training a network needs; `memory_bytes` is the estimated peak, without torch itself."""

    checkpoint_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class TrainPlan:
    """The training run that `train` starts; fragments are counted without augmented variants.

    `size` is None for a model that is fitted in one step.
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
        """Return a context for training steps. To stop in it, let the current step end and raise in `step`."""
        return nullcontext()

    def saving(self) -> AbstractContextManager[None]:
        """Return a context in which a checkpoint is written. To stop in it, wait for its end."""
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
    """Calls a function with the progress of a workflow as (done, of): tracks, files, or steps of a training run.

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
