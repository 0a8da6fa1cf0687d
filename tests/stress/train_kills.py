"""Kill `genrekit train` at random instants, resume it, and compare with a training that nobody killed.

    python tests/stress/train_kills.py [--kills 20] [--seed 0]

Each SIGKILL hits the whole group of processes of a tiny training on a tiny cache, at a time drawn from the length of
what is left of it, uniformly, and for the first kill of each training also evenly: from when the run's folder has its
configuration, over epochs and the writing of checkpoints, to the bundle and the result. The killed training is resumed,
half of them to be killed again. What must hold:

- right after each kill the run holds no checkpoint or a whole one, and the same for the one before the last;
- the training that was resumed ends with the weights, the history (but for seconds) and the best epoch of one that
  nobody killed, bit for bit, and leaves no other file behind.

The child is `slow_train.py`, the command line with pauses between its steps and around its writes; the product's code
is unchanged. A kill is counted for what lies on disk right after it: the epoch that was running, and whether a file
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
    """A kill and what it hit: `epoch` is the one that was running, one more than there are when all were over."""

    epoch: int
    writing: bool


class Campaign:
    """Kills until there are enough."""

    def __init__(self, work: Path, seed: int, say: Callable[[str], None]) -> None:
        self.work, self.draw, self.say = work, random.Random(seed), say
        self.kills: list[Kill] = []
        self.trainings = 0
        self.first = self.draw.random()

    def run(self, kills: int) -> list[Kill]:
        """Kill until so many have landed.

        Errors: AssertionError where a kill did harm.
        """
        from tiny_cache import AUGMENTED, build
        from tiny_music import write_collection

        folder = write_collection(self.work / "music", {"blues": 10, "jazz": 10}, duration_s=1.1, sample_rate=8_000)
        build(folder, self.work / "cache.h5", AUGMENTED)
        whole = self.work / "whole"
        process = self._start(whole)
        wait_for(process, self.work / "started")
        started = time.monotonic()
        wait_for(process, whole / "best")
        length_s = 1.2 * (time.monotonic() - started)  # plots and the result are a small part of what can be hit
        assert finish(process) == (0, "")
        expected = content(whole)
        while len(self.kills) < kills:
            run = self.work / f"killed-{self.trainings}"
            self._train(run, length_s)
            assert_equal(content(run), expected)
            self.trainings += 1
        return self.kills

    def _train(self, run: Path, length_s: float) -> None:
        """Kill a training, half of them once more when they go on, and resume it to the end."""
        place = (self.first + GOLDEN * self.trainings) % 1
        if not self._kill(self._start(run), run, place * length_s):
            return
        while self.draw.random() < 1 / 2:
            left = 1 - done(run) / EPOCHS
            if not self._kill(self._start(run, "--resume"), run, self.draw.uniform(0, max(left, 0.1) * length_s)):
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

    def _kill(self, process: subprocess.Popen[str], run: Path, after_s: float) -> bool:
        """Kill that long after the training has started; whether it was not too late."""
        with process:
            wait_for(process, self.work / "started")
            time.sleep(after_s)
            if process.poll() is not None:
                assert finish(process) == (0, "")
                self.say(f"{run.name:10} + {after_s:5.2f} s  too late, nothing to kill")
                return False
            os.killpg(process.pid, signal.SIGKILL)
            finish(process)
        if (run / "result.json").exists():
            self.say(f"{run.name:10} + {after_s:5.2f} s  too late, it was over")
            return False
        kill = Kill(done(run) + 1, any(run.rglob(".*.tmp")) or any(run.glob(".tmp*")) or any(run.glob(".best.*")))
        self.kills.append(kill)
        self.say(f"{run.name:10} + {after_s:5.2f} s  hit epoch {kill.epoch}{', a write' if kill.writing else ''}")
        return True


def wait_for(process: subprocess.Popen[str], mark: Path) -> None:
    """Wait until a file or folder is there."""
    wait_until(process, mark.exists, f"{mark} does not come")


def done(run: Path) -> int:
    """Whole epochs in a run's checkpoint; it and the one before it can be read if they are there."""
    last = run / "last.safetensors"
    found = [load_checkpoint(path) for path in (last, previous_path(last)) if path.exists()]
    return len(found[0].progress["history"]) if last.exists() else 0


def content(run: Path) -> dict[str, Any]:
    """What a finished training must have in common with every other like it."""
    with open(run / "history.csv", newline="") as file:
        history = [{**row, "seconds": None} for row in csv.DictReader(file)]
    tensors = load((run / "best" / "model.safetensors").read_bytes())
    found: dict[str, Any] = {f"weights {name}": tensor.numpy().tobytes() for name, tensor in tensors.items()}
    best_epoch = json.loads((run / "result.json").read_text())["best_epoch"]
    return {**found, "history": history, "best epoch": best_epoch, "files": names(run)}


def names(run: Path) -> list[str]:
    """All files of a run."""
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Two trainings ended alike."""
    other = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    assert not other, f"not as a training that nobody killed: {', '.join(other)}"


def table(kills: list[Kill]) -> str:
    """How many kills landed where."""
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
