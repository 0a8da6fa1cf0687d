"""Kill `genrekit train` at random times, resume it, and compare the result with an uninterrupted run.

    python tests/stress/train_kills.py [--kills 20] [--seed 0]

Each SIGKILL is sent to all processes of a small training run. It aims at a random point of an epoch, or of what
follows the last one; the first kills of all runs are spread evenly over these. So it can hit any moment after the
configuration is written: epochs, checkpoints, the bundle and the result. A kill waits until the epoch before is in the
history, because the speed of a machine changes. The run is then resumed, and half of the resumed runs are killed again.
The following must hold:

- After each kill, the run has no checkpoint or a complete one, and the same is true of the previous checkpoint.
- The resumed run ends with the same weights, history (except for seconds) and best epoch as an uninterrupted run, bit
  for bit, and leaves no other file.

The child process is `slow_train.py`: the command line with pauses between its steps and around its writes, and
otherwise unchanged code. A kill counts for what the files show after it: the epoch that was running, and whether a file
was half written.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killing import finish, read_command_line, say, wait_until
from safetensors.torch import load

from genrekit.training.checkpoint import load_checkpoint, previous_path

EPOCHS = 6
PAUSE_S = 0.02
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, spread evenly however many there are (Weyl)."""

OPTIONS = (
    *("--arch", "cel", "--channels", "4,8", "--batch-size", "4", "--epochs", str(EPOCHS), "--patience", "0"),
    *("--opt", "adam", "--sched", "onecycle", "--device", "cpu"),
)


@dataclass(frozen=True)
class Kill:
    """A kill and what it hit. `epoch` is the one that was running; it is one more than the number of epochs if all were
    finished.
    """

    epoch: int
    writing: bool


class Campaign:
    """Kills runs until there are enough kills."""

    def __init__(self, work: Path, seed: int, say: Callable[[str], None]) -> None:
        self.work, self.draw, self.say = work, random.Random(seed), say
        self.kills: list[Kill] = []
        self.trainings = 0
        self.epoch_s = self.rest_s = 0.0
        self.first = self.draw.random()

    def run(self, kills: int) -> list[Kill]:
        """Kill runs until there are enough kills.

        Errors: AssertionError if a kill did damage.
        """
        from tiny_cache import AUGMENTED, build
        from tiny_music import write_collection

        folder = write_collection(self.work / "music", {"blues": 10, "jazz": 10}, duration_s=1.1, sample_rate=8_000)
        build(folder, self.work / "cache.h5", AUGMENTED)
        whole = self.work / "whole"
        process = self._start(whole)
        wait_for(process, self.work / "started")
        started = time.monotonic()
        wait_for_epochs(process, whole, EPOCHS)
        trained = time.monotonic()
        wait_for(process, whole / "best")
        self.epoch_s = (trained - started) / EPOCHS
        self.rest_s = 1.2 * (time.monotonic() - trained)  # plots and the result are a small part of what can be hit
        assert finish(process) == (0, "")
        expected = content(whole)
        while len(self.kills) < kills:
            run = self.work / f"killed-{self.trainings}"
            self._train(run)
            assert_equal(content(run), expected)
            self.trainings += 1
        return self.kills

    def _train(self, run: Path) -> None:
        """Kill a run, and in half of the cases also the resumed run, and resume it to the end."""
        place = (self.first + GOLDEN * self.trainings) % 1
        if not self._kill(self._start(run), run, place * (EPOCHS + 1)):
            return
        while self.draw.random() < 1 / 2:
            if not self._kill(self._start(run, "--resume"), run, self.draw.uniform(done(run), EPOCHS + 1)):
                return
        assert finish(self._start(run, "--resume")) == (0, "")

    def _start(self, run: Path, *resume: str) -> subprocess.Popen[str]:
        (self.work / "started").unlink(missing_ok=True)
        slowed, mark = Path(__file__).with_name("slow_train.py"), self.work / "started"
        slow = [sys.executable, str(slowed), str(PAUSE_S), str(mark)]
        command = ["train", "--cache", "cache.h5", "--out", str(run), "--wandb", "off", "--quiet"]
        # The number of threads decides the order of sums.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*slow, *command, *(resume or OPTIONS)],
            cwd=self.work,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _kill(self, process: subprocess.Popen[str], run: Path, at: float) -> bool:
        """Kill a run after a number of epochs, with a fraction; return whether it was still running."""
        with process:
            wait_for(process, self.work / "started")
            wait_for_epochs(process, run, int(at))
            time.sleep(at % 1 * (self.epoch_s if at < EPOCHS else self.rest_s))
            if process.poll() is not None:
                assert finish(process) == (0, "")
                self.say(f"{run.name:10} at {at:4.2f}  too late, nothing to kill")
                return False
            os.killpg(process.pid, signal.SIGKILL)
            finish(process)
        if (run / "result.json").exists():
            self.say(f"{run.name:10} at {at:4.2f}  too late, it was over")
            return False
        kill = Kill(done(run) + 1, any(run.rglob(".*.tmp")) or any(run.glob(".tmp*")) or any(run.glob(".best.*")))
        self.kills.append(kill)
        self.say(f"{run.name:10} at {at:4.2f}  hit epoch {kill.epoch}{', a write' if kill.writing else ''}")
        return True


def wait_for(process: subprocess.Popen[str], mark: Path) -> None:
    """Wait until a file or folder exists."""
    wait_until(process, mark.exists, f"{mark} does not come")


def wait_for_epochs(process: subprocess.Popen[str], run: Path, number: int) -> None:
    """Wait until the history of a run has a number of epochs."""

    def there() -> bool:
        path = run / "history.csv"
        return (len(path.read_text().splitlines()) - 1 if path.exists() else 0) >= number

    wait_until(process, there, f"epoch {number} of {run} does not come")


def done(run: Path) -> int:
    """Return the number of complete epochs in a run's checkpoint. It and the previous one must be readable if they
    exist.
    """
    last = run / "last.safetensors"
    found = [load_checkpoint(path) for path in (last, previous_path(last)) if path.exists()]
    return len(found[0].progress["history"]) if last.exists() else 0


def content(run: Path) -> dict[str, Any]:
    """Return what a finished run must have in common with all equal ones."""
    with open(run / "history.csv", newline="") as file:
        history = [{**row, "seconds": None} for row in csv.DictReader(file)]
    tensors = load((run / "best" / "model.safetensors").read_bytes())
    found: dict[str, Any] = {f"weights {name}": tensor.numpy().tobytes() for name, tensor in tensors.items()}
    best_epoch = json.loads((run / "result.json").read_text())["best_epoch"]
    return {**found, "history": history, "best epoch": best_epoch, "files": names(run)}


def names(run: Path) -> list[str]:
    """Return all files of a run."""
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Require that two runs have the same results."""
    other = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    assert not other, f"not as a training that nobody killed: {', '.join(other)}"


def table(kills: list[Kill]) -> str:
    """Return the number of kills by epoch."""
    epochs = Counter(kill.epoch for kill in kills)
    writing = Counter(kill.epoch for kill in kills if kill.writing)
    places = range(1, EPOCHS + 2)
    head = "".join(f"{epoch if epoch <= EPOCHS else 'after':>8}" for epoch in places)
    lines = [f"{'epoch':20}{head}{'total':>8}"]
    for name, counts in (("kills", epochs), ("of them in a write", writing)):
        lines.append(f"{name:20}{''.join(f'{counts[place]:>8}' for place in places)}{counts.total():>8}")
    return "\n".join(lines)


def main() -> None:
    """Run the long version and print its table."""
    arguments = read_command_line("Kill genrekit train at random instants.", 20, "kills that must land")
    with tempfile.TemporaryDirectory(prefix="genrekit-kills-") as folder:
        campaign = Campaign(Path(folder), arguments.seed, say)
        try:
            campaign.run(arguments.kills)
        finally:
            say("\n" + table(campaign.kills))
    say(f"\nseed {arguments.seed}: {len(campaign.kills)} kills of {campaign.trainings} trainings, all ended equal")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
