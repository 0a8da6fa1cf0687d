"""What a workflow tells while it runs; whoever shows it overrides what it wants to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from genrekit.metrics.epochs import Epoch, Step


@dataclass(frozen=True)
class RunProgress:
    """Where one run of a study stands; `accuracy` is the best validation track accuracy so far."""

    name: str
    state: RunState
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    seconds_left: float | None = None


RunState = Literal["waiting", "running", "finished", "pruned", "failed", "there"]


@dataclass(frozen=True)
class PreparePlan:
    """What `prepare` is about to do; sizes in bytes."""

    tracks: int
    fragments: int
    variants: int
    to_transform: int
    bytes_needed: int
    bytes_free: int


@dataclass(frozen=True)
class TrainSize:
    """What a network's training takes, in bytes; `memory_bytes` is an estimate of the peak, beside torch itself."""

    checkpoint_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class TrainPlan:
    """What `train` is about to do; counts of tracks and of original fragments. No `size`: it is fitted at once."""

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
    """Hears everything and says nothing."""

    def stage(self, text: str) -> None:
        """A new stage of a longer workflow begins."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def warning(self, text: str) -> None:
        """Something that may be wrong."""

    def preparing(self, plan: PreparePlan) -> None:
        """Tracks are about to be transformed."""

    def tracks_done(self, done: int, of: int) -> None:
        """Some of the tracks are transformed, or written, or predicted."""

    def fragments_altered(self, done: int, of: int) -> None:
        """Some of the training fragments are brought to another tempo and pitch."""

    def statistics_done(self, done: int, of: int) -> None:
        """Statistics of some of the fragments are computed."""

    def training(self, plan: TrainPlan) -> None:
        """A training is about to begin."""

    def finishing_steps(self) -> AbstractContextManager[None]:
        """Steps are trained while the block runs: whoever stops it may let the running one end, and `step` raise."""
        return nullcontext()

    def saving(self) -> AbstractContextManager[None]:
        """The state of a training is written while the block runs; whoever stops it may wait until it is."""
        return nullcontext()

    def step(self, step: Step) -> None:
        """A training step has ended."""

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """An epoch has ended; `best` if it is the best so far."""

    def runs(self, runs: Sequence[RunProgress]) -> None:
        """The runs of a study have moved on."""

    def resumable(self, run: str, cache: str, *, begun: bool) -> None:
        """A training was stopped; its run can go on after its last whole epoch, or has none yet and begins again."""

    def finished(self) -> None:
        """The progress that was shown is over."""


class Progress(Reporter):
    """Tells a function how far a workflow is, as (done, of): in tracks, in files, or in a training's steps.

    >>> Progress(print).tracks_done(3, 10)
    3 10
    """

    def __init__(self, told: Callable[[int, int], object]) -> None:
        self._told = told

    def tracks_done(self, done: int, of: int) -> None:
        """Tell the tracks."""
        self._told(done, of)

    def step(self, step: Step) -> None:
        """Tell the steps of all epochs."""
        self._told((step.epoch - 1) * step.steps + step.step, step.epochs * step.steps)
