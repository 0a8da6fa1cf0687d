"""What a person sees: results on stdout, progress and warnings on stderr."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from genrekit.cli.signals import check, waiting
from genrekit.errors import counted, is_or_are
from genrekit.io.files import size_text
from genrekit.io.json_values import to_json
from genrekit.metrics.epochs import Epoch, Step
from genrekit.metrics.formatting import percent
from genrekit.training.tracking import NO_KEY, NOT_ONLINE
from genrekit.workflows.reporter import PreparePlan, Reporter, RunProgress, RunState, TrainPlan, TrainSize

DEFAULT_CACHE = Path("data/cache.h5")
"""Where commands look for the cache if none is named."""

PIPE_WIDTH = 120
"""Columns of a table that no terminal shows."""

ROOMY_WIDTH = 100
"""Columns from which on a progress bar may be long."""


def stdout() -> Console:
    """The console for results: tables and lines fit the terminal; in a pipe lines are left whole."""
    return _console(sys.stdout)


def _console(file: IO[str]) -> Console:
    width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=file, highlight=False, emoji=False, soft_wrap=not file.isatty(), width=width)


def emit_json(record: Any) -> None:
    """Print a record as one JSON object; where stdout cannot say all of it, with escapes."""
    text = json.dumps(to_json(record), ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(to_json(record))
    sys.stdout.write(text + "\n")


def are_there(count: int) -> str:
    """How many there are already.

    >>> are_there(1), are_there(2)
    ('1 is there', '2 are there')
    """
    return f"{count} {is_or_are(count)} there"


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


def tracking_line(mode: str, reason: str) -> str:
    """How a run is tracked, why, and how to change that; without a reason, it cannot be changed.

    >>> tracking_line("offline", "no key found")
    'tracking: wandb offline (no key found; wandb login to upload, --wandb off to disable)'
    >>> tracking_line("off", "by WANDB_MODE")
    'tracking: off (by WANDB_MODE; --wandb online or --wandb offline to track)'
    >>> tracking_line("off", "")
    'tracking: off'
    """
    name = "off" if mode == "off" else f"wandb {mode}"
    if not reason:
        return f"tracking: {name}"
    upload = {NO_KEY: "wandb login to upload", NOT_ONLINE: "wandb sync to upload later"}
    change = {
        "online": "--wandb offline or --wandb off to change",
        "offline": f"{upload.get(reason, '--wandb online to upload')}, --wandb off to disable",
        "off": "--wandb online or --wandb offline to track",
    }
    return f"tracking: {name} ({reason}; {change[mode]})"


class TerminalReporter(Reporter):
    """Shows progress on stderr: a live display on a terminal, one line a stage or epoch in a pipe."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = _console(sys.stderr)
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._epochs = 0
        self._table: Live | None = None
        self._told: set[str] = set()
        self._counted = False
        self._at_once = False

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
            f"{size_text(plan.bytes_needed)} on disk, {size_text(plan.bytes_free)} free afterwards"
        )
        self._start(f"transforming {plan.to_transform} tracks", plan.to_transform)

    def tracks_done(self, done: int, of: int) -> None:
        """Move the bar."""
        self._advance("reading", done, of)

    def fragments_altered(self, done: int, of: int) -> None:
        """Move the bar."""
        self._advance("altering fragments", done, of)

    def _advance(self, description: str, done: int, of: int) -> None:
        check()
        if self._progress is None:
            self._start(description, of)
        if self._progress is not None:
            self._progress.update(self._task, completed=done, figures=f"{done}/{of}")

    def statistics_done(self, done: int, of: int) -> None:
        """Show them on the bar of what is fitted at once; where no terminal shows it, say what takes its time."""
        check()
        if self._progress is not None:
            what, total = ("fitting", None) if done == of else ("computing statistics", of)
            figures = "" if done == of else f"{done}/{of}"
            self._progress.update(self._task, description=what, total=total, completed=done, figures=figures)
        elif done == 0:
            self.note(f"computing statistics of {of:,} fragments; they are kept beside the cache")

    def training(self, plan: TrainPlan) -> None:
        """Say what will be trained, and show a bar."""
        self.finished()
        self._epochs, self._at_once = plan.epochs, plan.size is None
        self._say(
            f"[bold]{escape(plan.arch)}[/bold] on {plan.input}: {plan.parameters:,} parameters "
            f"({size_text(plan.parameter_bytes)}), on {plan.device}{'' if plan.precision == 'fp32' else ' in bf16'}"
            + ("" if plan.size is None else self._size(plan.size))
        )
        self._say(
            f"split {escape(plan.split)}: {plan.training_tracks} tracks ({plan.training_fragments:,} fragments) "
            f"to train, {plan.validation_tracks} ({plan.validation_fragments:,}) to validate"
        )
        self._say(escape(tracking_line(plan.tracking, plan.tracking_reason)))
        self._say(f"run {escape(plan.run)}")
        if self._at_once:
            self._start("fitting", None)
            return
        width = self._epoch_width
        self._say(f"[dim]{'':{width}}  training          validation[/dim]")
        self._say(f"[dim]{'epoch':>{width}}    loss  accuracy    loss  fragments   tracks     rate[/dim]")
        self._start(f"epoch 1/{plan.epochs}", 1)

    def finishing_steps(self) -> AbstractContextManager[None]:
        """Let SIGTERM wait for the running step; who types Ctrl-C looks on and does not want to wait."""
        return waiting(signal.SIGTERM)

    def saving(self) -> AbstractContextManager[None]:
        """Let both signals wait until a checkpoint is written."""
        return waiting(signal.SIGINT, signal.SIGTERM)

    def step(self, step: Step) -> None:
        """Move the bar and show loss, accuracy, rate and speed."""
        check()
        if self._progress is None:
            return
        figures = (
            f"loss {step.loss:.3f}  accuracy {percent(step.accuracy)}  rate {step.lr:.2g}  {step.fragments_per_s:.0f}/s"
        )
        self._progress.update(
            self._task,
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            description=f"epoch {step.epoch}/{step.epochs}",
            figures=figures,
        )

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """Print one line for the epoch; what is fitted at once has none, and its result says the rest."""
        check()
        if self._at_once:
            self._say(f"training: loss {epoch.train_loss:.3f}, {percent(epoch.train_accuracy)} of fragments")
            return
        mark = "  [green]best[/green]" if best else ""
        self._say(
            f"{f'{epoch.epoch}/{self._epochs}':>{self._epoch_width}}  "
            f"{epoch.train_loss:6.3f}  {percent(epoch.train_accuracy):>8}  "
            f"{epoch.validation_loss:6.3f}  {percent(epoch.validation_fragment_accuracy):>9}  "
            f"{percent(epoch.validation_track_accuracy):>7}  {epoch.lr:7.2g}{mark}"
        )

    def _size(self, size: TrainSize) -> str:
        checkpoint, memory = size_text(size.checkpoint_bytes), size_text(size.memory_bytes)
        return f"; checkpoint {checkpoint}, about {memory} of memory beyond torch's own"

    def runs(self, runs: Sequence[RunProgress]) -> None:
        """Show where the runs of a study stand: a table on a terminal; in a pipe how many, and each that ends."""
        check()
        if self._live:
            if self._table is None:
                self._table = Live(console=self._console, transient=True, refresh_per_second=4)
                self._table.start()
            self._table.update(run_table(runs, self._console.height))
            return
        if not self._counted:
            self._counted = True
            there = sum(run.state == "there" for run in runs)
            self._say(f"{counted(len(runs) - there, 'run')} to do, {are_there(there)}; each is told when it ends")
        for run in runs:
            if run.state in ("finished", "pruned", "failed") and run.name not in self._told:
                self._told.add(run.name)
                self._say(_run_line(run, runs))

    def resumable(self, run: str, cache: str, *, begun: bool) -> None:
        """Say what to type."""
        where = "go on from the last whole epoch" if begun else "begin again with epoch 1"
        other = "" if Path(cache) == DEFAULT_CACHE else f" --cache {shlex.quote(cache)}"
        self.note(f"to {where}: genrekit train --resume --out {shlex.quote(run)}{other}")

    @property
    def _epoch_width(self) -> int:
        return max(len("epoch"), 2 * len(str(self._epochs)) + 1)

    def finished(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._table is not None:
            self._table.stop()
            self._table = None

    def _start(self, description: str, total: int | None) -> None:
        if not self._live:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10 if self._console.width < ROOMY_WIDTH else 30),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(description, total=total, figures="")
        self._progress.start()


def run_table(runs: Sequence[RunProgress], height: int) -> Table:
    """The runs of a study, those that are under way first, as many as a terminal of that height can show."""
    counts = Counter(run.state for run in runs)
    title = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    table = plain_table("run", "state", "epoch", "best", "left", title=title, right=("epoch", "best", "left"))
    order = sorted(runs, key=lambda run: _STATES.index(run.state))
    for run in order[: max(3, height - 4)]:
        table.add_row(
            escape(run.name),
            _STYLES[run.state],
            f"{run.epoch}/{run.epochs}" if run.epoch or run.state == "running" else "",
            "" if run.accuracy is None else percent(run.accuracy),
            "" if not run.seconds_left else duration(run.seconds_left),
        )
    return table


_STYLES: dict[RunState, str] = {
    "running": "[bold]running[/bold]",
    "failed": "[red]failed[/red]",
    "waiting": "waiting",
    "pruned": "[yellow]pruned[/yellow]",
    "finished": "[green]finished[/green]",
    "there": "[dim]there[/dim]",
}
_STATES = list(_STYLES)


def _run_line(run: RunProgress, runs: Sequence[RunProgress]) -> str:
    """One run that has ended, and how many of those that were to be done."""
    wanted = [other for other in runs if other.state != "there"]
    done = sum(other.state in ("finished", "pruned", "failed") for other in wanted)
    best = "" if run.accuracy is None else f", best {percent(run.accuracy)} of tracks"
    return f"{done}/{len(wanted)}  {escape(run.name)} {run.state}{best}"


@contextmanager
def terminal(*, quiet: bool) -> Iterator[TerminalReporter]:
    """Show progress for the length of the block and leave the terminal tidy however it ends."""
    reporter = TerminalReporter(quiet=quiet)
    try:
        yield reporter
    finally:
        reporter.finished()
