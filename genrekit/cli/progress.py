"""Progress on stderr: a live display on a terminal, one line per stage or epoch in a pipe."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genrekit.cli.display import named_cache, shell_command, stderr, styled
from genrekit.cli.run_progress import RunLines, run_table
from genrekit.cli.signals import ENDING, check, waiting
from genrekit.cli.streams import separate_stderr
from genrekit.errors import counted
from genrekit.io.files import size_text
from genrekit.metrics.epochs import Epoch, Step
from genrekit.metrics.formatting import loss_text, percent
from genrekit.training.tracking import NO_KEY, NOT_ONLINE
from genrekit.workflows.reporter import PreparePlan, Reporter, RunProgress, TrainPlan

WIDE = 100
"""Columns of a terminal from which the progress bar is long and shows the learning rate and the speed."""


def tracking_line(mode: str, reason: str) -> str:
    """How a run is tracked, why, and how to change it; without a reason it cannot be changed.

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
    """Prints the events of workflows on stderr; if `quiet`, only warnings."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = stderr()
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._epochs = 0
        self._one_step = False
        self._announced = False
        self._table: Live | None = None
        self._run_lines = RunLines()

    @property
    def _live(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def _print(self, *parts: str | tuple[str, str]) -> None:
        if not self._quiet:
            self._console.print(styled(*parts))

    def stage(self, text: str) -> None:
        """Print a heading."""
        self._print()
        self._print((text, "bold"))

    def note(self, text: str) -> None:
        """Print a note."""
        self._print(("note:", "dim"), f" {text}")

    def warning(self, text: str) -> None:
        """Print a warning, even if quiet."""
        self._console.print(styled(("warning:", "yellow"), f" {text}"))

    def preparing(self, plan: PreparePlan) -> None:
        """Print the size of the cache and start a bar."""
        self.finished()
        if not plan.to_transform:
            return
        variants = f" x {plan.variants} variants" if plan.variants > 1 else ""
        self._print(
            f"{counted(plan.tracks, 'track')}, {counted(plan.fragments, 'fragment')}{variants}: "
            f"needs {size_text(plan.bytes_needed)}, leaves {size_text(plan.bytes_free)} free on disk"
        )
        self._start_bar(f"processing {counted(plan.to_transform, 'track')}", plan.to_transform)

    def tracks_done(self, done: int, of: int) -> None:
        """Advance the bar."""
        self._advance("processing", done, of)

    def fragments_altered(self, done: int, of: int) -> None:
        """Advance the bar."""
        self._advance("changing tempo and pitch of fragments", done, of)

    def _advance(self, description: str, done: int, of: int) -> None:
        check()
        if self._bar is None:
            self._start_bar(description, of)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, figures=f"{done}/{of}")

    def statistics_done(self, done: int, of: int) -> None:
        """Advance the bar; without one, print a note at the start."""
        check()
        if self._bar is not None:
            description, total = ("fitting", None) if done == of else ("computing features", of)
            figures = "" if done == of else f"{done}/{of}"
            self._bar.update(self._task, description=description, total=total, completed=done, figures=figures)
        elif not self._announced:
            self._announced = True
            self.note(f"computing features of {of - done:,} fragments; they are stored beside the cache")

    def training(self, plan: TrainPlan) -> None:
        """Print the model, the split and the run, and start a bar."""
        self.finished()
        self._epochs, self._one_step, self._announced = plan.epochs, plan.size is None, False
        for line in _training_lines(plan):
            self._print(line)
        if self._one_step:
            self._start_bar("fitting", None)
            return
        width = self._epoch_width
        self._print((f"{'':{width}}  training          validation", "dim"))
        self._print((f"{'epoch':>{width}}    loss  accuracy    loss  fragments   tracks     rate", "dim"))
        self._start_bar(f"epoch 1/{plan.epochs}", 1)

    def finishing_steps(self) -> AbstractContextManager[None]:
        """Let SIGTERM and SIGUSR1 wait for the current step. Ctrl-C stops at once."""
        return waiting(*ENDING)

    def saving(self) -> AbstractContextManager[None]:
        """Let both signals wait until a checkpoint is written."""
        return waiting(signal.SIGINT, *ENDING)

    def step(self, step: Step) -> None:
        """Advance the bar and show loss, accuracy, rate and speed."""
        check()
        if self._bar is None:
            return
        loss, accuracy = loss_text(step.loss), percent(step.accuracy)
        figures = f"loss {loss}  accuracy {accuracy}"
        if self._console.width >= WIDE:
            figures += f"  rate {step.lr:.2g}  {step.fragments_per_s:.0f}/s"
        self._bar.update(
            self._task,
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            description=f"epoch {step.epoch}/{step.epochs}",
            figures=figures,
        )

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """Print a row of the table of epochs; for a model that is fitted in one step, a line."""
        check()
        if self._one_step:
            self._print(f"training: loss {loss_text(epoch.train_loss)}, {percent(epoch.train_accuracy)} of fragments")
            return
        self._print(
            f"{f'{epoch.epoch}/{self._epochs}':>{self._epoch_width}}  "
            f"{loss_text(epoch.train_loss):>6}  {percent(epoch.train_accuracy):>8}  "
            f"{loss_text(epoch.validation_loss):>6}  {percent(epoch.validation_fragment_accuracy):>9}  "
            f"{percent(epoch.validation_track_accuracy):>7}  {epoch.lr:7.2g}",
            ("  best" if best else "", "green"),
        )

    def runs(self, runs: Sequence[RunProgress]) -> None:
        """Show the runs of a study: a table on a terminal, a line for each run that ends in a pipe."""
        check()
        if not self._live:
            for line in self._run_lines.new(runs):
                self._print(line)
            return
        if self._table is None:
            self._table = Live(console=self._console, transient=True, refresh_per_second=4)
            self._table.start()
        self._table.update(run_table(runs, self._console.height))

    def resumable(self, run: str, cache: str, *, has_checkpoint: bool) -> None:
        """Print the command that resumes the run."""
        start = "from the last complete epoch" if has_checkpoint else "from epoch 1"
        self.note(f"to resume {start}: {shell_command('train', '--resume', out=run, **named_cache(Path(cache)))}")

    def finished(self) -> None:
        """Remove the bar and the table."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._table is not None:
            self._table.stop()
            self._table = None

    @property
    def _epoch_width(self) -> int:
        return max(len("epoch"), 2 * len(str(self._epochs)) + 1)

    def _start_bar(self, description: str, total: int | None) -> None:
        if not self._live:
            return
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10 if self._console.width < WIDE else 30),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(description, total=total, figures="")
        self._bar.start()


def _training_lines(plan: TrainPlan) -> list[str]:
    """What a training run starts with."""
    device = plan.device if plan.precision == "fp32" else f"{plan.device} in bf16"
    model = (
        f"{plan.arch} on {plan.input}: {plan.parameters:,} parameters ({size_text(plan.parameter_bytes)}), on {device}"
    )
    if plan.size is not None:
        checkpoint, memory = size_text(plan.size.checkpoint_bytes), size_text(plan.size.memory_bytes)
        model += f"; checkpoint {checkpoint}, about {memory} of memory in addition to torch"
    return [
        model,
        f"split {plan.split}: {counted(plan.training_tracks, 'track')} ({plan.training_fragments:,} fragments) for "
        f"training, {plan.validation_tracks} ({plan.validation_fragments:,}) for validation",
        tracking_line(plan.tracking, plan.tracking_reason),
        f"run {plan.run}",
    ]


@contextmanager
def terminal(*, quiet: bool, decodes: bool = False) -> Iterator[TerminalReporter]:
    """Report progress within the block, and remove the live display at its end, also after an error.

    With `decodes`, audio is decoded in this process: what decoders print is collected and reported with the file.
    """
    with separate_stderr() if decodes else nullcontext():
        reporter = TerminalReporter(quiet=quiet)
        try:
            yield reporter
        finally:
            reporter.finished()
