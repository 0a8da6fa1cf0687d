"""What a person sees: results on stdout, progress and warnings on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from genrekit.records import Epoch, Interval, Step, to_json
from genrekit.workflows.reporter import PreparePlan, Reporter, TrainPlan

PIPE_WIDTH = 120
"""Columns of a table that no terminal shows."""


def stdout() -> Console:
    """The console for results: lines are left whole, tables fit the terminal."""
    return _console(sys.stdout)


def _console(file: IO[str]) -> Console:
    width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=file, highlight=False, soft_wrap=True, width=width)


def emit_json(record: Any) -> None:
    """Print a record as one JSON object."""
    sys.stdout.write(json.dumps(to_json(record), ensure_ascii=False) + "\n")


def percent(value: float) -> str:
    """A share as a percentage with one decimal.

    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{100 * value:.1f} %"


def interval(figure: Interval) -> str:
    """A share with its 95 % interval, in per cent.

    >>> interval(Interval(0.5, 0.41, 0.59))
    '50.0 (41 to 59)'
    """
    return f"{100 * figure.value:.1f} ({100 * figure.low:.0f} to {100 * figure.high:.0f})"


def gigabytes(n_bytes: float) -> str:
    """A size as text.

    >>> gigabytes(1_730_000_000), gigabytes(2_500_000)
    ('1.73 GB', '2.5 MB')
    """
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(4.2), duration(75), duration(3_700)
    ('4.2 s', '1:15', '1:01:40')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


def plain_table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """A table in the house's style; the columns named in `right` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in right)
    return table


class TerminalReporter(Reporter):
    """Shows progress on stderr: a live display on a terminal, one line a stage or epoch in a pipe."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = _console(sys.stderr)
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._epochs = 0

    @property
    def _live(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def _say(self, markup: str) -> None:
        if not self._quiet:
            self._console.print(markup)

    def stage(self, text: str) -> None:
        """Print a heading."""
        self._say(f"\n[bold]{escape(text)}[/bold]")

    def note(self, text: str) -> None:
        """Print a note."""
        self._say(f"[dim]note:[/dim] {escape(text)}")

    def warning(self, text: str) -> None:
        """Print a warning, even when quiet."""
        self._console.print(f"[yellow]warning:[/yellow] {escape(text)}")

    def preparing(self, plan: PreparePlan) -> None:
        """Say what will be prepared, and show a bar."""
        self.finished()
        if not plan.to_transform:
            return
        extra = f" x {plan.variants} variants" if plan.variants > 1 else ""
        self._say(
            f"{plan.tracks} tracks, {plan.fragments} fragments{extra}: "
            f"{gigabytes(plan.bytes_needed)} on disk, {gigabytes(plan.bytes_free)} free afterwards"
        )
        self._start(f"transforming {plan.to_transform} tracks", plan.to_transform, "{task.fields[figures]}")

    def tracks_done(self, done: int, of: int) -> None:
        """Move the bar."""
        if self._progress is None:
            self._start("reading", of, "{task.fields[figures]}")
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def training(self, plan: TrainPlan) -> None:
        """Say what will be trained, and show a bar."""
        self.finished()
        self._epochs = plan.epochs
        self._say(
            f"[bold]{escape(plan.arch)}[/bold] on {plan.input}: {plan.parameters:,} parameters "
            f"({gigabytes(plan.parameter_bytes)}), on {plan.device}"
        )
        self._say(
            f"split {escape(plan.split)}: {plan.training_tracks} tracks ({plan.training_fragments:,} fragments) "
            f"to train, {plan.validation_tracks} ({plan.validation_fragments:,}) to validate; tracking {plan.tracking}"
        )
        self._say(f"run {escape(plan.run)}")
        self._say("[dim]epochs: loss and accuracy per fragment in training and validation; tracks in validation[/dim]")
        self._start("epoch 1", 1, "{task.fields[figures]}")

    def step(self, step: Step) -> None:
        """Move the bar and show loss, accuracy, rate and speed."""
        if self._progress is None:
            return
        figures = (
            f"loss {step.loss:.3f}  accuracy {percent(step.accuracy)}  rate {step.lr:.2g}  "
            f"{step.fragments_per_s:.0f} fragments/s"
        )
        self._progress.update(
            self._task,
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            description=f"epoch {step.epoch}/{step.epochs}",
            figures=figures,
        )

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """Print one line for the epoch."""
        mark = " [green]best[/green]" if best else ""
        self._say(
            f"epoch {epoch.epoch:>{len(str(self._epochs))}}/{self._epochs}  "
            f"loss {epoch.train_loss:.3f} {epoch.validation_loss:.3f}  "
            f"accuracy {percent(epoch.train_accuracy)} {percent(epoch.validation_fragment_accuracy)}  "
            f"tracks {percent(epoch.validation_track_accuracy)}  rate {epoch.lr:.2g}{mark}"
        )

    def finished(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _start(self, description: str, total: int, figures: str) -> None:
        if not self._live:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn(figures),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(description, total=total, figures="")
        self._progress.start()


@contextmanager
def terminal(*, quiet: bool) -> Iterator[TerminalReporter]:
    """Show progress for the length of the block and leave the terminal tidy however it ends."""
    reporter = TerminalReporter(quiet=quiet)
    try:
        yield reporter
    finally:
        reporter.finished()
